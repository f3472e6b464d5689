"""Which interfaces another process can reach: only these are written for Twisted to load."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import no_process_left
from conftest import Tree
from dropin_cache._cachefile import read_cache_file
from dropin_cache._model import InterfaceName
from dropin_cache.update import references as reachable
from dropin_cache.update.importing.records import Description, Failure, Imported, Plugin
from dropin_cache.update.references import References
from dropin_cache.update.state.observations import Observed
from updates import TIERS, Done, own, run, tier_for

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@pytest.fixture
def tree(public_path: Path) -> Tree:
    """An application with interfaces in several places, each of an owner of its own.

    They are reached in any process; made by a plugin module in another module; in a module that
    does not import by itself, or that ends the process; and in a plugin module.
    """
    tree = Tree(public_path / "tree")
    tree.application()
    interface = "from zope.interface import Interface\nclass IMore(Interface):\n    'More.'\n"
    tree.write("good.py", interface)
    tree.write("second.py", interface)
    tree.write("space/inner.py", interface)
    tree.write("pack/__init__.py", interface)
    tree.write("nothing.py")
    tree.write("needs.py", f"import sys\nif not hasattr(sys, 'there'): 1/0\n{interface}")
    tree.write("ends.py", f"import sys\nif not hasattr(sys, 'there'): sys.exit(3)\n{interface}")
    tree.write(
        "kills.py", f"import os, sys\nif not hasattr(sys, 'there'): os._exit(3)\n{interface}"
    )
    with zipfile.ZipFile(tree.path / "lib.zip", "w") as archive:
        archive.writestr("zmod.py", interface)
    for module, before in {
        "good": "from good import IMore",
        "inner": "from space.inner import IMore",
        "pack": "from pack import IMore",
        "patched": "import nothing\nimport zope.interface.interface as zi\n"
        "IMore = nothing.IMore = zi.InterfaceClass('IMore', __module__='nothing')",
        "needs": "import sys\nsys.there = True\nfrom needs import IMore",
        "ends": "import sys\nsys.there = True\nfrom ends import IMore",
        "kills": "import sys\nsys.there = True\nfrom kills import IMore",
        "zipped": "import sys\nsys.path.append({root!r} + '/lib.zip')\n"
        "from zmod import IMore\nfrom second import IMore as ISecond\nMORE = [ISecond]",
        "own": "from zope.interface import Interface\nclass IMore(Interface): pass",
    }.items():
        tree.write(
            f"app/plugins/{module}.py",
            "from zope.interface import implementer\nfrom dropin_cache import IPlugin\n"
            f"{before.replace('{root!r}', repr(str(tree.path)))}\n"
            "@implementer(IPlugin, IMore, *globals().get('MORE', ()))\n"
            "class Plugin: pass\nplugin = Plugin()\n",
        )
        own(tree, module)
    return tree


MODULES = {"good": "good", "inner": "space.inner", "pack": "pack", "own": "app.plugins.own"}
"""The plugin modules whose interfaces are reached, and where these are."""

LOST = {"zipped": "zmod", "patched": "nothing", "needs": "needs", "ends": "ends", "kills": "kills"}
"""Those whose are not."""


def references(tree: Tree) -> dict[str, list[str]]:
    """Return the interfaces that each plugin module refers to, but for the one of all."""
    file = read_cache_file(str(tree.path / "app" / "plugins"))
    assert file is not None
    return {
        name: [each.dotted for each in plugin.references if each.name != "IPlugin"]
        for name, entry in (file.dropins() or {}).items()
        for plugin in entry.plugins
    }


def warnings(done: Done) -> list[str]:
    """Return what was said of things that were left out, sorted."""
    return sorted(line for each in done.report.directories for line in each.warnings)


class TestReferences:
    """Interfaces, tried in processes where no plugin module is."""

    @pytest.mark.parametrize("tier", TIERS)
    def test_reachable(
        self, tree: Tree, public_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str
    ) -> None:
        """What no other process finds is left out, with a warning; that is told again."""
        with tier_for(tier, public_path, monkeypatch) as update:
            done = update(tree)
            assert {
                **{name: [f"{module}.IMore"] for name, module in MODULES.items()},
                **{name: [] for name in LOST},
                "zipped": ["second.IMore"],
            } == references(tree)
            lines = warnings(done)
            assert sorted(LOST) == sorted(
                line.partition(": ")[0].partition(" ")[0].rpartition(".")[2] for line in lines
            )
            assert all("interface IMore left out" in line for line in lines)
            again = update(tree)
            assert ([], True, lines) == (again.imported, again.alone, warnings(again))
            before = (tree.path / "app/plugins/dropin.cache").read_bytes()
            update(tree, force=True)
            assert before == (tree.path / "app/plugins/dropin.cache").read_bytes()

    def test_many(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """A module that refers to interfaces without number costs some processes and lines."""
        monkeypatch.setattr(reachable, "_MAX_MODULES", 4)
        make = "zi.InterfaceClass(f'I{each}' * 99, __module__=f'nowhere{each}')"
        tree.write(
            "app/plugins/many.py",
            "import zope.interface.interface as zi\n"
            "from zope.interface import implementer\nfrom dropin_cache import IPlugin\n"
            f"@implementer(IPlugin, *[{make} for each in range(999)])\n"
            "class Plugin: pass\nplugin = Plugin()\n",
        )
        own(tree, "many")
        done = run(tree)
        assert [] == references(tree)["many"]
        assert ["good.IMore"] == references(tree)["good"]
        lines = [line for line in warnings(done) if line.startswith("app.plugins.many")]
        assert 20 == len(lines)
        assert max(map(len, lines)) < 500

    @pytest.mark.parametrize("count", [1, 999])
    def test_too_many(self, count: int) -> None:
        """What is not tried is left out by itself, whatever others have found out."""
        names = [InterfaceName(f"m{number:03}", "I") for number in range(count)]
        plugin = Plugin("p", None, tuple(names), tuple(each.dotted for each in names))
        tried = References({}, None, None)  # type: ignore[arg-type]  # nothing is tried
        tried._reachable.update(("key", *each) for each in names)
        outcome = tried.only_reachable("key", "a.b", Description(None, (plugin,), ()))
        assert isinstance(outcome, Description)
        (kept,) = outcome.plugins
        assert tuple(names[:32]) == kept.references
        assert tuple(each.dotted for each in names[:32]) == kept.interfaces
        reason = "interface I left out: interfaces of more than 32 modules are too many"
        assert {f"a.b.p: {reason}"} == {*outcome.warnings} or count == 1
        assert min(count - 1, 20) == len(outcome.warnings)

    def test_wanted(self) -> None:
        """Only what is in as many modules as are tried is asked for, and nothing of what failed."""
        names = tuple(InterfaceName(f"m{number:03}", "I") for number in range(40))
        described = Description(None, (Plugin("p", None, names, ()),), ())
        outcomes = {"a.b": described, "a.c": Failure("E: e")}
        wanted = reachable._wanted(Imported(outcomes, Observed()))
        assert {f"m{number:03}": ["I"] for number in range(32)} == wanted

    def test_of_the_moment(self, tree: Tree) -> None:
        """What could not be tried this time is tried again; what was known of it is kept."""
        run(tree)
        before = references(tree)
        good = (tree.path / "good.py").read_text()
        alone = "import sys\nif 'app.plugins.good' not in sys.modules: raise MemoryError\n"
        tree.write("good.py", alone + good)
        for _ in range(2):
            done = run(tree)
            assert "good" in done.imported
            assert "could not be looked for in good this time" in "".join(warnings(done))
            assert before == references(tree)
        tree.write("good.py", good)
        assert "good" in run(tree).imported
        assert [] == run(tree).imported

    def test_interface_appears(self, tree: Tree) -> None:
        """One that is reached later is written then, since what was tried looked at its module."""
        run(tree)
        tree.write("nothing.py", "from good import IMore")
        done = run(tree)
        assert "patched" in done.imported
        assert ["nothing.IMore"] == references(tree)["patched"]

    def test_module_that_changes(self, tree: Tree) -> None:
        """What is known of an interface holds as long as what its module looked at."""
        run(tree)
        tree.write("good.py", "from pack import IMore as IOther\n")
        done = run(tree)
        assert "good" in done.imported
        assert "good" not in references(tree)

    def test_known(self, tree: Tree) -> None:
        """What has been tried for one is not tried for another, nor in the next run."""
        run(tree)
        os.utime(tree.path / "app/plugins/good.py", (1, 1))
        tree.write(
            "app/plugins/second.py",
            (tree.path / "app/plugins/good.py").read_text().replace("plugin =", "second ="),
        )
        run(tree)
        found = references(tree)
        assert ["good.IMore"] == found["good"] == found["second"]
