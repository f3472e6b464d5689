"""Words for people: the progress line, mostly; whole outputs are tested with the commands."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
from collections.abc import Iterator

import pytest

from command_line import IN_SANDBOX, finish, no_process_left, start
from conftest import Tree
from dropin_cache.commands import words
from dropin_cache.errors import DropinCacheError

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
    monkeypatch.setattr(words, "_PROGRESS_DELAY", 0)
    return Terminal()


class TestProgress:
    """The progress line."""

    def test_line(self, terminal: Terminal) -> None:
        """It is overwritten by the next, and wiped out at the end."""
        with terminal.as_stderr(), words.progress(quiet=False) as show:
            show(0, 2, "app.plugins.longer")
            show(1, 2, "app.plugins.short")
        first = "dropin-cache: 1/2 app.plugins.longer"
        second = "dropin-cache: 2/2 app.plugins.short"
        assert f"\r{first}\r{second} \r{' ' * len(second)}\r" == terminal.text()

    def test_short_run(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        """Runs that are soon over show nothing."""
        monkeypatch.setattr(words, "_PROGRESS_DELAY", 60)
        with terminal.as_stderr(), words.progress(quiet=False) as show:
            show(0, 1, "app.plugins.one")
        assert "" == terminal.text()

    def test_quiet(self, terminal: Terminal) -> None:
        """Nor do quiet ones."""
        with terminal.as_stderr(), words.progress(quiet=True) as show:
            show(0, 1, "app.plugins.one")
        assert "" == terminal.text()

    def test_control_characters(self, terminal: Terminal) -> None:
        """A file's name cannot move the cursor."""
        with terminal.as_stderr(), words.progress(quiet=False) as show:
            show(0, 1, "app.plugins.\x1b[2Jone\n")
        assert not set("\x1b\n") & set(terminal.text())

    def test_no_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor those whose output goes elsewhere."""
        monkeypatch.setattr(words, "_PROGRESS_DELAY", 0)
        output = io.StringIO()
        with contextlib.redirect_stderr(output), words.progress(quiet=False) as show:
            show(0, 1, "app.plugins.one")
        assert "" == output.getvalue()

    def test_wiped_out_before_an_error(self, terminal: Terminal) -> None:
        """It is gone before anything else is printed."""

        def fail() -> None:
            with words.progress(quiet=False) as show:
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


class TestError:
    """Errors."""

    def test_without_advice(self, capsys: pytest.CaptureFixture[str]) -> None:
        """An error for which there is no advice is told without."""
        words.error(DropinCacheError("strange"))
        assert "dropin-cache: error: strange\n" == capsys.readouterr().err
