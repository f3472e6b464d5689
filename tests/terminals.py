"""A terminal for tests of what is printed on one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator

_MARK = b"<end>"


class Terminal:
    """A terminal of some width that remembers what was printed on it."""

    def __init__(self, columns: int = 80) -> None:
        self.ours, self.theirs = pty.openpty()
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, size)

    @contextlib.contextmanager
    def as_stderr(self) -> Iterator[None]:
        """Be standard error for a while."""
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(os.fdopen(self.theirs, "w", closefd=False))
            stack.enter_context(contextlib.redirect_stderr(stream))
            yield

    @contextlib.contextmanager
    def as_stdout(self) -> Iterator[None]:
        """Be standard output for a while."""
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(os.fdopen(self.theirs, "w", closefd=False))
            stack.enter_context(contextlib.redirect_stdout(stream))
            yield

    def text(self) -> str:
        """Close the terminal and return everything."""
        # Read up to a mark of our own: what is still on its way when a terminal ends may be lost.
        os.write(self.theirs, _MARK)
        text = b""
        while not text.endswith(_MARK):
            text += os.read(self.ours, 9999)
        os.close(self.theirs)
        os.close(self.ours)
        return text[: -len(_MARK)].decode()
