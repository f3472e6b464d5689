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

from dropin_cache.errors import EXIT_SIGNAL, CommandError
from dropin_cache.installers.pip_hook import update
from dropin_cache.installers.sites import (
    CUT_SHORT,
    Snapshot,
    configured_pythons,
    is_own,
    prefix_of,
    sites,
    snapshot,
)
from dropin_cache.update.files.reading import read_file

_MAX_SIZE = 1 << 16  # bytes of a pyvenv.cfg; those of venv have less than a thousand
# Where installers look for an environment: conda's variable is its own, uv reads all three.
_ENVIRONMENTS = ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT")
_PROJECT = ".venv"  # uv's and poetry's, in the directory of the project


def run(
    command: Sequence[str],
    pythons: Sequence[str],
    paths: Sequence[str],
    say: Callable[[str], object],
) -> int:
    """Run a command, then update the caches of the environments in which it changed something.

    Args:
        command: The program and its arguments.
        pythons: The interpreters of those environments; none for those that installers may mean.
        paths: Directories to import from besides.
        say: Called with each line that there is to say about the update.

    Returns:
        The command's exit status; 128 and the number of the signal that ended it.

    Raises:
        CommandError: It cannot be run.
    """
    paths = [os.path.abspath(path) for path in paths]
    given = [os.path.abspath(python) for python in pythons]
    before = {python: _seen(python, paths) for python in given or _pythons()}
    status = _ended(command)
    # It may have made some of them.
    after = {python: _seen(python, paths) for python in given or _pythons()}
    changed = [
        python
        for python, seen in after.items()
        if seen != before.get(python) or CUT_SHORT in seen  # then nobody knows
    ]
    if changed:
        for line in _update([each for each in changed if _may_have_plugins(each)], paths):
            say(line)
    return status


def _ended(command: Sequence[str]) -> int:
    """Run a command to its end. It has the terminal, and gets the signals for this process."""
    with _signals_passed_on() as pass_to:
        try:
            process = subprocess.Popen(command)  # noqa: S603 - that is what was asked for
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


def _pythons() -> list[str]:
    """Return the interpreters of environments that an installer may change.

    Others than root may have left anything above root's directory, and in what a variable names.
    Nor does anybody else want to import what somebody has left in /tmp.
    """
    found = [sys.executable]
    directories = [os.environ.get(name, "") for name in _ENVIRONMENTS]
    for directory in [*directories, *_project_environments()]:
        python = os.path.join(os.path.abspath(directory), "bin", "python")
        if directory and os.path.exists(python) and is_own(os.path.abspath(directory)):
            found.append(python)
    found += configured_pythons()
    return list({prefix_of(python): python for python in reversed(found)}.values())[::-1]


def _project_environments() -> Iterator[str]:
    """Yield the environment of the project in which this directory is, if it has one."""
    directory = os.getcwd()
    while True:
        yield os.path.join(directory, _PROJECT)
        if directory == "/":
            return
        directory = os.path.dirname(directory)


def _seen(python: str, paths: Sequence[str]) -> Snapshot:
    return snapshot([*sites(prefix_of(python)), *paths])


def _may_have_plugins(python: str) -> bool:
    """Tell whether an environment has what every plugin needs, or may have it from elsewhere."""
    prefix = prefix_of(python)
    if any(os.path.exists(os.path.join(site, "zope", "interface")) for site in sites(prefix)):
        return True
    with contextlib.suppress(OSError):
        text = read_file(os.path.join(prefix, "pyvenv.cfg"), _MAX_SIZE)
        return b"true" in text.partition(b"include-system-site-packages")[2][:16]
    return python == sys.executable


def _update(pythons: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Update caches in a new process: the command may have replaced what this one consists of."""
    if not pythons:
        return []
    options = [f"--python={python}" for python in pythons]
    options += [f"--path={path}" for path in paths]
    flags = "-IS" if sys.flags.no_site else "-I"
    return update(":".join(filter(None, sys.path)), *options, flags=flags)[1]
