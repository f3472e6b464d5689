"""Standard input, output and error, in whatever state they were inherited."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO


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
    """Throw away what could not be printed, so that leaving does not try it again."""
    nothing = _nothing()
    with contextlib.suppress(OSError):
        os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _nothing() -> int:
    """Open something that is empty and swallows everything."""
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError:  # a chroot may have no devices
        return os.memfd_create("nothing")
