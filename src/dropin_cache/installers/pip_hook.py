"""What the start-up file of an environment executes in a process of pip: an update at its end.

`startup_file` writes that file, and describes when it comes here. This file is executed from its
path and imported by nobody in pip's process: importing it would import the package, and with it
zope.interface, into a process that may be about to replace either. So it stands alone, on modules
of the standard library that pip loads anyway, and it works when the package is gone.

It never raises, changes nothing of pip's exit status and writes nothing to its standard output.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
from binascii import crc32

NAMES = ("dropin-cache.pth", "dropin-cache.start", "_dropin_cache_start.py")
"""The start-up files, in the environment's directory of packages.

What names another is before it: they are removed in this order, and written in the other one.
"""

BYTECODE = "__pycache__"
"""Where interpreters keep what they have compiled."""

# Whatever is installed beside this may print when Python starts, and when it ends.
_BEGIN, _END = b"\2", b"\3"
# Adds to the path what may not be on it when the environment counts for nothing.
_PROGRAM = f"""
import os, sys
sys.stdout.flush()
sys.stderr.flush()
os.write(1, {_BEGIN!r})
sys.path += sys.argv.pop(1).split(":")
from dropin_cache.cli import main
status = main()
sys.stdout.flush()
os.write(1, {_END!r})
sys.exit(status)
"""
# Those of `_caller`, which would be imported from the package.
_KEPT = (
    *("COLUMNS", "LINES", "TERM", "NO_COLOR", "FORCE_COLOR", "PYTHON_COLORS"),
    *("SOURCE_DATE_EPOCH", "DROPIN_CACHE_UPDATE_BYPASS"),
)
_MARK = "_dropin_cache_hook"
# pip tells them to what it starts to build in; the second is its name up to pip 22.
_BUILDING = ("PIP_BUILD_TRACKER", "PIP_REQ_TRACKER")
_SITES = ("site-packages", "dist-packages")
_CACHE = "dropin.cache"
_METADATA = "-info"  # .dist-info, and .egg-info as older tools make it
_SEAL = 12  # bytes; see `_decode`
_MAX_SIZE = 64 << 20  # bytes; likewise
_MAX_REASON = 200  # characters

Dates = dict[str, int]


def update(path: str, *options: str, flags: str = "-I") -> tuple[bool, list[str]]:
    """Update caches in an isolated process.

    Args:
        path: Where this package, and what it needs, may be: directories, separated by colons.
        options: For `dropin-cache update --trigger`.
        flags: For the interpreter.

    Returns:
        Whether it ran to its end, and what there is to say about it, line by line.
    """
    status, lines = isolated(path, "update", "--trigger", *options, flags=flags)
    if status == 0:
        return True, lines
    # Python itself did not get that far, and a traceback is no help here: its last line is.
    reason = "".join(lines[-1:])[:_MAX_REASON] or f"Python ended with status {status}"
    if status < 0:
        reason = f"Python was killed by signal {-status}"
    return False, [f"dropin-cache: warning: plugin caches were not updated: {reason}"]


def isolated(path: str, *arguments: str, flags: str = "-I") -> tuple[int, list[str]]:
    """Run a command in an isolated process; the rest is as for `update`.

    Args:
        path: As for `update`.
        arguments: For `dropin-cache`.
        flags: For the interpreter.

    Returns:
        The exit status, and what it has printed, line by line.
    """
    done = subprocess.run(  # noqa: S603 - this interpreter, and what is above
        [sys.executable, flags, "-c", _PROGRAM, path, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(),
        check=False,
    )
    # Once more where Python starts again for its locale.
    answer = done.stdout.rpartition(_BEGIN)[2].partition(_END)[0]
    return done.returncode, answer.decode(errors="replace").splitlines()


def _environment() -> dict[str, str]:
    """Return the environment for an update; for root, without what the interpreter would heed.

    What it prints is read here, and has no colours.
    """
    names = os.environ.keys() if os.geteuid() != 0 else os.environ.keys() & _KEPT
    return {name: os.environ[name] for name in names if name != "FORCE_COLOR"}


def watch(site: str, source: str) -> None:
    """Update the caches when this process ends, if it is a pip that may install something.

    Args:
        site: The environment's directory of packages, with the start-up file in it.
        source: The path of this file.
    """
    # Some Pythons process the start-up files of a virtual environment twice.
    if hasattr(sys, _MARK) or not _may_be_pip() or not sys.executable:
        return
    if any(name in os.environ for name in _BUILDING):
        return
    setattr(sys, _MARK, True)
    atexit.register(_leave, site, source, _dates(site), os.getpid())


def _may_be_pip() -> bool:
    """Tell whether this process can be pip; with `-m`, `sys.argv` has no more than that yet."""
    if sys.argv[0] == "-m":
        # Which Python 3.9 does not have. Behind other letters it is in an argument such as -Impip.
        return any(each.endswith("pip") for each in getattr(sys, "orig_argv", ["pip"]))
    return _is_pip()


def _is_pip() -> bool:
    directory, name = os.path.split(sys.argv[0])
    if name in {"__main__.py", "__pip-runner__.py"}:  # the latter for an interpreter that is named
        name = os.path.basename(directory)
    return name in {"pip", "pip.pyz"} or (name[:3] == "pip" and not name[3:].strip("0123456789.-"))


def _leave(site: str, source: str, before: Dates, pid: int) -> None:
    """Update the caches after pip, whether it succeeded or not."""
    # A process that pip has forked may end in the same way, and must not.
    if os.getpid() != pid or not _is_pip():
        return
    with contextlib.suppress(Exception, KeyboardInterrupt):
        if os.path.exists(source):
            _update(site, source, before)
        else:
            _remove(site)


def _update(site: str, source: str, before: Dates) -> None:
    now = _dates(site)
    # What an earlier pip did that was killed, or another installer, shows in the other date.
    seen = os.stat(_file(site)).st_mtime_ns
    if now == before and (seen == now[site] or not os.access(site, os.W_OK)):
        return
    options = ["--python", sys.executable]
    user = _user_site()
    if user in now and now[user] != before.get(user):
        options += ["--path", user]
    above = os.path.dirname(os.path.dirname(os.path.dirname(source)))  # the package and its room
    ended, lines = update(above, *options)
    _say(lines)
    if not ended:  # pip may have removed what this needs, together with all that had plugins
        _remove_caches(site, orphans=True)
    else:
        os.utime(_file(site), ns=(now[site], now[site]))


def _dates(site: str) -> Dates:
    """Return when something was last installed in each directory of packages, or removed."""
    found = {}
    for path in (site, *sys.path, _user_site()):
        if path == site or os.path.basename(path) in _SITES:
            with contextlib.suppress(OSError):
                found[path] = date_of(path)
    return found


def date_of(site: str) -> int:
    """Return when something was last installed in a directory of packages, or removed from it.

    Whatever is has a directory of metadata there. If that stays, since the version is the same and
    nothing was removed first, the files in it are replaced.

    Args:
        site: The directory.

    Raises:
        OSError: It cannot be read.
    """
    dates = [os.stat(site).st_mtime_ns]
    with os.scandir(site) as entries:
        for entry in entries:
            if entry.name.endswith(_METADATA):
                with contextlib.suppress(OSError):  # it is being removed
                    dates.append(entry.stat().st_mtime_ns)
    return max(dates)


def _user_site() -> str:
    """Return the user's directory of packages, which need not exist; empty if it does not count.

    Root's is nobody else's, and must not have a say in what others find in the system's caches.
    """
    site = sys.modules.get("site")
    if os.geteuid() == 0 or not getattr(site, "ENABLE_USER_SITE", False):
        return ""
    return getattr(site, "USER_SITE", None) or ""


def _file(site: str) -> str:
    """Return the start-up file, whose date is the one that the directory had at the last update.

    Setting it leaves the directory as it is.
    """
    return next(filter(os.path.exists, (os.path.join(site, name) for name in NAMES)))


def _say(lines: list[str]) -> None:
    """Print one line on standard error; pip's standard output may be for a program to read."""
    if lines and sys.stderr:  # it is None where the descriptor is closed
        more = f" (and {len(lines) - 1} more: dropin-cache check)" if lines[1:] else ""
        line = lines[0] if lines[0].startswith("dropin-cache: ") else f"dropin-cache: {lines[0]}"
        sys.stderr.write(f"{line}{more}\n")


