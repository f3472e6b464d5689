"""Standard streams as they were inherited, and what is printed on them."""

from __future__ import annotations

import contextlib
import io
import os
import sys

import pytest

from dropin_cache import _colour
from dropin_cache.commands import terminal as streams
from terminals import Terminal


class TestPrepare:
    """Making it possible to print anything."""

    def test_unencodable(self) -> None:
        """What the encoding lacks is escaped."""
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="ascii")
        with contextlib.redirect_stdout(stream):
            streams.prepare()
            print("größe \ud800", end="", flush=True)  # noqa: T201 - that is what is tested
        assert b"gr\\xf6\\xdfe \\ud800" == raw.getvalue()

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where Python found no stream there is one that swallows everything."""
        monkeypatch.setattr(sys, "stdout", None)
        streams.prepare()
        with sys.stdout as stream:
            assert 1 == stream.write("x")

    def test_something_else(self) -> None:
        """A stream that somebody put there is left as it is."""
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream):
            streams.prepare()
            assert sys.stdout is stream

    def test_leaves_descriptors(self) -> None:
        """Descriptors that are open stay what they are."""
        before = [os.fstat(descriptor) for descriptor in range(3)]
        streams.prepare()
        assert [each.st_ino for each in before] == [os.fstat(each).st_ino for each in range(3)]

    def test_no_device(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a chroot without devices, closed descriptors are opened all the same."""
        monkeypatch.setattr(os, "devnull", "/no/such/device")
        before = os.dup(0)
        os.close(0)
        try:
            streams.prepare()
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
            streams.discard(sys.stdout)
        stream.close()

    def test_no_file(self) -> None:
        """A stream without a file has nothing to throw away."""
        streams.discard(io.StringIO())


class TestWidth:
    """How many columns there are."""

    @pytest.fixture(autouse=True)
    def _nobody_tells(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("COLUMNS", raising=False)

    @pytest.mark.parametrize(("columns", "width"), [(40, 40), (200, 200), (0, 80)])
    def test_terminal(self, columns: int, width: int) -> None:
        """A terminal tells; one that cannot is taken for a usual one."""
        terminal = Terminal(columns)
        with terminal.as_stdout():
            assert width == streams.width()
        assert "" == terminal.text()

    def test_pipe(self) -> None:
        """A pipe has none."""
        with contextlib.redirect_stdout(io.StringIO()):
            assert streams.width() is None

    @pytest.mark.parametrize(("text", "width"), [("50", 50), ("0", None), ("x", None), ("", None)])
    def test_told(self, monkeypatch: pytest.MonkeyPatch, text: str, width: int | None) -> None:
        """The variable counts more, if it is a number."""
        monkeypatch.setenv("COLUMNS", text)
        with contextlib.redirect_stdout(io.StringIO()):
            assert width == streams.width()

    def test_no_descriptor(self) -> None:
        """What calls itself a terminal and is none is taken for a usual one."""

        class Odd(io.StringIO):
            def isatty(self) -> bool:
                return True

        with contextlib.redirect_stdout(Odd()):
            assert 80 == streams.width()


class TestColours:
    """Where lines have colours."""

    @pytest.fixture(autouse=True)
    def _usual(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm")

    def test_terminal(self) -> None:
        """On a terminal, each stream by itself."""
        terminal, output = Terminal(), io.StringIO()
        with terminal.as_stdout(), contextlib.redirect_stderr(output):
            streams.result("fresh: \x1b/a")
            streams.title("a.b: broken")
            streams.message("error", "b")
            streams.relay("dropin-cache: error: c")
        assert [
            _colour.line("fresh: \\x1b/a"),
            _colour.title("a.b: broken"),
            "",
        ] == terminal.text().split("\r\n")
        assert "dropin-cache: error: b\ndropin-cache: error: c\n" == output.getvalue()

    def test_error(self) -> None:
        """So are messages, whoever has made them."""
        terminal, output = Terminal(), io.StringIO()
        with terminal.as_stderr(), contextlib.redirect_stdout(output):
            streams.result("fresh: /a")
            streams.title("a.b: broken")
            streams.message("error", "b")
            streams.relay("dropin-cache: warning: c")
            streams.remedy("d")
        assert [
            _colour.line("dropin-cache: error: b"),
            _colour.line("dropin-cache: warning: c"),
            "  d",
            "",
        ] == terminal.text().split("\r\n")
        assert "fresh: /a\na.b: broken\n" == output.getvalue()
