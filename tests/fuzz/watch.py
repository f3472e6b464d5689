"""What a parser of foreign bytes must not do, seen through Python's own audit events.

The interpreter tells every import, every open and every start of anything to the hooks that are
set for it (`sys.addaudithook`), whoever asks for it and by whatever way. A hook cannot be taken
away again, so there is one for the process, and it looks only while a parser runs.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any

NOTHING: frozenset[str] = frozenset()
"""For what works on bytes in memory only."""

READING = frozenset({"open", "os.listdir", "os.scandir", "glob.glob", "glob.glob/2"})
"""For what reads files."""

KEEPING = READING | {
    "open to write",
    "os.rename",
    "os.remove",
    "os.chmod",
    "os.mkdir",
    "fcntl.flock",
    "builtins.id",  # this one and the next by filelock
    "sys._getframe",
}
"""For what also keeps a file of its own, under a lock."""

MAX_GROWTH = 16 << 20
"""Bytes by which one input, of a few thousand bytes, may make the process grow."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_noted: list[str] | None = None  # what has happened since a parser was called
_installed: list[bool] = []


class WatchError(AssertionError):
    """A parser did what it must not do."""


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _noted is None:
        return
    if event == "open" and type(arguments[2]) is int and arguments[2] & _WRITES:
        event = "open to write"
    _noted.append(f"import of {arguments[0]}" if event == "import" else event)


def _grown() -> int:
    """Return the most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@contextlib.contextmanager
def watched(allowed: frozenset[str] = NOTHING) -> Iterator[None]:
    """Watch what is done meanwhile.

    Args:
        allowed: The events that may happen.

    Raises:
        WatchError: Something else happened, a module appeared, or the process grew too much.
    """
    global _noted  # noqa: PLW0603 - the hook is the process's
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_note)
    modules, before = len(sys.modules), _grown()
    _noted = events = []
    try:
        yield
    finally:
        _noted = None
    if events and not allowed.issuperset(events):
        raise WatchError(f"it did what it must not do: {sorted({*events} - allowed)}")
    if len(sys.modules) != modules:
        raise WatchError("it changed which modules are loaded")
    if _grown() - before > MAX_GROWTH:
        raise WatchError(f"it made the process grow by {_grown() - before} bytes")
