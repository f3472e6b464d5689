"""Which plugin modules are imported again, and why: whatever their imports looked at."""

from __future__ import annotations

import os
import shutil
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, NamedTuple

import pytest

from command_line import no_process_left
from conftest import Tree
from dropin_cache._cachefile import read_cache_file
from dropin_cache._scan import Dropin
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.staleness import Staleness, stamp_of_dropin
from dropin_cache.update.state.ledger import DropinRecord
from updates import ROOT, TIERS, affected, own, run, tier_for

pytestmark = pytest.mark.processes

_PLUGIN = """
from zope.interface import implementer
from dropin_cache import IPlugin

@implementer(IPlugin)
class P: pass

base = P()
"""


pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


def add_to_archive(tree: Tree, name: str) -> None:
    """Put a module into an archive on the path."""
    with zipfile.ZipFile(tree.path / "k_lib.zip", "a") as archive:
        archive.writestr(name, "")


class Kind(NamedTuple):
    """A way in which a plugin module depends on something.

    Attributes:
        code: What it does besides having one plugin.
        change: What happens to that on which it depends.
        plugins: How many plugins it has afterwards; 0 where it did not import before either.
        why: What is said to be the reason; none if it is nobody's business.
        before: What there is before.
    """

    code: str
    change: Callable[[Tree], object]
    plugins: int
    why: str
    before: Callable[[Tree], object] = lambda _: None


