"""Standard input, output and error, in whatever state they were inherited; how wide, and dumb."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO

from dropin_cache import _colour
from dropin_cache.update.text import one_line

_USUAL_WIDTH = 80  # of terminals that do not tell, such as serial ones


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
    text = one_line(text)
    print(_colour.line(text) if _has_colours(sys.stdout) else text)


def title(text: str) -> None:
    """Print on standard output what the lines below it are about; as for `result`."""
    text = one_line(text)
    print(_colour.title(text) if _has_colours(sys.stdout) else text)


def width() -> int | None:
    """Return how many columns standard output has, None where no number is the right one.

    As other programs, this believes COLUMNS. A file or a pipe has no columns.
    """
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    return _columns(sys.stdout) if sys.stdout.isatty() else None


def progress_width() -> int:
    """Return how many columns standard error has for a line that is overwritten; 0 if it has none.

    The last one stays free: some terminals begin a new line when it is filled.
    """
    if not sys.stderr.isatty() or _colour.is_dumb():
        return 0
    return _columns(sys.stderr) - 1


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


def overwrite(line: str, former: int) -> int:
    """Print a line in the place of another, on standard error.

    Args:
        line: The new one, fit for a terminal and its width.
        former: How many columns the other has.

    Returns:
        How many the new one has.
    """
    taken = cells(line)
    blank = " " * (former - taken)
    print(f"\r{line}{blank}", end="" if line else "\r", file=sys.stderr, flush=True)
    return taken


def cells(text: str) -> int:
    """Return how many columns a text takes.

    Args:
        text: The text, fit for a terminal.
    """
    if text.isascii():
        return len(text)
    import unicodedata  # noqa: PLC0415 - seldom wanted

    wide = sum(unicodedata.east_asian_width(each) in {"W", "F"} for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) != 0 for each in text)


def _say(line: str) -> None:
    try:
        print(_colour.line(line) if _has_colours(sys.stderr) else line, file=sys.stderr)
    except OSError:  # that nobody can read it is no reason not to do what is to be done
        discard(sys.stderr)


def _has_colours(stream: TextIO) -> bool:
    return _colour.wanted(terminal=stream.isatty())


def _columns(stream: TextIO) -> int:
    """Return how wide a terminal is."""
    with contextlib.suppress(OSError):
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDTH
    return _USUAL_WIDTH


def _nothing() -> int:
    """Open something that is empty and swallows everything."""
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError:  # a chroot may have no devices
        return os.memfd_create("nothing")
