"""Standard streams as they were inherited, and the progress line."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import sys
from collections.abc import Iterator

import pytest

from command_line import IN_SANDBOX, finish, no_process_left, start
from conftest import Tree
from dropin_cache.commands import terminal as streams

_MARK = b"<end>"


class Terminal:
    """A terminal that remembers what was printed on it."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()

    @contextlib.contextmanager
    def as_stderr(self) -> Iterator[None]:
        """Be standard error for a while."""
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(os.fdopen(self.theirs, "w", closefd=False))
            stack.enter_context(contextlib.redirect_stderr(stream))
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


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal, for runs that show their progress at once."""
    monkeypatch.setattr(streams, "_PROGRESS_DELAY", 0)
    return Terminal()


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


class TestTable:
    """Columns."""

    def test_columns(self, capsys: pytest.CaptureFixture[str]) -> None:
        """They are as wide as their widest cells, and no line ends in spaces."""
        streams.table([("A", "LONG", "C"), ("longer", "x", "y"), ("a", "b", "")])
        expected = "A       LONG  C\nlonger  x     y\na       b\n"
        assert (expected, "") == capsys.readouterr()

    def test_control_characters(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What is in a cell neither moves the cursor nor begins a line."""
        streams.table([("\n", "x"), ("ab", "\x1b")])
        assert ("\\n  x\nab  \\x1b\n", "") == capsys.readouterr()


class TestProgress:
    """The progress line."""

    def test_line(self, terminal: Terminal) -> None:
        """It is overwritten by the next, and wiped out at the end."""
        with terminal.as_stderr(), streams.progress(quiet=False) as show:
            show(0, 2, "app.plugins.longer")
            show(1, 2, "app.plugins.short")
        first = "dropin-cache: 1/2 app.plugins.longer"
        second = "dropin-cache: 2/2 app.plugins.short"
        assert f"\r{first}\r{second} \r{' ' * len(second)}\r" == terminal.text()

    def test_short_run(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        """Runs that are soon over show nothing."""
        monkeypatch.setattr(streams, "_PROGRESS_DELAY", 60)
        with terminal.as_stderr(), streams.progress(quiet=False) as show:
            show(0, 1, "app.plugins.one")
        assert "" == terminal.text()

    def test_quiet(self, terminal: Terminal) -> None:
        """Nor do quiet ones."""
        with terminal.as_stderr(), streams.progress(quiet=True) as show:
            show(0, 1, "app.plugins.one")
        assert "" == terminal.text()

    def test_control_characters(self, terminal: Terminal) -> None:
        """A file's name cannot move the cursor."""
        with terminal.as_stderr(), streams.progress(quiet=False) as show:
            show(0, 1, "app.plugins.\x1b[2Jone\n")
        assert not set("\x1b\n") & set(terminal.text())

    def test_no_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor those whose output goes elsewhere."""
        monkeypatch.setattr(streams, "_PROGRESS_DELAY", 0)
        output = io.StringIO()
        with contextlib.redirect_stderr(output), streams.progress(quiet=False) as show:
            show(0, 1, "app.plugins.one")
        assert "" == output.getvalue()

    def test_wiped_out_before_an_error(self, terminal: Terminal) -> None:
        """It is gone before anything else is printed."""

        def fail() -> None:
            with streams.progress(quiet=False) as show:
                show(0, 1, "one")
                raise KeyError

        with terminal.as_stderr(), pytest.raises(KeyError):
            fail()
        assert terminal.text().endswith(f"one\r{' ' * len('dropin-cache: 1/1 one')}\r")

    @pytest.mark.processes
    def test_for_real(self, tree: Tree) -> None:
        """A run of more than a second shows it."""
        tree.application()
        tree.write("app/plugins/a.py", "import time; time.sleep(1.2)")
        tree.dropin("b")
        terminal = Terminal()
        with no_process_left():
            process = start("update", "app.plugins", "--path", tree.path, stderr=terminal.theirs)
            outcome = finish(process)
        text = terminal.text()
        line = "dropin-cache: 2/2 app.plugins.b"
        assert 0 == outcome.status
        assert re.fullmatch(f"written: .*\n{IN_SANDBOX}", outcome.out)
        assert text.endswith(f"\r{line}\r{' ' * len(line)}\r")


def test_wide_cells(capsys: pytest.CaptureFixture[str]) -> None:
    """What a plugin is called does not make the lines of others endless."""
    streams.table([("a", "x" * 9999, "1"), ("b", "y", "2")])
    assert ["a  " + "x" * 200 + "  1", "b  y" + " " * 199 + "  2"] == (
        capsys.readouterr().out.splitlines()
    )