KINDS = {
    "find_spec": Kind(
        "import importlib.util\nif importlib.util.find_spec('k_spec'): extra = P()",
        lambda tree: tree.write("k_spec.py"),
        2,
        "was missing and has appeared: k_spec",
    ),
    "find_spec_inside": Kind(
        "import importlib.util\nif importlib.util.find_spec('k_pack.sub'): extra = P()",
        lambda tree: tree.write("k_pack/sub.py"),
        2,
        "was missing and has appeared: k_pack.sub",
        lambda tree: tree.write("k_pack/__init__.py"),
    ),
    "metadata": Kind(
        "import importlib.metadata as m\ntry: m.version('k_meta'); extra = P()\n"
        "except m.PackageNotFoundError: pass",
        lambda tree: tree.write(
            "k_meta-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: k_meta\nVersion: 1\n"
        ),
        2,
        "has listed a directory that has changed: {}",
    ),
    "entry_points_appear": Kind(
        "import importlib.metadata as m\n"
        "for d in m.distributions():\n"
        "    for e in d.entry_points:\n"
        "        if e.group == 'k.new': globals()[e.name] = P()",
        lambda tree: tree.write("k_new-1.dist-info/entry_points.txt", "[k.new]\nextra = x:y\n"),
        2,
        "has listed a directory that has changed: {}",
    ),
    "entry_points_go": Kind(
        "import importlib.metadata as m\n"
        "for d in m.distributions():\n"
        "    for e in d.entry_points:\n"
        "        if e.group == 'k.old': globals()[e.name] = P()",
        lambda tree: shutil.rmtree(tree.path / "k_old-1.dist-info"),
        1,
        "is gone: {}/k_old-1.dist-info/entry_points.txt",
        lambda tree: tree.write("k_old-1.dist-info/entry_points.txt", "[k.old]\nextra = x:y\n"),
    ),
    "entry_points_change": Kind(
        "import importlib.metadata as m\n"
        "for d in m.distributions():\n"
        "    for e in d.entry_points:\n"
        "        if e.group == 'k.same': globals()[e.name] = P()",
        lambda tree: tree.write(
            "k_same-1.dist-info/entry_points.txt", "[k.same]\nextra = x:y\nmore = x:y\n"
        ),
        3,
        "has changed: {}/k_same-1.dist-info/entry_points.txt",
        lambda tree: tree.write("k_same-1.dist-info/entry_points.txt", "[k.same]\nextra = x:y\n"),
    ),
    "iter_modules": Kind(
        "import pkgutil, k_iter\n"
        "for i in pkgutil.iter_modules(k_iter.__path__): globals()['m_' + i.name] = P()",
        lambda tree: tree.write("k_iter/two.py"),
        3,
        "has listed a directory that has changed: {}/k_iter",
        lambda tree: (tree.write("k_iter/__init__.py"), tree.write("k_iter/one.py")),
    ),
    "iter_modules_appear": Kind(
        "import pkgutil\ntry: import k_late.sub\nexcept ImportError: pass\nelse:\n"
        "    for i in pkgutil.iter_modules(k_late.sub.__path__): globals()['m_' + i.name] = P()",
        lambda tree: (tree.write("k_late/sub/__init__.py"), tree.write("k_late/sub/one.py")),
        2,
        "was missing and has appeared: k_late",
    ),
    "data": Kind(
        "import pkgutil\n"
        "for n in pkgutil.get_data('k_data', 'n.txt').decode().split(): globals()[n] = P()",
        lambda tree: tree.write("k_data/n.txt", "one two"),
        3,
        "has changed: {}/k_data/n.txt",
        lambda tree: (tree.write("k_data/__init__.py"), tree.write("k_data/n.txt", "one")),
    ),
    "data_appears": Kind(
        "import pkgutil\ntry: pkgutil.get_data('k_no_data', 'n.txt'); extra = P()\n"
        "except OSError: pass",
        lambda tree: tree.write("k_no_data/n.txt"),
        2,
        "has appeared: {}/k_no_data/n.txt",
        lambda tree: tree.write("k_no_data/__init__.py"),
    ),
    "resources": Kind(
        "import importlib.resources as r\n"
        "for n in (r.files('k_res') / 'n.txt').read_text().split(): globals()[n] = P()",
        lambda tree: tree.write("k_res/n.txt", "one two"),
        3,
        "has changed: {}/k_res/n.txt",
        lambda tree: (tree.write("k_res/__init__.py"), tree.write("k_res/n.txt", "one")),
    ),
    "resources_listed": Kind(
        "import importlib.resources as r\n"
        "for p in r.files('k_dir').iterdir():\n"
        "    if p.name.endswith('.txt'): globals()[p.name[:-4]] = P()",
        lambda tree: tree.write("k_dir/two.txt"),
        3,
        "has listed a directory that has changed: {}/k_dir",
        lambda tree: (tree.write("k_dir/__init__.py"), tree.write("k_dir/one.txt")),
    ),
    "canonical_data": Kind(
        "import pathlib, k_real\n"
        "text = (pathlib.Path(k_real.__file__).resolve().parent / 'n.txt').read_text()\n"
        "for n in text.split(): globals()[n] = P()",
        lambda tree: tree.write("k_real/n.txt", "one two"),
        3,
        "has changed: {}/k_real/n.txt",
        lambda tree: (tree.write("k_real/__init__.py"), tree.write("k_real/n.txt", "one")),
    ),
    "namespace_portion": Kind(
        "import k_space.core\ntry: import k_space.extra\nexcept ImportError: pass\n"
        "else: extra = P()",
        lambda tree: tree.write("front/k_space/extra.py"),
        2,
        "is found elsewhere now: k_space",
        lambda tree: tree.write("k_space/core/__init__.py"),
    ),
    "namespace_module": Kind(
        "import k_name.core\ntry: import k_name.extra\nexcept ImportError: pass\nelse: extra = P()",
        lambda tree: tree.write("k_name/extra/__init__.py"),
        2,
        "was missing and has appeared: k_name.extra",
        lambda tree: tree.write("k_name/core/__init__.py"),
    ),
    "becomes_a_package": Kind(
        "import k_mod\nfor n in k_mod.NAMES: globals()[n] = P()",
        lambda tree: (
            (tree.path / "k_mod.py").unlink(),
            tree.write("k_mod/__init__.py", "NAMES = 'a', 'b'"),
        ),
        3,
        "is gone: {}/k_mod.py",
        lambda tree: tree.write("k_mod.py", "NAMES = 'a',"),
    ),
    "in_front": Kind(
        "import k_front\nfor n in k_front.NAMES: globals()[n] = P()",
        lambda tree: tree.write("front/k_front.py", "NAMES = 'a', 'b'"),
        3,
        "is found elsewhere now: k_front",
        lambda tree: tree.write("k_front/__init__.py", "NAMES = 'a',"),
    ),
    "extension": Kind(
        "import k_ext\nfor n in k_ext.NAMES: globals()[n] = P()",
        # It is no real one, so that the import fails for good.
        lambda tree: tree.write("k_ext.abi3.so", "no library"),
        -1,
        "is found elsewhere now: k_ext",
        lambda tree: tree.write("k_ext.py", "NAMES = 'a',"),
    ),
    "archive": Kind(
        "import sys\nsys.path.append({}/'k_lib.zip')\n"
        "try: import k_zipped\nexcept ImportError: pass\nelse: extra = P()",
        lambda tree: add_to_archive(tree, "k_zipped.py"),
        2,
        "has changed: {}/k_lib.zip",
        lambda tree: add_to_archive(tree, "k_other.py"),
    ),
    "needed": Kind(
        "import k_need.inner",
        lambda tree: tree.write("k_need/inner.py"),
        0,
        "it failed before, and something was installed or removed since",
        lambda tree: tree.write("k_need/core/__init__.py"),
    ),
    "needed_inside": Kind(
        "import k_need.core.inner",
        lambda tree: tree.write("k_need/core/inner.py"),
        0,
        "was missing and has appeared: k_need.core.inner",
    ),
    "outside": Kind(
        "import os\ntry: open(os.path.normpath({} + '/../outside.txt')).close()\n"
        "except OSError: pass",
        lambda tree: tree.write("../outside.txt"),
        1,
        "",
    ),
    "machine": Kind(
        "for name in ('/etc/passwd', '/etc/none', '/proc/self/stat', '/tmp/none'):\n"
        "    try: open(name).close()\n    except OSError: pass",
        lambda _: None,
        1,
        "",
    ),
    "nothing": Kind(
        "import dropin_cache, json",
        # Without __init__ it hides no package that is behind it.
        lambda tree: (tree.write("front/dropin_cache/plugins/x.py"), tree.write("front/README")),
        1,
        "",
    ),
}
"""What plugin modules may depend on, by the names of the modules."""

