"""Run an installer, and update the caches of what it has changed."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Callable

from dropin_cache.errors import (
    EXIT_SIGNAL,
    CommandError,
    DirectoryError,
    UntrustedError,
)
from dropin_cache.installers.candidates import INSTALLERS, chosen, interpreter_in, kept
from dropin_cache.installers.pip_hook import date_of, isolated, update
from dropin_cache.installers.sites import (
    CUT_SHORT,
    configured_pythons,
    is_own,
    prefix_of,
    sites,
    snapshot,
)
from dropin_cache.update.files.reading import read_file
from dropin_cache.update.targets import python_paths

_UNUSABLE = frozenset((DirectoryError.exit_code, UntrustedError.exit_code))
_MAX_SIZE = 1 << 16  # bytes of a pyvenv.cfg; those of venv have less than a thousand
_NOTHING = (
    "dropin-cache: info: nothing has changed in {0}; if {1} has changed another environment, name "
    "it: dropin-cache run --python ENVIRONMENT -- {1} ..."
)


def run(
    command: Sequence[str],
    pythons: Sequence[str],
    paths: Sequence[str],
    say: Callable[[str], object],
) -> int:
    """Run a command, then update the caches of the environments in which it changed something.

    Args:
        command: The program and its arguments.
        pythons: Those environments, or their interpreters; none for those that installers may mean.
        paths: Directories to import from besides.
        say: Called with each line that there is to say about the update.

    Returns:
        The command's exit status; 128 and the number of the signal that ended it. Where what is
        selected cannot be used, nothing has been run, and it is that of the errors about that.

    Raises:
        InterpreterError: One of the interpreters is not there, and nothing has been run.
        CommandError: It cannot be run.
    """
    paths = [os.path.abspath(path) for path in paths]
    given = python_paths(pythons) if pythons else []
    if given or paths:
        # It imports nothing, and cannot be about what is not there, is no Python or not trusted.
        status, lines = isolated(_own_path(), "list", *_options(given, paths), flags=_flags())
        if status in _UNUSABLE:
            for line in lines:
                say(line)
            return status
    before = _look(given, command, paths)
    could = {python for python in before if _may_have_plugins(python)}
    status = _ended(command)
    after = _look(given, command, paths)  # it may have made some of them
    changed = [
        python
        for python, seen in after.items()
        if seen != before.get(python) or CUT_SHORT in seen  # then nobody knows
    ]
    for python in changed:
        # What had plugins may have lost them, and zope.interface, too: their caches go.
        if python in could or _may_have_plugins(python):
            for line in _update(python, paths):
                say(line)
    name = os.path.basename(command[0])
    if not changed and status == 0 and name in INSTALLERS and set(after) <= set(_always()):
        say(_NOTHING.format(", ".join(map(prefix_of, after)), name))
    return status


def _ended(command: Sequence[str]) -> int:
    """Run a command to its end. It has the terminal, and gets the signals for this process."""
    with _signals_passed_on() as pass_to:
        try:
            # Root's process itself has none any more, for libraries of C; see `_caller`.
            process = subprocess.Popen(command, env=os.environ)  # noqa: S603 - that was asked for
        except OSError as error:
            raise CommandError(command[0], error.errno or errno.EIO) from error
        pass_to(process)
        status = process.wait()
    return status if status >= 0 else EXIT_SIGNAL - status


@contextlib.contextmanager
def _signals_passed_on() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Pass signals that ask for an end on to a process, which the function that it yields takes."""
    started: list[subprocess.Popen[bytes]] = []
    early: list[int] = []  # it may run, and somebody may know it, before it is known here

    def pass_on(number: int, _: object) -> None:
        early.append(number)
        for process in started:
            process.send_signal(number)

    def pass_to(process: subprocess.Popen[bytes]) -> None:
        started.append(process)
        for number in early:
            process.send_signal(number)

    def ignore(*_: object) -> None:
        """Do nothing: the terminal has sent it to the command, too.

        A signal that is ignored would be ignored by the command as well.
        """

    handlers: dict[signal.Signals, Callable[[int, Any], None]] = {
        signal.SIGTERM: pass_on,
        signal.SIGHUP: pass_on,
        signal.SIGINT: ignore,
        signal.SIGQUIT: ignore,
    }
    former = {
        number: signal.signal(number, handler)
        for number, handler in handlers.items()
        if signal.getsignal(number) != signal.SIG_IGN  # as the caller wants it
    }
    try:
        yield pass_to
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _always() -> list[str]:
    """Return the interpreters that any command may be about."""
    return list(dict.fromkeys([sys.executable, *configured_pythons()]))


def _look(given: Sequence[str], command: Sequence[str], paths: Sequence[str]) -> dict[str, Any]:
    """Return what there is in each environment that the command may be about, by interpreter.

    Others than root may have left anything above root's directory, and in what a variable names.
    Nor does anybody else want to import what somebody has left in /tmp.
    """
    found: dict[str, Any] = {}
    near = given or [*_always(), *map(interpreter_in, filter(is_own, chosen(command)))]
    for python in {prefix_of(python): python for python in reversed(near)}.values():
        found[python] = snapshot([*sites(prefix_of(python)), *paths])
    # There may be many. Whatever an installer does leaves a trace in the dates of directories.
    more = () if given else set(kept()) - set(map(prefix_of, found))
    for prefix in filter(is_own, sorted(more)):
        dates = {site: date_of(site) for site in sites(prefix)}
        found[interpreter_in(prefix)] = dates
    return found


def _may_have_plugins(python: str) -> bool:
    """Tell whether an environment has what every plugin needs, or may have it from elsewhere."""
    prefix = prefix_of(python)
    if any(os.path.exists(os.path.join(site, "zope", "interface")) for site in sites(prefix)):
        return True
    with contextlib.suppress(OSError):
        text = read_file(os.path.join(prefix, "pyvenv.cfg"), _MAX_SIZE)
        return b"true" in text.partition(b"include-system-site-packages")[2][:16]
    return python == sys.executable


def _update(python: str, paths: Sequence[str]) -> list[str]:
    """Update caches in a new process: the command may have replaced what this one consists of."""
    return update(_own_path(), *_options([python], paths), flags=_flags())[1]


def _options(pythons: Sequence[str], paths: Sequence[str]) -> list[str]:
    return [*(f"--python={each}" for each in pythons), *(f"--path={each}" for each in paths)]


def _own_path() -> str:
    """Return where this package, and what it needs, may be."""
    return ":".join(filter(None, sys.path))


def _flags() -> str:
    return "-IS" if sys.flags.no_site else "-I"