def _remove(site: str) -> None:
    """Remove the start-up files, and the caches, of a package that is not there any more.

    Nobody would keep them fresh. By descriptors, so that no link leads out of the directory.
    """
    for name in NAMES:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(site, name))
    compiled = os.path.join(site, BYTECODE)
    with contextlib.suppress(OSError):
        directory = os.open(compiled, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            for name in filter(is_compiled, os.listdir(directory)):
                os.unlink(name, dir_fd=directory)
        finally:
            os.close(directory)
        os.rmdir(compiled)  # if nothing else is in there
    _remove_caches(site, orphans=False)


def is_compiled(name: str) -> bool:
    """Tell whether a file in `__pycache__` is a compiled start-up file."""
    return name.startswith(NAMES[-1][:-2]) and name.endswith(".pyc")


def _remove_caches(site: str, *, orphans: bool) -> None:
    """Remove caches that we wrote, and directories that are left empty.

    Args:
        site: A directory of packages.
        orphans: Whether only those go that have no module beside them.
    """
    touched: set[str] = set()
    for directory, inner, files, descriptor in os.fwalk(site, topdown=False):
        with contextlib.suppress(OSError):
            alone = not orphans or (len(files) == 1 and not {*inner} - {BYTECODE})
            if _CACHE in files and alone and _is_ours(_CACHE, descriptor):
                os.unlink(_CACHE, dir_fd=descriptor)
                touched.add(directory)
        for name in inner:
            if os.path.join(directory, name) in touched:
                with contextlib.suppress(OSError):  # it is not empty
                    os.rmdir(name, dir_fd=descriptor)
                    touched.add(directory)


def _is_ours(name: str, directory: int) -> bool:
    """Tell whether a cache has our checksum; it is not one that Twisted has written."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    with open(descriptor, "rb") as file:
        data = file.read(_MAX_SIZE + 1)  # not all of a file that is there to fill the memory
    return data[-_SEAL:] == b"\x8c\x08%08x0." % crc32(data[:-_SEAL])