_WHATEVER_COMES = ("metadata", "entry_points_appear", "entry_points_go", "entry_points_change")
_FAILED = ("needed", "needed_inside")


@pytest.fixture
def tree(public_path: Path) -> Tree:
    """A tree that everybody can reach, with a plugin module of each kind."""
    tree = Tree(public_path / "tree")
    tree.write("app/__init__.py")
    tree.write("app/plugins/__init__.py")
    (tree.path / "front").mkdir()
    for name, kind in KINDS.items():
        code = kind.code.replace("{}/", f"{str(tree.path)!r} + '/' + ").replace(
            "{}", repr(str(tree.path))
        )
        tree.write(f"app/plugins/{name}.py", "").write_text(f"{_PLUGIN}\n{textwrap.dedent(code)}\n")
        kind.before(tree)
        own(tree, name)
    return tree


def cached(tree: Tree) -> dict[str, int]:
    """Return how many plugins each module has in the cache."""
    file = read_cache_file(str(tree.path / "app" / "plugins"))
    entries = (file.dropins() or {}) if file is not None else {}
    return {name: len(entry.plugins) for name, entry in entries.items()}


def expected_plugins() -> dict[str, int]:
    """Return what has to be in the cache when everything has changed."""
    return {name: abs(kind.plugins) or 1 for name, kind in KINDS.items() if kind.plugins >= 0}


