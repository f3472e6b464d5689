"""What is remembered of an interpreter, and whether it still holds."""

from __future__ import annotations

import os
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from dropin_cache.update.state.dependencies import Memory

from command_line import bare_environment, no_process_left, unprivileged
from conftest import Tree
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing.records import Module, Start
from dropin_cache.update.state.ledger import Ledger
from environments import environment
from updates import SETTLED, run

ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@pytest.fixture
def app(tree: Tree) -> Tree:
    """A tree with an application whose drop-ins depend on a module in several ways."""
    tree.application()
    tree.write("dependency.py", "CONSTANT = 1")
    tree.write("app/middle.py", "import dependency")
    tree.write("app/pack/__init__.py", "from dependency import CONSTANT")
    tree.write("app/pack/inner.py")
    for name, statement in {
        "direct": "import dependency",
        "constant": "from dependency import CONSTANT",
        "through": "from app import middle",
        "packed": "import app.pack.inner",
        "other": "import json",
    }.items():
        tree.dropin(name)
        with (tree.path / "app" / "plugins" / f"{name}.py").open("a") as file:
            file.write(f"{statement}\n")
    return tree


DEPENDANTS = ["constant", "direct", "packed", "through"]
ALL = sorted([*DEPENDANTS, "other"])


def edit(path: Path) -> None:
    """Add a line to a file."""
    with path.open("a") as file:
        file.write("# changed\n")


def replace(path: Path) -> None:
    """Put a file in the place of another, as installers do."""
    new = path.with_suffix(".new")
    new.write_text(path.read_text() + "# changed\n")
    shutil.copystat(path, new)
    new.replace(path)


def copy(link: Path) -> None:
    """Put what a link leads to in its place."""
    original = link.resolve()
    link.unlink()
    shutil.copy2(original, link)


