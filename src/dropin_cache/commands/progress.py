"""The line that shows how far an update is: on one line of a terminal, and gone at the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Callable

from dropin_cache.commands import terminal
from dropin_cache.update.text import one_line

_DELAY = 1.0  # seconds of silence that people take for normal
_CUT = "..."


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Provide a progress line, on a terminal and for runs of more than a second.

    Args:
        quiet: Whether to show nothing.

    Yields:
        A function to call with the number of imports done, their count and the module's name.
    """
    started = time.monotonic()
    shown = 0

    def show(number: int, count: int, module: str) -> None:
        nonlocal shown
        width = 0 if quiet or time.monotonic() - started < _DELAY else terminal.progress_width()
        if width:
            line = _fit(f"dropin-cache: {number + 1}/{count} ", one_line(module), width)
            shown = terminal.overwrite(line, shown)

    try:
        yield show
    finally:
        if shown:
            terminal.overwrite("", shown)


def _fit(front: str, name: str, width: int) -> str:
    """Cut a line to a width: the end of a name tells most, and how many there are tells more."""
    room = width - terminal.cells(front)
    if terminal.cells(name) > room:
        while name and terminal.cells(name) > room - len(_CUT):
            name = name[1:]
        name = _CUT + name if name else ""
    return (front + name)[:width]
