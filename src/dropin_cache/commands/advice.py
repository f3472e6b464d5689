"""Errors and warnings for people, with what to do about them."""

from __future__ import annotations

import sys
from typing import Any, Callable

from dropin_cache.commands import terminal
from dropin_cache.errors import (
    CommandError,
    ConfigurationError,
    ConfinementError,
    DropinCacheError,
    ImportRootError,
    InterpreterError,
    LockTimeoutError,
    NoProcError,
    NoSandboxError,
    NotWrittenError,
    PackageBrokenError,
    PackageNotFoundError,
    UnknownNameError,
    UnreadableError,
    UnstableError,
    UntrustedError,
    ZopeInterfaceMissingError,
)
from dropin_cache.update.text import one_line

_ADVICE: dict[type, Callable[[Any], str]] = {
    PackageNotFoundError: lambda error: (
        f"Check the spelling, or name the interpreter that has it: --python EXE. "
        f"To see what {error.python} imports: {error.python} -c 'import {error.package}'"
    ),
    PackageBrokenError: lambda error: (
        f"The package itself fails, not a drop-in: repair or reinstall what owns {error.package}."
    ),
    InterpreterError: lambda _: "Give the path of a Python 3.9 or later: --python /usr/bin/python3",
    ZopeInterfaceMissingError: lambda error: (
        f"Without it there are no plugins. To install it: {error.python} -m pip install "
        "zope.interface (Debian: apt install python3-zope.interface)"
    ),
    ImportRootError: lambda _: "--path takes an existing directory, as PYTHONPATH does.",
    UnknownNameError: lambda _: (
        "Give the name of a drop-in such as twisted.plugins.twisted_web, or its path. "
        "To see what is in the caches: dropin-cache list"
    ),
    NotWrittenError: lambda error: f"Mend that, or run this as the owner of {error.path}.",
    LockTimeoutError: lambda _: "Try again when it is done, or wait longer: --lock-timeout S",
    UntrustedError: lambda error: (
        f"Only root may be able to change it: chown root {error.component} && "
        f"chmod go-w {error.component}. Or run this as its owner; to trust a group: "
        "trusted-groups in /etc/dropin-cache/dropin-cache.conf"
    ),
    ConfigurationError: lambda _: "Nothing in this file counts until that is mended.",
    NoSandboxError: lambda _: (
        "Root imports no plugins without one: apt install bubblewrap (or dnf, pacman), or use a "
        "kernel that has Landlock."
    ),
    ConfinementError: lambda _: (
        "Nothing was imported. Take another sandbox (--sandbox), and please report this."
    ),
    UnreadableError: lambda _: "The caches of its package are as they were. Try again.",
    CommandError: lambda _: (
        "Nothing was run. The command stands behind two dashes: dropin-cache run -- uv sync"
    ),
    NoProcError: lambda _: (
        "Mount it (mount -t proc proc /proc), or run from outside: update-dropin-cache --root DIR"
    ),
    UnstableError: lambda _: "Try again when whatever installs software there is done.",
}


def message(kind: str, text: str) -> None:
    """Print a line for a person on standard error."""
    _say(f"dropin-cache: {kind}: {one_line(text)}")


def advice(text: str) -> None:
    """Print a line that says what to do about the line before."""
    _say(f"  {one_line(text)}")


def _say(line: str) -> None:
    try:
        print(line, file=sys.stderr)
    except OSError:  # that nobody can read it is no reason not to do what is to be done
        terminal.discard(sys.stderr)


def error(problem: DropinCacheError, *, verbose: bool = False, brief: bool = False) -> None:
    """Print an error and what to do about it.

    Args:
        problem: The error.
        verbose: Whether to print a traceback where there is one.
        brief: Whether to print no more than one line.
    """
    message("error", str(problem))
    if brief:
        return
    if verbose and isinstance(problem, PackageBrokenError):
        for line in problem.traceback.splitlines():
            advice(line)
    if type(problem) in _ADVICE:
        advice(_ADVICE[type(problem)](problem))