class TestNothing:
    """Where nothing has changed."""

    def test_starts_nothing(self, app: Tree) -> None:
        """Nothing is imported, and not even an interpreter started."""
        first = run(app)
        assert (ALL, False) == (first.imported, first.alone)
        second = run(app)
        assert ([], True) == (second.imported, second.alone)
        assert ["unchanged"] == list(second.states.values())
        assert first.report.directories[0]._replace(state="", changes=()) == (
            second.report.directories[0]._replace(state="", changes=(), found="missing")
        )

    def test_check_starts_nothing(self, app: Tree) -> None:
        """A check does not, either, and finds the same."""
        run(app)
        done = run(app, write=False)
        assert ([], True, ["fresh"]) == (done.imported, done.alone, list(done.states.values()))

    def test_new_files(self, app: Tree) -> None:
        """What was changed just before it was read may have changed again at the same time."""
        run(app)
        now = time.time_ns() + 10**9
        os.utime(app.path / "dependency.py", ns=(now, now))
        assert DEPENDANTS == run(app).imported
        assert DEPENDANTS == run(app).imported

    def test_forced(self, app: Tree) -> None:
        """Who asks for it gets everything imported."""
        run(app)
        done = run(app, force=True)
        assert (ALL, {"this was asked for"}) == (done.imported, set(done.changes.values()))
        assert [] == run(app).imported

    def test_another_path(self, app: Tree) -> None:
        """An interpreter with another path is another one."""
        run(app)
        (app.path / "more").mkdir()
        done = run(app, app.path / "more")
        assert ALL == done.imported
        assert {"other interpreters import it now"} == set(done.changes.values())

    @pytest.mark.skipif(ROOT, reason="root's interpreters do not look at the environment")
    def test_another_environment(self, app: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """For users, the environment says what an interpreter is, too."""
        run(app)
        monkeypatch.setenv("UNRELATED", "1")
        assert [] == run(app).imported
        monkeypatch.setenv("PYTHONPATH", str(app.path / "more"))
        assert ALL == run(app).imported


class TestDropins:
    """Drop-ins that change."""

    @pytest.mark.parametrize("change", [edit, replace, os.utime])
    def test_one_of_many(self, tree: Tree, change: Callable[[Path], object]) -> None:
        """Only the one that changed is imported."""
        tree.application()
        for number in range(20):
            tree.dropin(f"d{number:02}")
        assert 20 == len(run(tree).imported)
        change(tree.path / "app" / "plugins" / "d07.py")
        done = run(tree)
        assert (["d07"], {"d07": "its file has changed"}) == (done.imported, done.changes)
        assert 20 == done.report.directories[0].modules

    def test_added_and_removed(self, app: Tree) -> None:
        """One that is new is imported; for one that is gone nothing is."""
        run(app)
        app.dropin("added")
        done = run(app)
        assert (["added"], {"added": "it is new"}) == (done.imported, done.changes)
        (app.path / "app" / "plugins" / "other.py").unlink()
        done = run(app)
        assert ([], {"other": "it is gone"}) == (done.imported, done.changes)
        assert ["written"] == list(done.states.values())
        assert [] == run(app).imported

    def test_plugin_package(self, app: Tree) -> None:
        """The package they are in has a say in all of them."""
        run(app)
        edit(app.path / "app" / "plugins" / "__init__.py")
        assert ALL == run(app).imported
        edit(app.path / "app" / "__init__.py")
        assert ALL == run(app).imported


class TestDependencies:
    """What drop-ins import."""

    @pytest.mark.parametrize("change", [edit, replace, os.utime])
    def test_changed(self, app: Tree, change: Callable[[Path], object]) -> None:
        """Exactly those that load what changed are imported, whichever way they do."""
        run(app)
        change(app.path / "dependency.py")
        done = run(app)
        why = f"what it imports has changed: {app.path}/dependency.py"
        assert dict.fromkeys(DEPENDANTS, why) == done.changes
        assert DEPENDANTS == done.imported
        assert [] == run(app).imported

    @pytest.mark.parametrize(
        ("file", "expected"),
        [
            ("app/middle.py", ["through"]),
            ("app/pack/__init__.py", ["packed"]),
            ("app/pack/inner.py", ["packed"]),
            ("app/interfaces.py", ALL),
        ],
    )
    def test_on_the_way(self, app: Tree, file: str, expected: list[str]) -> None:
        """So it is for what lies between."""
        run(app)
        edit(app.path / file)
        assert expected == run(app).imported

    def test_gone(self, app: Tree) -> None:
        """So it is where something is gone; the caches then say what is left."""
        run(app)
        (app.path / "dependency.py").unlink()
        done = run(app)
        assert {f"what it imports is gone: {app.path}/dependency.py"} == set(done.changes.values())
        assert DEPENDANTS == done.imported
        (directory,) = done.report.directories
        assert [f"app.plugins.{name}" for name in DEPENDANTS] == [
            each.module for each in directory.broken
        ]

    def test_changes_what_is_provided(self, app: Tree) -> None:
        """That is what it is for: a new release of something else changes a plugin."""
        app.write("app/base.py", "from app.interfaces import IGreeter as IBase")
        app.write(
            "app/plugins/changing.py",
            """
            from zope.interface import implementer
            from dropin_cache import IPlugin
            from app.base import IBase

            @implementer(IPlugin, IBase)
            class Plugin:
                pass

            plugin = Plugin()
            """,
        )
        run(app)
        app.write("app/base.py", "from app.interfaces import IOther as IBase")
        done = run(app)
        assert (["changing"], ["written"]) == (done.imported, list(done.states.values()))

    @pytest.mark.parametrize(
        "statement",
        ["import missing", "import missing.inner", "from missing import something"],
    )
    def test_appears(self, app: Tree, statement: str) -> None:
        """One that was looked for in vain matters when it is there."""
        app.write("app/plugins/other.py", f"try: {statement}\nexcept ImportError: pass")
        run(app)
        app.write("unrelated.py")
        assert [] == run(app).imported
        app.write("missing/__init__.py")
        done = run(app)
        assert ["other"] == done.imported
        assert {"what it imports is found elsewhere now: missing"} == set(done.changes.values())
        assert [] == run(app).imported

    @pytest.mark.parametrize("statement", ["import app.missing", "from app import missing"])
    def test_appears_in_a_package(self, app: Tree, statement: str) -> None:
        """Also if that is in a package that was there."""
        app.write("app/plugins/other.py", f"try: {statement}\nexcept ImportError: pass")
        run(app)
        app.write("app/unrelated.py")
        assert [] == run(app).imported
        app.write("app/missing.py")
        done = run(app)
        assert ["other"] == done.imported
        assert {"what it imports is found elsewhere now: app.missing"} == set(done.changes.values())
        assert [] == run(app).imported

    def test_shadowed(self, app: Tree) -> None:
        """One that is hidden by a new one earlier on the path is another one."""
        (app.path / "front").mkdir()
        run(app, app.path / "front")
        app.write("front/unrelated.py")
        assert [] == run(app, app.path / "front").imported
        app.write("front/dependency/__init__.py", "CONSTANT = 2")
        done = run(app, app.path / "front")
        assert DEPENDANTS == done.imported
        assert {"what it imports is found elsewhere now: dependency"} == set(done.changes.values())
        assert [] == run(app, app.path / "front").imported
        shutil.rmtree(app.path / "front" / "dependency")
        assert DEPENDANTS == run(app, app.path / "front").imported

    def test_at_the_back(self, app: Tree) -> None:
        """One that is hidden itself matters to nobody."""
        (app.path / "back").mkdir()
        back = Tree(app.path / "back")
        run(back, app.path)
        back.write("dependency.py", "CONSTANT = 2")
        assert [] == run(back, app.path).imported

    def test_in_an_archive(self, app: Tree) -> None:
        """A module in an archive changes with the archive."""
        archive = app.path / "archive.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("packed_away.py", "")
        text = f"import sys; sys.path.append({str(archive)!r})\nimport packed_away"
        app.write("app/plugins/other.py", text)
        assert [()] == [each.broken for each in run(app).report.directories]
        assert [] == run(app).imported
        with zipfile.ZipFile(archive, "a") as file:
            file.writestr("more.py", "")
        assert ["other"] == run(app).imported

    def test_imported_by_an_earlier_one(self, app: Tree) -> None:
        """What a function imports when another drop-in calls it is kept."""
        app.write("app/lazy.py", "def load():\n    import dependency")
        app.write("app/plugins/aaa.py", "import app.lazy\napp.lazy.load()")
        app.write("app/plugins/bbb.py", "import app.lazy")
        run(app)
        edit(app.path / "app" / "plugins" / "bbb.py")
        assert ["bbb"] == run(app).imported
        edit(app.path / "dependency.py")
        assert sorted(["aaa", "bbb", *DEPENDANTS]) == run(app).imported


class TestFailures:
    """Drop-ins that failed."""

    def test_not_again(self, app: Tree) -> None:
        """One that failed fails again as long as everything is as it was; it is told."""
        app.write("app/plugins/bad.py", "import missing")
        first = run(app)
        second = run(app)
        assert ([], True) == (second.imported, second.alone)
        (one,), (two,) = (each.report.directories[0].broken for each in (first, second))
        assert (True, False) == (one.news, two.news)
        assert one._replace(news=False) == two
        assert "ModuleNotFoundError: No module named 'missing'" == two.error

    def test_again_in_vain(self, app: Tree) -> None:
        """One that fails as before after something has been installed is no news."""
        bad = app.write("app/plugins/bad.py", "import missing")
        run(app)
        app.write("another.py")
        second = run(app)
        assert ["bad"] == second.imported
        assert [False] == [each.news for each in second.report.directories[0].broken]
        bad.write_text("import missing  # still")
        third = run(app)
        assert [True] == [each.news for each in third.report.directories[0].broken]

    def test_something_installed(self, app: Tree) -> None:
        """When something was installed, it is tried again, and only it."""
        app.write("app/plugins/bad.py", "import missing")
        run(app)
        app.write("unrelated-1.dist-info/METADATA")
        done = run(app)
        why = "it failed before, and something was installed or removed since"
        assert (["bad"], {"bad": why}) == (done.imported, done.changes)
        assert [] == run(app).imported
        app.write("missing.py")
        done = run(app)
        assert ["bad"] == done.imported
        assert () == done.report.directories[0].broken

    @pytest.mark.parametrize(
        ("statement", "text"),
        [
            ("import app.bad", "1/0"),
            ("import app.bad", "def"),
            ("from app import bad", "import missing"),
            ("from app.bad import NAME", ""),
            ("import app.uses", "1/0"),
            ("import importlib; importlib.import_module('app.bad')", "1/0"),
        ],
    )
    def test_dependency_mended(self, app: Tree, statement: str, text: str) -> None:
        """When what it failed for was mended in place, it is tried again."""
        app.write("app/bad.py", text)
        app.write("app/uses.py", "import app.bad")
        app.write("app/plugins/other.py", statement)
        assert 1 == len(run(app).report.directories[0].broken)
        assert [] == run(app).imported
        app.write("app/bad.py", "NAME = 1")
        done = run(app)
        assert (["other"], ()) == (done.imported, done.report.directories[0].broken)

    def test_dependency_appears(self, app: Tree) -> None:
        """So it is when what it lacked comes into a package."""
        app.write("app/plugins/other.py", "from app.late import something")
        assert 1 == len(run(app).report.directories[0].broken)
        app.write("app/late.py", "something = 1")
        done = run(app)
        assert (["other"], ()) == (done.imported, done.report.directories[0].broken)

    def test_mended(self, app: Tree) -> None:
        """So it is when it was mended itself."""
        bad = app.write("app/plugins/bad.py", "1/0")
        run(app)
        bad.write_text("")
        done = run(app)
        assert (["bad"], ()) == (done.imported, done.report.directories[0].broken)


class TestInterpreters:
    """Interpreters that change."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda it: edit(it.path / "pyvenv.cfg"),
            lambda it: edit(it.site / "project.pth"),
            lambda it: copy(Path(it.python)),
        ],
        ids=["pyvenv.cfg", ".pth", "program"],
    )
    def test_changed(self, app: Tree, change: Callable[[Any], object]) -> None:
        """Whatever decides what an interpreter is decides about all that it imports."""
        other = environment(app.path / "environment")
        options = {"pythons": (other.python,)}
        assert ALL == run(app, **options).imported
        assert [] == run(app, **options).imported
        change(other)
        done = run(app, **options)
        assert ALL == done.imported
        assert {"the interpreter is new, or has changed"} == set(done.changes.values())
        assert [] == run(app, **options).imported

    def test_new_pth_file(self, app: Tree) -> None:
        """So does a new file of that kind, as far as it changes the path."""
        other = environment(app.path / "environment")
        app.write("shadow/dependency.py", "CONSTANT = 2")
        options = {"pythons": (other.python,)}
        run(app, **options)
        text = f"import sys; sys.path.insert(0, {str(app.path / 'shadow')!r})\n"
        (other.site / "more.pth").write_text(text)
        done = run(app, **options)
        assert set(done.imported) <= set(ALL)
        edit(other.site / "more.pth")
        assert ALL == run(app, **options).imported


class TestPackages:
    """Where plugin packages are."""

    def test_new_portion(self, app: Tree) -> None:
        """A directory that comes to belong to one is found, without importing anything else."""
        app.write("more/app/something.txt")
        run(app, app.path / "more")
        (app.path / "more" / "app" / "plugins").mkdir()
        app.dropin("added", root="more")
        done = run(app, app.path / "more")
        assert ["added"] == done.imported
        assert {
            str(app.path / "app" / "plugins"): "unchanged",
            str(app.path / "more" / "app" / "plugins"): "written",
        } == done.states

    def test_portion_becomes_a_package(self, app: Tree) -> None:
        """So is one that does not belong to it any more."""
        app.dropin("added", root="more")
        (app.path / "back").mkdir()
        back = Tree(app.path / "back")
        run(back, app.path, app.path / "more")
        app.write("more/app/plugins/__init__.py")
        done = run(back, app.path, app.path / "more")
        assert {str(app.path / "app" / "plugins"): "unchanged"} == done.states
        assert [] == done.imported

    def test_namespace_package(self, app: Tree) -> None:
        """One without a file of its own has whatever directories there are."""
        app.write("space/plugins/one.py")
        app.write("more/space/something.txt")
        options = {"packages": ("space.plugins",)}
        assert ["one"] == run(app, app.path / "more", **options).imported
        assert run(app, app.path / "more", **options).alone
        app.write("more/space/plugins/two.py")
        assert ["two"] == run(app, app.path / "more", **options).imported

    def test_installed(self, app: Tree) -> None:
        """One that was not there is looked for again when something was installed."""
        other = bare_environment(app.path / "environment")
        options = {"packages": (), "pythons": (other.python,)}
        run(app, **options)
        assert run(app, **options).alone
        app.write("late-1.dist-info/entry_points.txt", "[dropin_cache.packages]\na = late\n")
        app.write("late/__init__.py")
        app.write("late/one.py")
        assert "one" in run(app, **options).imported
        assert run(app, **options).alone


class TestMemory:
    """The memory itself."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        """A ledger that is never saved."""
        return Ledger(None, Files(enforced=False))

    def learn(self, ledger: Ledger, root: Path, graph: dict[str, Any], *modules: str) -> None:
        """Have an interpreter tell who imports whom, as if it had just been asked."""
        memory = Memory(ledger, sys.executable, [])
        time.sleep(SETTLED)
        memory.starting()
        memory.note_start(Start((3, 11), True, (str(root), "/nonexistent"), (), ()))
        memory.note_imports({name: Module(*node) for name, node in graph.items()})
        memory.keep(modules)

    def test_nothing(self, ledger: Ledger) -> None:
        """At first nothing is known."""
        memory = Memory(ledger, sys.executable, [])
        assert (None, False) == (memory.start, memory.recent)
        assert ... is memory.package("app.plugins")
        assert "the interpreter is new, or has changed" == memory.why_stale("app.plugins.one")
        memory.keep(["app.plugins.one"])
        assert {} == ledger.interpreters

    def test_keeps_what_counts(self, ledger: Ledger, tmp_path: Path) -> None:
        """Only what a module depends on is kept, and the packages around that."""
        for name in ("one", "two", "three", "four"):
            (tmp_path / f"{name}.py").touch()
        graph = {
            "one": (str(tmp_path / "one.py"), ("two",)),
            "two": (str(tmp_path / "two.py"), ("three", "one")),
            "three": (str(tmp_path / "three.py"), ()),
            "four": (str(tmp_path / "four.py"), ("one",)),
        }
        self.learn(ledger, tmp_path, graph, "one", "unknown.one")
        (record,) = ledger.interpreters.values()
        assert {"one", "two", "three"} == set(record["modules"])

    def test_environment(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        """For users, the environment makes another interpreter of the same program."""
        with unprivileged():
            before = Memory(ledger, sys.executable, []).key
            monkeypatch.setenv("UNRELATED", "1")
            assert before == Memory(ledger, sys.executable, []).key
            monkeypatch.setenv("PYTHONPATH", "/more")
            after = Memory(ledger, sys.executable, []).key
            assert before != after
        assert ROOT == (after != Memory(ledger, sys.executable, []).key)

    @pytest.mark.parametrize("root", ["/nonexistent/\0", "/nonexistent/\ud800", ""])
    def test_no_path(self, ledger: Ledger, tmp_path: Path, root: str) -> None:
        """A path that a child cannot have imported from, whatever it says, is not there."""
        memory = Memory(ledger, sys.executable, [])
        memory.note_start(Start((3, 11), True, (str(tmp_path), root), (), ()))
        memory.keep(["app.plugins.one"])
        assert None is ledger.interpreters[memory.key]["roots"][root]

    def test_cycle(self, ledger: Ledger, tmp_path: Path) -> None:
        """Modules that import each other change together."""
        for name in ("one", "two"):
            (tmp_path / f"{name}.py").touch()
        graph = {
            "one": (str(tmp_path / "one.py"), ("two",)),
            "two": (str(tmp_path / "two.py"), ("one",)),
        }
        self.learn(ledger, tmp_path, graph, "one")
        assert None is Memory(ledger, sys.executable, []).why_stale("two")
        edit(tmp_path / "one.py")
        why = f"what it imports has changed: {tmp_path}/one.py"
        assert why == Memory(ledger, sys.executable, []).why_stale("two")

    def test_root_that_went(self, ledger: Ledger, tmp_path: Path) -> None:
        """A directory on the path that cannot be listed any more holds no modules."""
        root = tmp_path / "root"
        root.mkdir()
        self.learn(ledger, root, {"missing": (False, ()), "space": (None, ())}, "missing", "space")
        root.rmdir()
        memory = Memory(ledger, sys.executable, [])
        assert (False, None, None) == (
            memory.recent,
            memory.why_stale("missing"),
            memory.why_stale("space"),
        )

    def test_module_elsewhere(self, ledger: Ledger, tmp_path: Path) -> None:
        """A module that lies in no directory of the path is where it was."""
        (tmp_path / "root").mkdir()
        (tmp_path / "elsewhere.py").touch()
        graph = {"elsewhere": (str(tmp_path / "elsewhere.py"), ()), "a.b": (False, ())}
        self.learn(ledger, tmp_path / "root", graph, "elsewhere", "a.b")
        (tmp_path / "root" / "new.py").touch()
        memory = Memory(ledger, sys.executable, [])
        assert (None, None) == (memory.why_stale("elsewhere"), memory.why_stale("a.b"))

    def test_changed_between_two_children(self, ledger: Ledger, tmp_path: Path) -> None:
        """What changed before the last child was started is as that one found it."""
        file = tmp_path / "one.py"
        file.touch()
        graph = {"one": (str(file), ())}
        self.learn(ledger, tmp_path, graph, "one")
        edit(file)
        self.learn(ledger, tmp_path, graph, "one")
        assert None is Memory(ledger, sys.executable, []).why_stale("one")

    def test_endless_links(self, ledger: Ledger, tmp_path: Path) -> None:
        """An interpreter that leads in a circle leads nowhere."""
        python = tmp_path / "python"
        python.symlink_to("python")
        memory = Memory(ledger, str(python), [])
        memory.note_start(Start((3, 11), True, (), (), ()))
        memory.keep([])
        (record,) = ledger.interpreters.values()
        assert {str(python), str(tmp_path.parent / "pyvenv.cfg")} == set(record["files"])
