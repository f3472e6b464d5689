"""What a run notes when it has left nothing to do."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import no_process_left, run
from conftest import Tree, run_python
from dropin_cache import _quick
from dropin_cache.update.orchestrator import update as run_update
from dropin_cache.update.report import Request, Said
from dropin_cache.update.settings import configuration
from dropin_cache.update.state import quick_list
from environments import Environment, own_environment
from updates import SETTLED, ledger_file

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root's runs note anything")

STATE = Path(_quick.STATE_DIRECTORY)


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@pytest.fixture
def site(public_path: Path) -> Environment:
    """An environment with a declared plugin package, a drop-in, and what that imports."""
    made = own_environment(public_path / "environment")
    tree = Tree(made.site)
    tree.application()
    tree.write("dependency.py", "CONSTANT = 1\n")
    tree.dropin("one")
    with (made.site / "app/plugins/one.py").open("a") as file:
        file.write("import dependency\n")
    tree.declare("app.plugins")
    return made


def list_of(site: Environment) -> Path:
    """Return where the list of the environment's interpreter is."""
    return STATE / _quick.name_of(site.python, "stamps")


def update(site: Environment, *arguments: str) -> tuple[int, str, str]:
    """Run the command when all files have settled."""
    time.sleep(SETTLED)
    return run("update", *arguments, python=site.python)


def settle(site: Environment) -> None:
    """Run until there is nothing to do, and that is noted."""
    update(site, "--quiet")
    assert (0, "", "") == update(site, "--trigger")


def holds(site: Environment) -> bool:
    """Ask the interpreter of the environment whether everything is as it was."""
    program = "from dropin_cache import _quick; print(_quick.hold())"
    return "True\n" == run_python(program, python=site.python).stdout


class TestKeep:
    """When there is a list, and what makes it useless."""

    def test_changes(self, site: Environment) -> None:
        """Whatever an update would do something about makes it run again."""
        settle(site)
        assert holds(site)
        plugins = site.site / "app/plugins"
        tree = Tree(site.site)
        changes = {
            "dependency": lambda: (site.site / "dependency.py").write_text("CONSTANT = 2\n"),
            "edited": lambda: tree.dropin("one", "IOther"),
            "new": lambda: tree.dropin("two"),
            "gone": (plugins / "two.py").unlink,
            "cache": (plugins / "dropin.cache").unlink,
            "dated": lambda: os.utime(plugins / "dropin.cache", (1, 1)),
            "installed": lambda: tree.write("other-1.dist-info/RECORD"),
            "declared": lambda: tree.write("app-1.dist-info/entry_points.txt", "[none]\n"),
            "appears": lambda: tree.write("other-1.dist-info/entry_points.txt", "[none]\n"),
            "changes": lambda: tree.write("other-1.dist-info/entry_points.txt", "[nothing]\n"),
            "leftover": lambda: tree.write("app/plugins/.dropin.cache.0123456789abcdef.new"),
            "another root": lambda: tree.write("twisted/plugins/nothing.txt"),
            "ledger": ledger_file(site.python).unlink,
            "ours": lambda: tree.write("dropin_cache/update/new.py"),
            "start": lambda: tree.write("sitecustomize.py"),
        }
        for name, change in changes.items():
            change()
            assert (name, False) == (name, holds(site))
            settle(site)
            assert (name, True) == (name, holds(site))

    def test_known_as_broken(self, site: Environment) -> None:
        """A drop-in that was told of before does not keep an update from ending at once."""
        Tree(site.site).write("app/plugins/bad.py", "import nothing_of_the_kind\n")
        update(site, "--quiet")
        assert (0, "", "") == update(site, "--trigger")
        assert holds(site)

    @pytest.mark.parametrize(
        "arguments", [["app.plugins"], ["--force"], ["--timeout=9"], ["--dry-run"], ["--path=/opt"]]
    )
    def test_other_requests(self, site: Environment, arguments: list[str]) -> None:
        """A run that was about something else leaves no list."""
        update(site, "--quiet")
        list_of(site).unlink(missing_ok=True)
        update(site, *arguments)
        assert not list_of(site).exists()

    def test_something_to_say(self, site: Environment) -> None:
        """What each run has to say again is said."""
        settle(site)
        plugins = site.site / "app/plugins"
        plugins.chmod(0o777)
        for _ in range(2):
            outcome = update(site, "--trigger")
            assert outcome.err.endswith("app/plugins can be written by others\n")
            assert not holds(site)

    def test_leftovers(self, site: Environment) -> None:
        """What a killed run has left goes."""
        settle(site)
        leftover = STATE / f".{list_of(site).name}.0123456789abcdef.new"
        leftover.touch()
        Tree(site.site).write("other-1.dist-info/RECORD")
        settle(site)
        assert not leftover.exists()

    def test_no_place(self, site: Environment) -> None:
        """Where nothing can be written, the run is none the worse for it."""
        settle(site)
        shutil.rmtree(STATE)
        STATE.write_text("in the way")
        try:
            assert (0, "", "") == update(site, "--trigger")
            assert not holds(site)
        finally:
            STATE.unlink()


