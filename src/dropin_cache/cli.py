"""The commands `dropin-cache` and `update-dropin-cache`.

Package managers start them often, and mostly nothing is to be done. So this loads what finds that
out, and the rest only when it is wanted. What root's caller has left comes before all of it.
"""

from __future__ import annotations

import os
import sys

from dropin_cache import _caller, _quick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "main_update"]

_CHECKS = (["check"], ["check", "-q"], ["check", "--quiet"])

# What a small site takes: options of ulimit, names of limits, and figures in units of ulimit.
_LEAST = (
    ("-n", "RLIMIT_NOFILE", 32, 1),
    ("-v", "RLIMIT_AS", 64 << 10, 1 << 10),
    ("-d", "RLIMIT_DATA", 32 << 10, 1 << 10),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `dropin-cache`.

    Args:
        argv: The arguments, without the program's name; those of the process if not given.

    Returns:
        The exit status; the epilog of `--help` lists them.
    """
    if argv is None:
        _require_utf8()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["help"] or "".join(arguments[:1]).startswith("-"):
        from dropin_cache._arguments import command_first  # noqa: PLC0415 - programs put it first

        arguments = command_first(arguments)
    activated = os.environ.get("VIRTUAL_ENV", "")
    directory = _caller.forget(command=arguments[:1] == ["run"])
    # Whether triggers are turned off is for those that follow to see, and to tell.
    if arguments == ["update", "--trigger"] and _quick.BYPASS not in os.environ and _quick.hold():
        return 0
    if arguments in _CHECKS and not activated:
        status = _quick.checked(quiet=len(arguments) > 1)
        if status is not None:
            return status
    low = _too_low()
    if low:
        trigger = "--trigger" in arguments
        os.write(2, low.splitlines(keepends=True)[0].encode() if trigger else low.encode())
        return 0 if trigger else 5
    from dropin_cache import commands  # noqa: PLC0415 - see above

    return commands.main(arguments, directory, activated)


def _too_low() -> str:
    """Say which limit is too low for anything to be done, and what to do about it.

    Where Python has no memory left in the middle of something, it may hang or crash.
    """
    import resource  # noqa: PLC0415 - see above

    for option, name, least, unit in _LEAST:
        try:
            soft = resource.getrlimit(getattr(resource, name))[0]
        except OSError:  # a container denies it: whoever needs limits says so
            return ""
        if 0 <= soft < least * unit:  # -1 stands for none
            return (
                f"dropin-cache: error: a limit is too low: ulimit {option} {soft // unit}, "
                f"of at least {least}\n"
                f"  Raise it, and run the same command again: ulimit {option} {16 * least}\n"
            )
    return ""


def main_update() -> int:
    """Run `update-dropin-cache`, another name for `dropin-cache update`."""
    _require_utf8()
    return main(["update", *sys.argv[1:]])


def _require_utf8() -> None:
    """Start again in UTF-8 mode where the locale would decide what names and texts are.

    The same files have the same names for everybody, and so make the same caches.
    """
    options = sys._xoptions  # noqa: SLF001 - the only name that it has
    if sys.getfilesystemencoding() == "utf-8" or "utf8" in options:
        return  # in the second case somebody, who may be this function, wants it as it is
    # Python 3.9 does not tell how it was started; packages start theirs in UTF-8 mode.
    arguments = getattr(sys, "orig_argv", [])[1:]
    if arguments and sys.executable:
        command = [sys.executable, "-X", "utf8", *arguments]
        os.execv(sys.executable, command)  # noqa: S606, TID251 - the same program once more
