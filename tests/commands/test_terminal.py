"""Standard input, output and error as they were inherited; closed ones are tested with the cli."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

from dropin_cache.commands import terminal

if TYPE_CHECKING:
    import pytest


class TestPrepare:
    """Making it possible to print anything."""

    def test_unencodable(self) -> None:
        """What the encoding lacks is escaped."""
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="ascii")
        with contextlib.redirect_stdout(stream):
            terminal.prepare()
            print("größe \ud800", end="", flush=True)  # noqa: T201 - that is what is tested
        assert b"gr\\xf6\\xdfe \\ud800" == raw.getvalue()

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where Python found no stream there is one that swallows everything."""
        monkeypatch.setattr(sys, "stdout", None)
        terminal.prepare()
        with sys.stdout as stream:
            assert 1 == stream.write("x")

    def test_something_else(self) -> None:
        """A stream that somebody put there is left as it is."""
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream):
            terminal.prepare()
            assert sys.stdout is stream

    def test_leaves_descriptors(self) -> None:
        """Descriptors that are open stay what they are."""
        before = [os.fstat(descriptor) for descriptor in range(3)]
        terminal.prepare()
        assert [each.st_ino for each in before] == [os.fstat(each).st_ino for each in range(3)]

    def test_no_device(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a chroot without devices, closed descriptors are opened all the same."""
        monkeypatch.setattr(os, "devnull", "/no/such/device")
        before = os.dup(0)
        os.close(0)
        try:
            terminal.prepare()
            assert b"" == os.read(0, 1)
        finally:
            os.dup2(before, 0)
            os.close(before)


class TestDiscard:
    """Throwing away what could not be printed."""

    def test_nothing_is_tried_again(self) -> None:
        """What is still in the buffer goes nowhere, and is no error."""
        reader, writer = os.pipe()
        os.close(reader)
        stream = os.fdopen(writer, "w")
        stream.write("x")
        with contextlib.redirect_stdout(stream):
            terminal.discard(sys.stdout)
        stream.close()

    def test_no_file(self) -> None:
        """A stream without a file has nothing to throw away."""
        terminal.discard(io.StringIO())
