"""The line that shows how far an update is."""

from __future__ import annotations

import contextlib
import io
import re

import pytest

from command_line import IN_SANDBOX, finish, no_process_left, start
from conftest import Tree
from dropin_cache.commands import progress as lines
from dropin_cache.commands.progress import progress
from terminals import Terminal


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show progress at once, on terminals that can do what terminals do."""
    monkeypatch.setattr(lines, "_DELAY", 0)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def terminal() -> Terminal:
    """A terminal of the usual width."""
    return Terminal()


class TestProgress:
    """The progress line."""

    def test_line(self, terminal: Terminal) -> None:
        """It is overwritten by the next, and wiped out at the end."""
        with terminal.as_stderr(), progress(quiet=False) as show:
            show(0, 2, "app.plugins.longer")
            show(1, 2, "app.plugins.short")
        first = "dropin-cache: 1/2 app.plugins.longer"
        second = "dropin-cache: 2/2 app.plugins.short"
        assert f"\r{first}\r{second} \r{' ' * len(second)}\r" == terminal.text()

    def test_short_run(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        """Runs that are soon over show nothing."""
        monkeypatch.setattr(lines, "_DELAY", 60)
        with terminal.as_stderr(), progress(quiet=False) as show:
            show(0, 1, "app.plugins.one")
        assert "" == terminal.text()

    def test_quiet(self, terminal: Terminal) -> None:
        """Nor do quiet ones."""
        with terminal.as_stderr(), progress(quiet=True) as show:
            show(0, 1, "app.plugins.one")
        assert "" == terminal.text()

    @pytest.mark.parametrize("kind", ["dumb", ""])
    def test_dumb(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        """A terminal that only prints lines, or that nobody knows, shows nothing."""
        monkeypatch.setenv("TERM", kind)
        with terminal.as_stderr(), progress(quiet=False) as show:
            show(0, 1, "app.plugins.one")
        assert "" == terminal.text()

    @pytest.mark.parametrize(
        ("columns", "module", "shown"),
        [
            (36, "app.plugins.longer", "dropin-cache: 9/12 ...lugins.longer"),
            (24, "app.plugins.longer", "dropin-cache: 9/12 ...r"),
            (22, "app.plugins.longer", "dropin-cache: 9/12 "),
            (10, "app.plugins.longer", "dropin-ca"),
            (36, "größe.größer", "dropin-cache: 9/12 größe.größer"),
            (36, "插件.插件.插件.插件", "dropin-cache: 9/12 ...件.插件.插件"),
            (0, "x" * 99, f"dropin-cache: 9/12 ...{'x' * 57}"),
        ],
    )
    def test_fits(self, columns: int, module: str, shown: str) -> None:
        """It fits the width, less one column: the end of a name is what tells most."""
        terminal = Terminal(columns)
        with terminal.as_stderr(), progress(quiet=False) as show:
            show(8, 12, module)
        assert f"\r{shown}" == terminal.text().rpartition("\r")[0].rpartition("\r")[0]

    def test_control_characters(self, terminal: Terminal) -> None:
        """A file's name cannot move the cursor."""
        with terminal.as_stderr(), progress(quiet=False) as show:
            show(0, 1, "app.plugins.\x1b[2Jone\n")
        assert not set("\x1b\n") & set(terminal.text())

    def test_no_terminal(self) -> None:
        """Nor those whose output goes elsewhere."""
        output = io.StringIO()
        with contextlib.redirect_stderr(output), progress(quiet=False) as show:
            show(0, 1, "app.plugins.one")
        assert "" == output.getvalue()

    def test_wiped_out_before_an_error(self, terminal: Terminal) -> None:
        """It is gone before anything else is printed."""

        def fail() -> None:
            with progress(quiet=False) as show:
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
