"""What the ledger has of an interpreter, and whether it still holds."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from command_line import bare_environment, no_process_left, unprivileged
from conftest import Tree
from dropin_cache.update.discovery.interpreters import Start, interpreter_of
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.state.ledger import Ledger
from dropin_cache.update.state.observations import Look, Observed
from dropin_cache.update.state.recorded import Recorded
from environments import environment
from updates import ROOT, SETTLED, affected, ledger_file, own, run


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@pytest.fixture
def app(tree: Tree) -> Tree:
    """A tree with an application whose plugin modules depend on a module in several ways."""
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
        own(tree, name)
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
        assert affected(app, *DEPENDANTS) == run(app).imported
        assert affected(app, *DEPENDANTS) == run(app).imported

    def test_forced(self, app: Tree) -> None:
        """Who asks for it gets everything imported."""
        run(app)
        done = run(app, force=True)
        assert (ALL, {"this was asked for"}) == (done.imported, set(done.reasons.values()))
        assert [] == run(app).imported

    def test_another_path(self, app: Tree) -> None:
        """An interpreter with another path is another one."""
        run(app)
        (app.path / "more").mkdir()
        done = run(app, app.path / "more")
        assert ALL == done.imported
        assert {"other interpreters import it now"} == set(done.reasons.values())

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

    def test_another_date(self, app: Tree) -> None:
        """One that has only another date is as it was."""
        run(app)
        os.utime(app.path / "app" / "plugins" / "other.py", (1, 1))
        assert ([], {}) == (run(app).imported, run(app).reasons)

    @pytest.mark.parametrize("change", [edit, replace])
    def test_one_of_many(self, tree: Tree, change: Callable[[Path], object]) -> None:
        """Only the one that changed is imported."""
        tree.application()
        for number in range(20):
            tree.dropin(f"d{number:02}")
            own(tree, f"d{number:02}")
        assert 20 == len(run(tree).imported)
        change(tree.path / "app" / "plugins" / "d07.py")
        done = run(tree)
        assert (affected(tree, "d07"), {"d07": "its file has changed"}) == (
            done.imported,
            done.reasons,
        )
        assert 20 == done.report.directories[0].modules

    def test_added_and_removed(self, app: Tree) -> None:
        """One that is new is imported; for one that is gone nothing is."""
        run(app)
        app.dropin("added")
        done = run(app)
        assert (affected(app, "added"), {"added": "it is new"}) == (done.imported, done.reasons)
        (app.path / "app" / "plugins" / "other.py").unlink()
        done = run(app)
        rest = [] if ROOT else affected(app)  # those who shared a process with it
        assert (rest, "it is gone") == (done.imported, done.changes["other"])
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
        assert dict.fromkeys(affected(app, *DEPENDANTS), why) == done.reasons
        assert affected(app, *DEPENDANTS) == done.imported
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
        assert affected(app, *expected) == run(app).imported

    def test_gone(self, app: Tree) -> None:
        """So it is where something is gone; the caches then say what is left."""
        run(app)
        (app.path / "dependency.py").unlink()
        done = run(app)
        assert {f"what it imports is gone: {app.path}/dependency.py"} == set(done.reasons.values())
        assert affected(app, *DEPENDANTS) == done.imported
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
        assert (affected(app, "changing"), ["written"]) == (
            done.imported,
            list(done.states.values()),
        )

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
        assert affected(app, "other") == done.imported
        assert {"what it imports was missing and has appeared: missing"} == set(
            done.reasons.values()
        )
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
        assert affected(app, "other") == done.imported
        assert {"what it imports was missing and has appeared: app.missing"} == set(
            done.reasons.values()
        )
        assert [] == run(app).imported

    def test_shadowed(self, app: Tree) -> None:
        """One that is hidden by a new one earlier on the path is another one."""
        (app.path / "front").mkdir()
        run(app, app.path / "front")
        app.write("front/unrelated.py")
        assert [] == run(app, app.path / "front").imported
        app.write("front/dependency/__init__.py", "CONSTANT = 2")
        done = run(app, app.path / "front")
        assert affected(app, *DEPENDANTS) == done.imported
        assert {"what it imports is found elsewhere now: dependency"} == set(done.reasons.values())
        assert [] == run(app, app.path / "front").imported
        shutil.rmtree(app.path / "front" / "dependency")
        assert affected(app, *DEPENDANTS) == run(app, app.path / "front").imported

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
        assert affected(app, "other") == run(app).imported

    def test_imported_by_an_earlier_one(self, app: Tree) -> None:
        """What a function imports when a neighbour of the same owner calls it is kept."""
        app.write("app/lazy.py", "def load():\n    import dependency")
        app.write("app/plugins/aaa.py", "import app.lazy\napp.lazy.load()")
        app.write("app/plugins/bbb.py", "import app.lazy")
        run(app)
        edit(app.path / "app" / "plugins" / "bbb.py")
        assert affected(app, "aaa", "bbb") == run(app).imported
        edit(app.path / "dependency.py")
        assert affected(app, "aaa", "bbb", *DEPENDANTS) == run(app).imported


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
        assert affected(app, "bad") == second.imported
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
        assert (affected(app, "bad"), {"bad": why}) == (done.imported, done.reasons)
        assert [] == run(app).imported
        app.write("missing.py")
        done = run(app)
        assert affected(app, "bad") == done.imported
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
        assert (affected(app, "other"), ()) == (done.imported, done.report.directories[0].broken)

    def test_dependency_appears(self, app: Tree) -> None:
        """So it is when what it lacked comes into a package."""
        app.write("app/plugins/other.py", "from app.late import something")
        assert 1 == len(run(app).report.directories[0].broken)
        app.write("app/late.py", "something = 1")
        done = run(app)
        assert (affected(app, "other"), ()) == (done.imported, done.report.directories[0].broken)

    def test_mended(self, app: Tree) -> None:
        """So it is when it was mended itself."""
        bad = app.write("app/plugins/bad.py", "1/0")
        run(app)
        bad.write_text("")
        done = run(app)
        assert (affected(app, "bad"), ()) == (done.imported, done.report.directories[0].broken)


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
        assert {"the interpreter is new, or has changed"} == set(done.reasons.values())
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
        assert affected(app, "added") == done.imported
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
        assert ["one", "two"] == sorted({"one", *run(app, app.path / "more", **options).imported})

    def test_installed(self, app: Tree) -> None:
        """One that was not there is looked for again when something was installed."""
        other = bare_environment(app.path / "environment")
        options = {"packages": (), "pythons": (other.python,)}
        run(app, **options)
        assert run(app, **options).alone
        app.declare("late", name="late")
        app.write("late/__init__.py")
        app.write("late/one.py")
        assert "one" in run(app, **options).imported
        assert run(app, **options).alone


class TestDeclarations:
    """Files of entry points that come, change and go where a distribution is already installed."""

    @pytest.mark.parametrize(
        ("metadata", "remembered"), [("app-1.dist-info", True), ("app.egg-info", False)]
    )
    def test_followed(self, app: Tree, metadata: str, remembered: bool) -> None:
        """Each such change counts, and what may not be declared is told once."""
        other = bare_environment(app.path / "environment")
        file = app.declare("app.plugins")
        declared = file.read_text()
        file.unlink()
        files = ("../app/__init__.py", "../app/plugins/__init__.py", "entry_points.txt")
        (file.parent / "installed-files.txt").write_text("\n".join(files))
        place = file.parent.rename(app.path / metadata)

        def change(*texts: str | None) -> tuple[list[str], list[str]]:
            file = place / "entry_points.txt"
            for text in texts:
                file.unlink() if text is None else file.write_text(text)
            if not remembered:
                ledger_file(other.python).unlink()
            done = run(app, packages=(), pythons=(other.python,))
            told = [line for line in done.report.warnings if "declares" in line]
            return [each.state for each in done.report.directories], told

        run(app, packages=(), pythons=(other.python,))
        assert ([], []) == change()
        assert (["written"], []) == change(declared)
        assert (["unchanged"], []) == change()
        # What is known is looked after, whoever declares it.
        known = ["unchanged"] if remembered else []
        assert (known, []) == change("[console_scripts]\n")
        assert (["unchanged"], []) == change(declared)
        assert (known, []) == change(None)
        refused = ["json", "nothing", "zope.interface"]
        lines = "".join(f"{name} = {name}\n" for name in refused)
        told = [
            f"app declares {name}, which is no package that it has installed" for name in refused
        ]
        assert (known, told) == change("[dropin_cache.packages]\n" + lines)
        assert (known, [] if remembered else told) == change()


class TestRecorded:
    """What the ledger has, by itself."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        """A ledger that is never saved."""
        return Ledger(None, Files(enforced=False))

    def recorded(self, ledger: Ledger, python: str = sys.executable) -> Recorded:
        """Return what a new run finds in a ledger."""
        ledger.interpreters = json.loads(json.dumps(ledger.interpreters))
        time.sleep(SETTLED)
        return Recorded(ledger, interpreter_of(python, [], []), Look(), time.time_ns())

    def learn(self, ledger: Ledger, *roots: str, python: str = sys.executable) -> Recorded:
        """Return the same when the interpreter has just been asked."""
        found = self.recorded(ledger, python)
        found.note_start(Start((3, 11), zope=True, path=roots, files=(), packages=("app.plugins",)))
        return found

    def test_nothing(self, ledger: Ledger) -> None:
        """At first nothing is known."""
        found = self.recorded(ledger)
        assert (None, False, False) == (found.start, found.known, found.recent)
        assert ... is found.package("app.plugins")
        assert None is found.resolved("app.interfaces")
        why = "the interpreter is new, or has changed"
        assert why == found.why_stale("app.plugins", "pip app", None, "")
        found.keep([("app.plugins", "pip app")], ["app.interfaces"])
        assert {} == ledger.interpreters

    def test_start(self, ledger: Ledger, tmp_path: Path) -> None:
        """What an interpreter answered holds until something that decides about it changes."""
        first = self.learn(ledger, str(tmp_path), "/nonexistent")
        first.keep([], [])
        second = self.recorded(ledger)
        assert (first.start, True, True) == (second.start, second.known, second.recent)
        (tmp_path / "module.py").touch()
        third = self.recorded(ledger)
        assert (first.start, True, False) == (third.start, third.known, third.recent)
        third.keep([], [])
        assert self.recorded(ledger).recent
        (tmp_path / "more.pth").touch()
        fourth = self.recorded(ledger)
        assert (None, True, False) == (fourth.start, fourth.known, fourth.recent)

    @pytest.mark.parametrize(
        ("suffix", "before"),
        [(".dist-info", None), (".egg-info", ""), (".dist-info", "[console_scripts]\n")],
    )
    def test_entry_points(
        self, ledger: Ledger, tmp_path: Path, suffix: str, before: str | None
    ) -> None:
        """So does a file of entry points that declares something now, and no other."""
        file = tmp_path / f"app-1{suffix}" / "entry_points.txt"
        file.parent.mkdir()
        if before is not None:
            file.write_text(before)
        first = self.learn(ledger, str(tmp_path))
        first.keep([], [])
        assert str(file) in first.paths()
        file.write_text("[gui_scripts]\n")
        other = self.recorded(ledger)
        assert first.start == other.start
        other.keep([], [])
        (tmp_path / "more.dist-info").mkdir()
        installed = self.recorded(ledger)
        assert first.start == installed.start
        installed.keep([], [])
        again = self.recorded(ledger)
        assert f"{tmp_path}/more.dist-info/entry_points.txt" in again.paths()
        for place in (file, tmp_path / "more.dist-info/entry_points.txt"):
            text = place.read_text() if place == file else None
            place.write_text("[dropin_cache.packages]\nx = y\n")
            assert None is self.recorded(ledger).start
            place.unlink() if text is None else place.write_text(text)
            assert first.start == self.recorded(ledger).start
        file.unlink()
        assert first.start == self.recorded(ledger).start

    def test_archive(self, ledger: Ledger, tmp_path: Path) -> None:
        """So does an archive on the path that changes, whatever is in it."""
        (tmp_path / "archive.zip").touch()
        first = self.learn(ledger, str(tmp_path / "archive.zip"))
        first.keep([], [])
        assert first.start == self.recorded(ledger).start
        (tmp_path / "archive.zip").write_text("more")
        assert None is self.recorded(ledger).start

    def test_packages(self, ledger: Ledger, tmp_path: Path) -> None:
        """Where a plugin package is holds as long as its directories belong to it as before."""
        place = tmp_path / "app" / "plugins"
        place.mkdir(parents=True)
        first = self.learn(ledger, str(tmp_path))
        observed = Observed(names=frozenset([("app", (str(tmp_path),))]))
        first.note_package("app.plugins", (str(place),), observed)
        first.note_package("none.at.all", None, Observed())
        assert ((str(place),), None, ...) == tuple(
            map(first.package, ("app.plugins", "none.at.all", "unknown"))
        )
        first.keep([], [])
        assert (str(place),) == self.recorded(ledger).package("app.plugins")
        (place / "__init__.py").touch()
        assert ... is self.recorded(ledger).package("app.plugins")
        (place / "__init__.py").unlink()
        assert (str(place),) == self.recorded(ledger).package("app.plugins")
        shutil.rmtree(place)
        assert ... is self.recorded(ledger).package("app.plugins")

    def test_owners(self, ledger: Ledger, tmp_path: Path) -> None:
        """Each owner has what its imports looked at; only what still counts is kept."""
        for name in ("one", "two", "three"):
            (tmp_path / f"{name}.txt").touch()
        first = self.learn(ledger, str(tmp_path))
        for name in ("one", "two", "three"):
            observed = Observed(frozenset([f"{tmp_path}/{name}.txt"]))
            first.note_owner("app.plugins", f"pip {name}", observed, Look())
        first.keep([("app.plugins", "pip one"), ("app.plugins", "pip two")], [])
        edit(tmp_path / "one.txt")
        second = self.recorded(ledger)
        assert (f"what it imports has changed: {tmp_path}/one.txt", None, "it is new") == tuple(
            second.why_stale("app.plugins", f"pip {name}", None, "")
            for name in ("one", "two", "three")
        )
        assert "it is new" == second.why_stale("other.plugins", "pip two", None, "")
        assert str(tmp_path / "two.txt") in second.paths()

    def test_failed(self, ledger: Ledger, tmp_path: Path) -> None:
        """What failed is tried again with another setting, and when anything was installed."""
        first = self.learn(ledger, str(tmp_path))
        first.note_owner("app.plugins", "pip one", Observed(), Look())
        first.keep([("app.plugins", "pip one")], [])
        second = self.recorded(ledger)
        assert None is second.why_stale("app.plugins", "pip one", "none 30", "none 30")
        assert "it failed before, with other limits or in another sandbox" == second.why_stale(
            "app.plugins", "pip one", "none 30", "none 60"
        )
        assert None is second.why_stale("app.plugins", "pip one", "none 30", "")
        (tmp_path / "new.py").touch()
        third = self.recorded(ledger)
        assert None is third.why_stale("app.plugins", "pip one", None, "")
        assert "it failed before, and something was installed or removed since" == third.why_stale(
            "app.plugins", "pip one", "none 30", "none 30"
        )

    def test_references(self, ledger: Ledger, tmp_path: Path) -> None:
        """Which interfaces can be reached is kept for the modules that anybody refers to."""
        file = tmp_path / "interfaces.py"
        file.touch()
        first = self.learn(ledger, str(tmp_path))
        for name in ("interfaces", "former"):
            observed = Observed(frozenset([str(file)]))
            first.note_resolved({name: {"IOne": True, "ITwo": False}}, observed)
        first.keep([], ["interfaces", "unknown"])
        second = self.recorded(ledger)
        assert {"IOne": True, "ITwo": False} == second.resolved("interfaces")
        assert (None, None) == (second.resolved("former"), second.resolved("unknown"))
        edit(file)
        assert None is self.recorded(ledger).resolved("interfaces")

    def test_of_an_image(self, ledger: Ledger, tmp_path: Path) -> None:
        """What is said of an image is not looked for on this system, and is known in this run."""
        (tmp_path / "more.pth").touch()
        found = Recorded(ledger, interpreter_of(sys.executable, [], []), None, time.time_ns())
        assert ... is found.package("app.plugins")
        found.note_start(Start((3, 11), zope=True, path=(str(tmp_path),), files=(), packages=()))
        observed = Observed(frozenset([f"{tmp_path}/more.pth"]), frozenset([str(tmp_path)]))
        found.note_package("app.plugins", ("/app/plugins",), observed)
        found.note_owner("app.plugins", "pip one", observed, Look())
        found.note_resolved({"app.interfaces": {"IOne": True}}, observed)
        assert ("/app/plugins",) == found.package("app.plugins")
        assert {"IOne": True} == found.resolved("app.interfaces")
        found.keep([("app.plugins", "pip one")], ["app.interfaces"])
        assert {} == ledger.interpreters

    def test_environment(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        """For users, the environment makes another interpreter of the same program."""
        with unprivileged():
            before = interpreter_of(sys.executable, [], []).key
            monkeypatch.setenv("UNRELATED", "1")
            assert before == interpreter_of(sys.executable, [], []).key
            monkeypatch.setenv("PYTHONPATH", "/more")
            after = interpreter_of(sys.executable, [], []).key
            assert before != after
        assert ROOT == (after != interpreter_of(sys.executable, [], []).key)

    @pytest.mark.parametrize("root", ["/nonexistent/\0", "/nonexistent/\ud800", ""])
    def test_no_path(self, ledger: Ledger, tmp_path: Path, root: str) -> None:
        """A path that a child cannot have imported from, whatever it says, is not there."""
        found = self.learn(ledger, str(tmp_path), root)
        observed = Observed(names=frozenset([("a", (root,))]))
        found.note_owner("app.plugins", "pip one", observed, Look())
        found.keep([("app.plugins", "pip one")], [])
        (record,) = ledger.interpreters.values()
        assert None is record["roots"][root]
        assert None is self.recorded(ledger).why_stale("app.plugins", "pip one", None, "")

    def test_endless_links(self, ledger: Ledger, tmp_path: Path) -> None:
        """An interpreter that leads in a circle leads nowhere."""
        python = tmp_path / "python"
        python.symlink_to("python")
        self.learn(ledger, python=str(python)).keep([], [])
        (record,) = ledger.interpreters.values()
        places = (tmp_path, tmp_path.parent)
        expected = {str(python), *(str(place / "pyvenv.cfg") for place in places)}
        assert expected == set(record["files"])

    def test_prefixes(self, ledger: Ledger, tmp_path: Path) -> None:
        """What counts is below import roots and the prefixes of each link on the way."""
        for name, target in {
            "a/bin/python": "../../b/c/bin/python",
            "b/c/bin/python": "/x",
        }.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True)
            path.symlink_to(target)
        found = self.learn(ledger, "/root", python=str(tmp_path / "a/bin/python"))
        expected = ["/root", str(tmp_path / "a"), str(tmp_path / "b/c"), "/usr", "/opt"]
        assert expected == found._roots()

    def test_above_everything(self, ledger: Ledger) -> None:
        """Of links right below /etc or /tmp nothing follows for all that is in there."""
        for python in ("/etc/alternatives/python", "/tmp/bin/python", "/bin/python"):  # noqa: S108
            found = self.learn(ledger, "/root", python=python)
            assert set(found._roots()) & {"/", "/etc", "/tmp"} == set()  # noqa: S108
