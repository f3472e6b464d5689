"""Standard input, output and error, in whatever state they were inherited; the progress line."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Callable, TextIO

from dropin_cache.update.text import one_line

_MAX_CELL = 200  # characters
_PROGRESS_DELAY = 1.0  # seconds of silence that people take for normal


def prepare() -> None:
    """Make it possible to print anything.

    Descriptors that are closed are opened on nothing, lest a cache be opened in their
    place and messages be printed into it. Characters that the terminal's encoding lacks are
    escaped.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            _nothing()  # takes the lowest number, which is this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.StringIO())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard(stream: TextIO) -> None:
    """Throw away what could not be printed, so that leaving does not try it again.

    Args:
        stream: Standard output or error.
    """
    nothing = _nothing()
    with contextlib.suppress(OSError):
        os.dup2(nothing, stream.fileno())
    os.close(nothing)


def result(text: str) -> None:
    """Print a line on standard output.

    Args:
        text: The line, of any characters.

    Raises:
        OSError: It cannot be printed.
    """
    print(one_line(text))


def table(lines: Sequence[Sequence[str]]) -> None:
    """Print lines in columns on standard output.

    Args:
        lines: The cells of each line, of any characters; the last column is not padded, and the
            others are cut where they are very wide.

    Raises:
        OSError: They cannot be printed.
    """
    escaped = [[one_line(cell[:_MAX_CELL]) for cell in line[:-1]] for line in lines]
    widths = [max(map(len, column)) for column in zip(*escaped)]
    for line, cells in zip(lines, escaped):
        padded = [cell.ljust(width) for cell, width in zip(cells, widths)]
        result("  ".join([*padded, line[-1]]).rstrip())


def message(kind: str, text: str) -> None:
    """Print a line for a person on standard error; as for `line_of`."""
    _say(line_of(kind, text))


def line_of(kind: str, text: str) -> str:
    """Return a line for a person, as it is printed.

    Args:
        kind: error, warning or info.
        text: The line, of any characters.
    """
    return f"dropin-cache: {kind}: {one_line(text)}"


def remedy(text: str) -> None:
    """Print a line that says what to do about the line before.

    Args:
        text: The line, of any characters.
    """
    _say(f"  {one_line(text)}")


def relay(line: str) -> None:
    """Print a line that another process of ours has made, on standard error.

    Args:
        line: The line, fit for a terminal already.
    """
    _say(line)


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
        if quiet or not sys.stderr.isatty() or time.monotonic() - started < _PROGRESS_DELAY:
            return
        line = one_line(f"dropin-cache: {number + 1}/{count} {module}")
        print(f"\r{line.ljust(shown)}", end="", file=sys.stderr, flush=True)
        shown = len(line)

    try:
        yield show
    finally:
        if shown:
            print("\r" + " " * shown + "\r", end="", file=sys.stderr, flush=True)


def _say(line: str) -> None:
    try:
        print(line, file=sys.stderr)
    except OSError:  # that nobody can read it is no reason not to do what is to be done
        discard(sys.stderr)


def _nothing() -> int:
    """Open something that is empty and swallows everything."""
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError:  # a chroot may have no devices
        return os.memfd_create("nothing")
