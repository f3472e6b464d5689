"""What is known of plugin modules, also of those that could not be imported."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import command_line
from conftest import Tree, run_python
from dropin_cache._cachefile import read_cache_file
from dropin_cache.update.discovery.directories import PluginDirectory
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.facts import Cached, Facts
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Request
from dropin_cache.update.state.ledgers import Ledgers
from environments import environment
from reader_support import LIBRARY
from updates import ROOT, SETTLED, TIERS, affected, own, run, tier_for

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with command_line.no_process_left():
        yield


class TestFacts:
    """What is done while plugin modules are imported."""

    def test_locks(self, app: Tree) -> None:
        """What takes locks is loaded where something is imported, and else not.

        Plugins are asked for nothing, so zope.interface is not loaded at all: that of Debian takes
        longer than all the rest where `site` has not been loaded before.
        """
        paths = (str(app.path), str(LIBRARY))
        code = f"""
            import sys
            from dropin_cache.update.report import Request
            from dropin_cache.update.orchestrator import update
            request = Request(packages=("app.plugins",), paths={paths!r})
            print(*(each.modules for each in update(request, lambda *_: None).directories))
            print("filelock" in sys.modules, "zope" in sys.modules)
        """
        done = run_python(textwrap.dedent(code), path=[LIBRARY])
        assert ["2", "True", "False"] == done.stdout.split(), done.stderr


class TestMeanwhile:
    """What is there while plugin modules are imported, and not before and after."""

    @pytest.mark.parametrize("there", [True, False])
    def test_undone(self, app: Tree, there: bool) -> None:
        """It does not pass for what has been there all the time."""
        package, renamed = app.path / "helper", app.path / "~elper"
        app.write("helper/__init__.py")
        app.write(
            "app/plugins/one.py",
            "try:\n    import helper\n    __doc__ = 'with'\nexcept ImportError: pass\n",
        )
        before, meanwhile = (renamed, package) if there else (package, renamed)
        if before is renamed:
            package.rename(renamed)
        time.sleep(SETTLED)

        def change(number: int, _count: int, _name: str) -> None:
            if number == 0:
                before.rename(meanwhile)

        request = Request(packages=("app.plugins",), paths=(str(app.path),))
        update(request, change)
        meanwhile.rename(before)
        assert "one" in run(app).imported


# How an import can fail for reasons of the moment; those that need limits are told otherwise where
# there are none.
_BUSY = "while True: pass"
_PASSING = {
    "busy": (_BUSY, "it took longer than 1 s"),
    "memory": ("bytearray(8 << 30)", "MemoryError"),
    "files": ("import os\nwhile True: os.dup(1)", "OSError: [Errno 24] Too many open files"),
    "space": (
        "import errno, os\nraise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))",
        "OSError: [Errno 28] No space left on device",
    ),
    "killed": ("import os\nos.kill(os.getpid(), 9)", "it was ended by signal SIGKILL"),
}
_UNLIMITED = {
    "memory": "raise MemoryError",
    "files": "import errno, os\nraise OSError(errno.EMFILE, os.strerror(errno.EMFILE))",
}
_LASTING = {"broken": ("1/0", "ZeroDivisionError: division by zero")}


class TestReasonsOfTheMoment:
    """Imports that failed for want of time, memory, files or room."""

    @pytest.fixture
    def tree(self, public_path: Path) -> Tree:
        """An application with a plugin module for each reason, of an owner of its own."""
        tree = Tree(public_path / "tree")
        tree.application()
        for name in (*_PASSING, *_LASTING):
            tree.dropin(name)
            with (tree.path / f"app/plugins/{name}.py").open("a") as file:
                file.write(f"import dep_{name}\n")
            tree.write(f"dep_{name}.py")
            own(tree, name)
        return tree

    def keys(self, tree: Tree) -> list[str]:
        """Return the plugin modules in the cache."""
        file = read_cache_file(str(tree.path / "app" / "plugins"))
        return list(file.dropins() or {}) if file is not None else []

    @pytest.mark.parametrize("tier", TIERS)
    def test_kept(
        self, tree: Tree, public_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str
    ) -> None:
        """What was known of a plugin module is kept, is not told as fresh, and is tried again."""
        everything = sorted([*_PASSING, *_LASTING])
        with tier_for(tier, public_path, monkeypatch) as update:
            update(tree)
            before = (tree.path / "app/plugins/dropin.cache").read_bytes()
            for name, (code, _) in {**_PASSING, **_LASTING}.items():
                limited = tier != "none"
                tree.write(f"dep_{name}.py", code if limited else _UNLIMITED.get(name, code))

            # Without a sandbox all have one process, and one patience.
            timeout = 0.5 if tier != "none" else 2
            done = update(tree, timeout=timeout)
            (directory,) = done.report.directories
            assert (sorted(_PASSING), ["app.plugins.broken"]) == (
                self.keys(tree),
                [each.module for each in directory.broken],
            )
            told = {
                line.partition(" ")[0].strip(":").rpartition(".")[2]: line.rpartition("says: ")[2]
                for line in directory.warnings
            }
            assert set(_PASSING) == set(told)
            assert {
                name: error for name, (_, error) in _PASSING.items() if name in {"space", "files"}
            } == {name: told[name] for name in ("files", "space")}
            assert told["memory"].startswith("MemoryError")

            check = update(tree, write=False, timeout=timeout)
            assert ([], ["stale"]) == (check.imported, list(check.states.values()))
            again = sorted(_PASSING) if tier != "none" else everything
            done = update(tree, timeout=timeout)
            assert (again, ["unchanged"]) == (
                sorted(set(done.imported)),
                list(done.states.values()),
            )
            if tier != "none":
                why = "it failed before, for reasons of the moment"
                assert dict.fromkeys(_PASSING, why) == done.reasons

            for name in everything:
                tree.write(f"dep_{name}.py")
            update(tree)
            assert before == (tree.path / "app/plugins/dropin.cache").read_bytes()
            assert ["fresh"] == list(update(tree, write=False).states.values())

    def test_nothing_to_keep(self, tree: Tree) -> None:
        """One of which nothing was known is left out, and tried again as well."""
        for name in ("busy", "killed", "broken"):
            (tree.path / f"app/plugins/{name}.py").unlink()
        tree.write("dep_space.py", _PASSING["space"][0])
        done = run(tree)
        assert ["files", "memory"] == self.keys(tree)
        assert ["app.plugins.space"] == [each.module for each in done.report.directories[0].broken]
        check = run(tree, write=False)
        assert ([], ["stale"]) == (check.imported, list(check.states.values()))
        assert affected(tree, "space") == run(tree).imported

    def test_another_file(self, tree: Tree) -> None:
        """What was known of another file is not kept."""
        run(tree)
        tree.write("dep_space.py", _PASSING["space"][0])
        file = tree.path / "app/plugins/space.py"
        file.write_text(file.read_text().replace("The plugin", "A  plugin"))
        run(tree)
        assert "space" not in self.keys(tree)

    def test_command(self, tree: Tree) -> None:
        """The command says so, and by its status, too: an update is done, a check is not fresh."""
        run(tree)
        tree.write("dep_space.py", _PASSING["space"][0])
        arguments = ("app.plugins", "--path", tree.path)
        done = command_line.run("update", *arguments)
        owner = " (of space_owner)" if ROOT else ""
        says = f"app.plugins.space{owner}: keeps what its cache says: {_PASSING['space'][1]}"
        assert (0, f"dropin-cache: warning: {says}\n") == (done.status, done.err)
        assert 1 == command_line.run("check", "-q", *arguments).status
        tree.write("dep_space.py")
        assert 0 == command_line.run("update", "-q", *arguments).status
        assert 0 == command_line.run("check", "-q", *arguments).status


class TestSettings:
    """What a failure counts for."""

    @pytest.fixture
    def tree(self, public_path: Path) -> Tree:
        """An application with a good plugin module and one that fails for good."""
        tree = Tree(public_path / "tree")
        tree.application()
        tree.dropin("good")
        tree.write("app/plugins/bad.py", "1/0")
        own(tree, "good", "bad")
        return tree

    def test_limit(self, tree: Tree) -> None:
        """With another limit it is tried again, once; what is good is not."""
        run(tree)
        assert [] == run(tree).imported
        done = run(tree, timeout=77)
        why = "it failed before, with other limits or in another sandbox"
        assert (affected(tree, "bad"), {"bad": why}) == (done.imported, done.reasons)
        assert [] == run(tree, timeout=77).imported
        check = run(tree, write=False)
        assert ([], ["fresh"]) == (check.imported, list(check.states.values()))

    @pytest.mark.skipif(not ROOT, reason="users have one tier")
    def test_tier(self, tree: Tree, public_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """So it is in another sandbox."""
        with tier_for("landlock", public_path, monkeypatch) as update:
            update(tree)
            assert [] == update(tree).imported
            done = update(tree, sandbox="namespace")
            assert ["bad"] == done.imported
            assert [] == update(tree, sandbox="namespace").imported

    def test_no_sandbox(self, tree: Tree) -> None:
        """Where there is no sandbox now, nothing would be tried, and a check has its answer."""
        run(tree)
        if ROOT:
            done = run(tree, sandbox="none", write=False)
            assert ([], ["fresh"]) == (done.imported, list(done.states.values()))

    def test_another_interpreter(self, tree: Tree, tmp_path: Path) -> None:
        """Another interpreter tries all of them."""
        run(tree)
        python = command_line.bare_environment(tmp_path / "other").python
        assert ["bad", "good"] == run(tree, pythons=(python,)).imported

    @pytest.mark.skipif(ROOT, reason="root's files can always be read")
    def test_unreadable(self, tree: Tree) -> None:
        """A file that cannot be read is left out until it can."""
        file = tree.path / "app/plugins/good.py"
        file.chmod(0)
        assert "app.plugins.good" in [
            each.module for each in run(tree).report.directories[0].broken
        ]
        file.chmod(0o644)
        assert os.access(file, os.R_OK)
        assert "good" in run(tree).imported


class TestCached:
    """The cache on disk."""

    def test_directory_that_went(self, tmp_path: Path) -> None:
        """That of a directory that goes away is gone."""
        path = str(tmp_path / "gone")
        directory = PluginDirectory(*("a.b", path, "/", path), (), (), {}, (), None, {}, {})
        files = Files(enforced=False)
        ledgers = Ledgers(None, files, keeps=False)
        facts = Facts(ledgers, {}, Owners(), None, force=False, unchecked=files)
        assert Cached(None, None, "it is new") == facts.cached(directory)


class TestTwoInterpreters:
    """A plugin module that one of two interpreters cannot import for the moment."""

    def test_kept(self, tree: Tree) -> None:
        """What is known of it in that one is kept, and it is tried again."""
        tree.application()
        tree.dropin("one")
        with (tree.path / "app/plugins/one.py").open("a") as file:
            file.write("import here\nfor name in here.NAMES: globals()[name] = Plugin()\n")
        first, second = (environment(tree.path / name) for name in ("first", "second"))
        here = [each.site / "here.py" for each in (first, second)]
        for file, name in zip(here, ("a", "b")):
            file.write_text(f"NAMES = [{name!r}]\n")
        options = {"pythons": (first.python, second.python)}

        def plugins() -> list[str]:
            file = read_cache_file(str(tree.path / "app" / "plugins"))
            assert file is not None
            return sorted(each.name for each in (file.dropins() or {})["one"].plugins)

        run(tree, **options)
        assert ["a", "b", "plugin"] == plugins()
        here[1].write_text("raise MemoryError")
        for _ in range(2):
            assert ["one", "one"] == run(tree, **options).imported
            assert ["a", "b", "plugin"] == plugins()
            check = run(tree, write=False, **options)
            assert ["stale"] == list(check.states.values())
        file = tree.path / "app/plugins/one.py"
        file.write_text(file.read_text() + "more = Plugin()\n")
        assert ["one", "one"] == run(tree, **options).imported
        assert ["a", "more", "plugin"] == plugins()
        here[1].write_text("NAMES = ['b']")
        assert ["one", "one"] == run(tree, **options).imported
        assert ["a", "b", "more", "plugin"] == plugins()
        assert [] == run(tree, **options).imported
