"""What several interpreters find in one plugin module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from command_line import no_process_left
from conftest import Tree
from dropin_cache._cachefile import read_cache_file
from dropin_cache._model import CachedDropin, Fingerprint, InterfaceName
from dropin_cache.update.importing.records import Description, Failure, Outcome, Plugin
from dropin_cache.update.merge import Judged, judged
from environments import Environment, environment
from updates import Done, affected, own, run

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


class Pair:
    """Two interpreters that share a directory of plugin modules.

    Attributes:
        tree: The directory.
        first: The first interpreter.
        second: The other.
    """

    def __init__(self, tree: Tree) -> None:
        tree.application()
        self.tree = tree
        self.first, self.second = (environment(tree.path / name) for name in ("first", "second"))

    def run(self, *environments: Environment) -> Done:
        """Update the caches with both interpreters, or with some."""
        pythons = tuple(each.python for each in environments or (self.first, self.second))
        return run(self.tree, pythons=pythons)

    def cached(self) -> dict[str, CachedDropin]:
        """Return what is in the cache."""
        file = read_cache_file(str(self.tree.path / "app" / "plugins"))
        return file.dropins() if file is not None else {}

    def only_in(self, where: Environment, name: str = "here") -> None:
        """Make something that one of the interpreters can import."""
        (where.site / f"{name}.py").write_text("NAME = 1\n")


@pytest.fixture
def pair(tree: Tree) -> Pair:
    """Two interpreters, and an application that both can import."""
    return Pair(tree)


class TestTwoInterpreters:
    """A directory that two interpreters share."""

    def test_same(self, pair: Pair) -> None:
        """Where both find the same, it is as with one, and is imported by each."""
        pair.tree.dropin("one")
        done = pair.run()
        assert ["one", "one"] == done.imported
        (directory,) = done.report.directories
        assert ("written", 1, 1, (), ()) == (
            directory.state,
            directory.modules,
            directory.plugins,
            directory.broken,
            directory.warnings,
        )
        assert pair.first.python == directory.python
        assert ([], True) == pair.run()[1:]

    def test_broken_in_one(self, pair: Pair) -> None:
        """A plugin module that only one of them can import is cached, with a warning."""
        pair.tree.dropin("one")
        pair.tree.write("app/plugins/two.py", "import here")
        pair.only_in(pair.second)
        (directory,) = pair.run().report.directories
        assert ["one", "two"] == list(pair.cached())
        reason = "ModuleNotFoundError: No module named 'here'"
        expected = f"app.plugins.two: fails in {pair.first.python}: {reason}"
        assert (expected,) == directory.warnings
        assert () == directory.broken

    def test_broken_in_both(self, pair: Pair) -> None:
        """One that none of them can import is broken, and is told once."""
        pair.tree.write("app/plugins/two.py", "import here")
        (directory,) = pair.run().report.directories
        assert ["ModuleNotFoundError: No module named 'here'"] == [
            each.error for each in directory.broken
        ]
        assert () == directory.warnings

    def test_warnings_are_kept(self, pair: Pair) -> None:
        """What was wrong is told again, though nothing is imported."""
        pair.tree.write("app/plugins/two.py", "import here")
        pair.only_in(pair.second)
        first, second = pair.run(), pair.run()
        assert second.alone
        assert first.report.directories[0].warnings == second.report.directories[0].warnings != ()

    def test_disagree(self, pair: Pair) -> None:
        """Where they find different plugins, all of them are cached, with a warning."""
        pair.only_in(pair.second)
        pair.tree.write(
            "app/plugins/one.py",
            """
            from zope.interface import implementer
            from dropin_cache import IPlugin
            from app.interfaces import IGreeter, IOther
            try:
                import here
            except ImportError:
                here = None

            @implementer(IPlugin, IOther if here else IGreeter)
            class Plugin:
                pass

            both = Plugin()
            if here:
                second = Plugin()
            else:
                first = Plugin()
            """,
        )
        done = pair.run()
        (directory,) = done.report.directories
        warning = f"app.plugins.one: differs between {pair.first.python} and {pair.second.python}"
        assert (warning,) == directory.warnings
        assert 3 == directory.plugins
        (dropin,) = pair.cached().values()
        assert {
            "both": {"app.interfaces.IGreeter", "app.interfaces.IOther"},
            "first": {"app.interfaces.IGreeter"},
            "second": {"app.interfaces.IOther"},
        } == {
            plugin.name: {name for name in plugin.interfaces if name.startswith("app.")}
            for plugin in dropin.plugins
        }
        both = dropin.plugins[0]
        names = [reference.dotted for reference in both.references]
        assert sorted(set(names)) == sorted(names)
        assert ["fresh"] == list(
            run(
                pair.tree, pythons=(pair.first.python, pair.second.python), write=False
            ).states.values()
        )

    def test_change_for_one(self, pair: Pair) -> None:
        """What changes for one of them only has both asked about what depends on it."""
        pair.tree.write("app/plugins/one.py", "try: import here\nexcept ImportError: pass")
        pair.tree.dropin("two")
        own(pair.tree, "one", "two")
        pair.only_in(pair.second)
        pair.run()
        assert [] == pair.run().imported
        (pair.second.site / "here.py").write_text("NAME = 2\n")
        expected = [name for name in affected(pair.tree, "one") for _ in "12"]
        assert expected == pair.run().imported

    def test_one_of_them_alone(self, pair: Pair) -> None:
        """Which interpreters there are is part of what is known."""
        pair.tree.dropin("one")
        pair.run()
        done = pair.run(pair.first)
        assert {"one": "other interpreters import it now"} == done.changes
        assert ["unchanged"] == list(done.states.values())

    def test_package_in_one(self, pair: Pair) -> None:
        """A package that one of them lacks is what the other says it is."""
        site = Tree(pair.second.site)
        site.application("mine")
        site.dropin("one", package="mine")
        done = run(
            pair.tree, pythons=(pair.first.python, pair.second.python), packages=("mine.plugins",)
        )
        assert (["one"], {str(pair.second.site / "mine" / "plugins"): "written"}) == (
            done.imported,
            done.states,
        )
        (directory,) = done.report.directories
        assert pair.second.python == directory.python

    def test_hidden_for_one(self, pair: Pair) -> None:
        """A plugin module that another one hides for one of them is cached for the other."""
        pair.tree.dropin("one", root="shared")
        for each in (pair.first, pair.second):
            (each.site / "shared.pth").write_text(f"{pair.tree.path}/shared\n")
        Tree(pair.first.site).write("app/plugins/one.py", "'Hides the other.'")
        shared = str(pair.tree.path / "shared" / "app" / "plugins")
        hiding = str(pair.first.site / "app" / "plugins")
        done = pair.run()
        assert (["one", "one"], {shared: "written", hiding: "written"}) == (
            done.imported,
            done.states,
        )
        assert ["The drop-in one."] == [
            each.description for each in (read_cache_file(shared).dropins() or {}).values()
        ]
        done = pair.run()
        assert ([], {shared: "unchanged", hiding: "unchanged"}) == (done.imported, done.states)


class TestOwners:
    """Whose a broken plugin module is."""

    def test_distribution(self, tree: Tree) -> None:
        """The owner is told, and remembered."""
        tree.application()
        tree.write("app/plugins/bad.py", "1/0")
        tree.write("app-1.dist-info/METADATA", "Name: some-app\n")
        tree.write("app-1.dist-info/RECORD", "app/plugins/bad.py,,\n")
        for _ in range(2):
            done = run(tree)
            assert ["some-app"] == [each.owner for each in done.report.directories[0].broken]
        assert done.alone


class TestJudged:
    """What follows from imports that could not see something, or failed for the moment."""

    BROKEN = Failure("it fails", "a traceback")
    PASSING = Failure("no memory", passing=True)
    TAKEN = Fingerprint(1, 2, "digest")

    def found(self, *names: str, provided: tuple[str, ...] = ("IOne",)) -> Description:
        """Return what an import finds."""
        references = tuple(InterfaceName("app", name) for name in provided)
        plugins = tuple(Plugin(name, None, references, provided) for name in names)
        return Description(None, plugins, ())

    def judged(
        self, outcome: Outcome, kept: Description | None, *unseen: str
    ) -> tuple[list[str] | None, Judged]:
        """Return the names of plugins in the entry, None for no entry, and the rest."""
        before = None if kept is None else kept.entry("app.plugins.one", self.TAKEN)
        found = judged("app.plugins.one", self.TAKEN, [("", outcome)], before, lambda: unseen)
        names = None if found.entry is None else [each.name for each in found.entry.plugins]
        return names, found._replace(entry=None)

    @pytest.mark.parametrize("unseen", [(), ("/hidden",)])
    @pytest.mark.parametrize("kept", [None, ("a",), ("b", "a")])
    def test_as_much(self, kept: tuple[str, ...] | None, unseen: tuple[str, ...]) -> None:
        """What is as much as before is taken as it is."""
        before = None if kept is None else self.found(*kept)
        expected = Judged(None, None, "", (), may_change=False)
        assert (["a", "b"], expected) == self.judged(self.found("a", "b"), before, *unseen)

    @pytest.mark.parametrize(
        ("now", "before"),
        [
            (("a",), ("a", "b")),
            ((), ("a",)),
            (("b",), ("a",)),
        ],
    )
    def test_less(self, now: tuple[str, ...], before: tuple[str, ...]) -> None:
        """Less is taken as it is if all was seen, and else what was known is kept."""
        assert list(now) == self.judged(self.found(*now), self.found(*before))[0]
        names, rest = self.judged(self.found(*now), self.found(*before), "/x")
        assert (list(before), True) == (names, rest.may_change)
        (warning,) = rest.warnings
        assert warning.endswith("less is found in it now; the sandbox does not show /x")

    def test_interface(self) -> None:
        """So it is where a plugin provides less."""
        now, before = self.found("a"), self.found("a", provided=("IOne", "ITwo"))
        assert () == self.judged(now, before)[1].warnings
        assert self.judged(now, before, "/x")[1].warnings

    def test_failure(self) -> None:
        """A failure is none if something was hidden and there is an entry; it is told if not."""
        assert (None, Judged(None, self.BROKEN, "", (), may_change=True)) == self.judged(
            self.BROKEN, self.found("a")
        )
        names, rest = self.judged(self.BROKEN, self.found("a"), *"12345")
        told = "it fails; the sandbox does not show 1, 2, 3 and 2 more"
        line = f"app.plugins.one keeps what its cache says: {told}"
        assert (["a"], Judged(None, None, "", (line,), may_change=True)) == (names, rest)
        names, rest = self.judged(self.BROKEN, None, *"12345")
        failure = self.BROKEN._replace(error=told)
        assert (None, Judged(None, failure, "", (), may_change=True)) == (names, rest)

    def test_moment(self) -> None:
        """A failure of the moment keeps what was known, whatever was seen."""
        names, rest = self.judged(self.PASSING, self.found("a"))
        line = "app.plugins.one keeps what its cache says: no memory"
        expected = Judged(None, None, "no memory", (line,), may_change=False)
        assert (["a"], expected) == (names, rest)
        expected = Judged(None, self.PASSING, "", (), may_change=False)
        assert (None, expected) == self.judged(self.PASSING, None)