class TestDependencies:
    """What imports look at, other plugin modules included."""

    @pytest.mark.parametrize("tier", [tier for tier in TIERS if tier != "none"])
    def test_each_owner(
        self, tree: Tree, public_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str
    ) -> None:
        """All that has an influence is noticed, for those whom it concerns, and nothing else."""
        front = tree.path / "front"
        with tier_for(tier, public_path, monkeypatch) as update:
            update(tree, front)
            assert ([], ["fresh"]) == (
                update(tree, front).imported,
                list(update(tree, front, write=False).states.values()),
            )
            for kind in KINDS.values():
                kind.change(tree)
            (check,) = update(tree, front, write=False).report.directories
            done = update(tree, front)
            foreseen = {module.rpartition(".")[2]: why for module, why in check.further}
            assert foreseen == {**done.reasons, **foreseen}
            assert set(done.reasons) <= set(foreseen)
            told = {
                name: why.replace("what it imports ", "")
                for name, why in done.reasons.items()
                if name not in _WHATEVER_COMES
            }
            assert {
                name: KINDS["needed"].why if name in _FAILED else kind.why.format(tree.path)
                for name, kind in KINDS.items()
                if kind.why and name not in _WHATEVER_COMES
            } == told
            assert set(_WHATEVER_COMES) <= set(done.imported)
            assert expected_plugins() == cached(tree)
            before = (tree.path / "app/plugins/dropin.cache").read_bytes()
            check = update(tree, front, write=False)
            assert ([], True, ["fresh"]) == (
                check.imported,
                check.alone,
                list(check.states.values()),
            )
            update(tree, front, force=True)
            assert before == (tree.path / "app/plugins/dropin.cache").read_bytes()

    def test_one_by_one(
        self, tree: Tree, public_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without sandboxes each change is noticed by itself, and those that are none are not."""
        front = tree.path / "front"
        # To these, everything that comes is a change; or they have a say in where others look.
        for name in (*_WHATEVER_COMES, *_FAILED, "archive"):
            (tree.path / f"app/plugins/{name}.py").unlink()
        with tier_for("none", public_path, monkeypatch) as update:
            update(tree, front)
            for name, kind in KINDS.items():
                if not (tree.path / f"app/plugins/{name}.py").exists():
                    continue
                kind.change(tree)
                done = update(tree, front)
                assert (name, bool(kind.why)) == (name, bool(done.imported)), done.reasons
                if kind.why:
                    assert f"what it imports {kind.why.format(tree.path)}" in set(
                        done.reasons.values()
                    )
                    assert [] == update(tree, front).imported
                expected = None if kind.plugins < 0 else kind.plugins
                assert (name, expected) == (name, cached(tree).get(name))
                if kind.plugins < 0:  # what has failed is tried again whatever comes
                    (tree.path / f"app/plugins/{name}.py").unlink()
                    update(tree, front)
            assert ["fresh"] == list(update(tree, front, write=False).states.values())


class TestOwners:
    """If one module of an owner has to be imported, all are."""

    @pytest.fixture
    def tree(self, tree: Tree) -> Tree:
        """An application with three plugin modules, two of them of one owner."""
        shutil.rmtree(tree.path)
        tree.application()
        for name in ("one", "two", "other"):
            tree.dropin(name)
        tree.write("pair-1.dist-info/RECORD", "app/plugins/one.py,,\napp/plugins/two.py,,\n")
        own(tree, "other")
        return tree

    def test_neighbours(self, tree: Tree) -> None:
        """They are told to be imported for the sake of the one that has to be."""
        assert ["one", "other", "two"] == run(tree).imported
        tree.dropin("two", "IOther")
        done = run(tree)
        assert affected(tree, "one", "two") == done.imported
        why = "another plugin module of its owner is imported again"
        others = ["one"] if ROOT else ["one", "other"]
        assert {"two": "its file has changed", **dict.fromkeys(others, why)} == done.changes
        assert [] == run(tree).imported

    def test_new_and_gone(self, tree: Tree) -> None:
        """So it is if one comes or goes: it may have had a say in what its neighbours are."""
        run(tree)
        tree.dropin("three")
        with (tree.path / "pair-1.dist-info/RECORD").open("a") as file:
            file.write("app/plugins/three.py,,\n")
        done = run(tree)
        assert affected(tree, "one", "two", "three") == done.imported
        assert {"three": "it is new"} == done.reasons
        (tree.path / "app/plugins/one.py").unlink()
        done = run(tree)
        gone = "what it imports is gone: app.plugins.one"
        assert (affected(tree, "two", "three"), {gone, "it is gone"}) == (
            done.imported,
            set(done.changes.values()),
        )

    def test_same_again(self, tree: Tree) -> None:
        """The same files, installed once more, are not imported: that costs a digest of each."""
        run(tree)
        for name in ("one", "two", "other"):
            file = tree.path / f"app/plugins/{name}.py"
            shutil.copy2(file, f"{file}.new")
            os.replace(f"{file}.new", file)
        assert [] == run(tree).imported
        assert run(tree).alone

    def test_only_another_date(self, tree: Tree) -> None:
        """One with another date and the same content is not imported; the date is recorded."""
        run(tree)
        os.utime(tree.path / "app/plugins/one.py", (1, 1))
        done = run(tree)
        assert ([], ["written"]) == (done.imported, list(done.states.values()))
        file = read_cache_file(str(tree.path / "app/plugins"))
        assert 10**9 == file.dropins()["one"].fingerprint.mtime_ns

    def test_just_written(self, tree: Tree) -> None:
        """One that may have been written while it was imported is known by its content."""
        now = os.stat(tree.path).st_mtime_ns + 10**10
        file = tree.path / "app/plugins/one.py"
        os.utime(file, ns=(now, now))
        run(tree)
        assert [] == run(tree).imported
        file.write_text(file.read_text().replace("The plugin", "A  plugin"))
        os.utime(file, ns=(now, now))
        assert affected(tree, "one", "two") == run(tree).imported

    @pytest.mark.skipif(not ROOT, reason="users' plugin modules have no owners")
    def test_whose(self, tree: Tree) -> None:
        """Nobody's modules in one import root have one owner; one that several claim has its own.

        A link of the administrator's to a module elsewhere is his.
        """
        for name in ("local", "mine", "shared"):
            tree.dropin(name)
        tree.dropin("far", root="far")
        elsewhere = tree.write("elsewhere/linked.py", "'A plugin module.'")
        (tree.path / "far/app/plugins/linked.py").symlink_to(elsewhere)
        tree.write("a-1.dist-info/RECORD", "app/plugins/shared.py,,\n")
        tree.write("b-1.dist-info/RECORD", "app/plugins/shared.py,,\napp/plugins/other.py,,\n")
        shutil.rmtree(tree.path / "other_owner-1.dist-info")
        far = tree.path / "far"
        assert 8 == len(run(tree, far).imported)
        owners = {
            "local": ["local", "mine"],
            "far": ["far", "linked"],
            "shared": ["shared"],
            "other": ["other"],
            "one": ["one", "two"],
        }
        for name, expected in owners.items():
            tree.dropin(name, "IOther", root="far" if name == "far" else "")
            assert expected == run(tree, far).imported
        elsewhere.write_text("'Another.'")
        assert ["far", "linked"] == run(tree, far).imported

    @pytest.mark.skipif(not ROOT, reason="users' plugin modules have no owners")
    def test_another_owner(self, tree: Tree) -> None:
        """Whose a module is, is asked again when its file is another."""
        run(tree)
        tree.write("pair-1.dist-info/RECORD", "app/plugins/one.py,,\n")
        tree.write("new-1.dist-info/RECORD", "app/plugins/two.py,,\n")
        assert [] == run(tree).imported
        tree.dropin("two", "IOther")
        assert ["two"] == run(tree).imported
        tree.dropin("one", "IOther")
        assert ["one"] == run(tree).imported


class TestStillOwns:
    """Whether a module is still whose it was, as far as that can be told without asking."""

    def test_record(self, tmp_path: Path) -> None:
        """One whose owner is not known, since all shared a process, is asked about."""
        dropin = Dropin("one", "app.plugins.one", str(tmp_path / "one.py"))
        record = DropinRecord(stamp_of_dropin(dropin), [], "", [], None, "", "", [])
        unasked = Staleness({}, Owners(str(tmp_path)), None, force=False)
        other = record._replace(owner="pip app", stamp=None)
        assert [False, True, False] == [
            unasked._still_owns(each, dropin, "/one.py")
            for each in (record, record._replace(owner="pip app"), other)
        ]