class TestSettled:
    """Whether a run can have seen something when it was different."""

    def test_old(self, tmp_path: Path) -> None:
        """What was the same before the run began is noted."""
        file = os.fsencode(tmp_path / "file")
        (tmp_path / "file").touch()
        later = time.time_ns() + 10**9
        assert _quick.line_of(file) == quick_list._settled(file, later)
        missing = os.fsencode(tmp_path / "a/b/c")
        assert b"-\t" + missing == quick_list._settled(missing, later)

    def test_new(self, tmp_path: Path) -> None:
        """What has changed since is not, though its date says nothing of it; nor what went."""
        (tmp_path / "file").touch()
        os.utime(tmp_path / "file", (1, 1))
        for name in ("file", "missing", "missing/below"):
            with pytest.raises(quick_list._UnsettledError):
                quick_list._settled(os.fsencode(tmp_path / name), time.time_ns() - 10**9)


class TestHere:
    """The same in this process, by the environment's interpreter."""

    def test_kept(self, site: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
        """There is a list when nothing was left to do, and none where it would be too long."""
        monkeypatch.setattr(sys, "executable", site.python)
        Path(configuration.PACKAGE_DIRECTORIES[0]).mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            time.sleep(SETTLED)
            run_update(Request(), lambda *_: None)
        assert _quick.hold()
        list_of(site).unlink()
        (STATE / f".{list_of(site).name}.0123456789abcdef.new").touch()
        monkeypatch.setattr(_quick, "MAX_SIZE", 10)
        run_update(Request(), lambda *_: None)
        assert not list_of(site).exists()
        monkeypatch.undo()
        monkeypatch.setattr(sys, "executable", site.python)
        run_update(Request(), lambda *_: None)
        expected = {ledger_file(site.python), list_of(site)}
        assert expected == set(STATE.iterdir())

    def test_none(self, site: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
        """There is none where another run would say something, too, or might find another thing."""
        monkeypatch.setattr(sys, "executable", site.python)
        Path(configuration.PACKAGE_DIRECTORIES[0]).mkdir(parents=True, exist_ok=True)
        plugins = site.site / "app/plugins"
        plugins.chmod(0o777)
        time.sleep(SETTLED)
        assert run_update(Request(), lambda *_: None).directories[0].error is not None
        assert not list_of(site).exists()
        plugins.chmod(0o755)
        Tree(site.site).write("app/plugins/slow.py", "raise MemoryError\n")
        time.sleep(SETTLED)
        assert run_update(Request(), lambda *_: None).directories[0].broken
        assert not list_of(site).exists()


class TestSaid:
    """What a check is told to print."""

    def test_lines(self, tmp_path: Path) -> None:
        """Lines, and the directories that are there; nothing where the locale has a say."""
        package = ("app.plugins", ["/missing", str(tmp_path)], ["", "/"])
        said = Said(["fresh: it"], ["warning: it"], 3)
        expected = [b"?3", b"=fresh: it", b"!warning: it", b"/", os.fsencode(tmp_path)]
        assert expected == quick_list.said([package], said)
        assert [] == quick_list.said([package], Said(["fresh: \xe9"]))
        assert [] == quick_list.said([package], Said(["fresh: it"], ["\xe9"]))
        assert [] == quick_list.said([package], Said())
