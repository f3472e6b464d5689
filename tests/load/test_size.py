"""Much of everything: drop-ins, packages, text, other files.

What comes out is right, exit statuses are those of the manual, and memory grows with nothing but
what has to be kept. The factor is that of JSON, see load_support.py: the most that text takes that
has been parsed, as the ledger, answers and caches are.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import load_support
from conftest import Tree
from dropin_cache._cachefile import read_cache_file
from dropin_cache._decode import MAX_SIZE
from dropin_cache.update.importing.child import MAX_ANSWER
from load_support import FACTOR, SLACK, directory, read, update
from tally import LONG, tally
from updates import ledger_file

_MANY = 10_000 if LONG else 200
_PACKAGES = 1_000 if LONG else 10
_OTHERS = 1_000_000 if LONG else 20_000
_HOARD = """
import app.plugins, os
hoard = [(entry.name, entry) for entry in os.scandir(app.plugins.__path__[0])]
"""


def kept(*trees: Path) -> int:
    """Count the bytes that an update has to have in memory: caches and the ledger."""
    caches = [path for tree in trees for path in tree.rglob("dropin.cache")]
    return sum(path.stat().st_size for path in (*caches, ledger_file()))


@pytest.fixture
def least(tmp_path: Path) -> int:
    """How much memory a small update needs."""
    tree = Tree(tmp_path / "small/tree")
    tree.application()
    tree.dropin("one")
    return update(tree).peak


@pytest.fixture
def least_read(tmp_path: Path) -> int:
    """How much memory a small reader needs."""
    tree = Tree(tmp_path / "read/tree")
    tree.application()
    tree.dropin("one")
    update(tree)
    return read(tree.path).peak


class TestDropins:
    """Drop-ins in one directory."""

    def test_many(self, tree: Tree, least: int, least_read: int) -> None:
        """All are cached, readers import none, and memory grows with cache and ledger."""
        tree.application()
        names = [f"d{number:05}" for number in range(_MANY)]
        for name in names:
            tree.dropin(name)
        done, again = update(tree), update(tree)
        assert [0, 0] == [done.status, again.status]
        counted = f"(app.plugins: {_MANY} modules, {_MANY} plugins)"
        assert f"written: {directory(tree)} {counted}" == done.out.splitlines()[0]
        assert f"unchanged: {directory(tree)} {counted}" == again.out.splitlines()[0]
        assert "" == done.err + again.err
        found = read(tree.path)
        assert (names, 0, []) == found[:3]
        room = FACTOR * kept(tree.path) + SLACK
        assert max(done.peak, again.peak) < least + room
        assert found.peak < least_read + room
        tally("size", drop_ins_in_a_directory=_MANY, processes_out_of_bounds=0)

    @pytest.fixture
    def crowded(self, tree: Tree) -> Iterator[Tree]:
        """An application with one drop-in among other files, which are gone in the end."""
        tree.application()
        tree.dropin("one")
        handle = os.open(directory(tree), os.O_RDONLY)
        try:
            for number in range(_OTHERS):
                os.close(os.open(f"{number}.txt", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
            yield tree
        finally:
            os.close(handle)
            shutil.rmtree(tree.path)

    def test_other_files(self, crowded: Tree, least: int, least_read: int) -> None:
        """Other files cost no memory; that they do is seen where it is so."""
        done, again, found = update(crowded), update(crowded), read(crowded.path)
        assert [0, 0] == [done.status, again.status]
        assert (["one"], 0, []) == found[:3]
        assert max(done.peak, again.peak) < least + SLACK
        assert found.peak < least_read + SLACK
        tally("size", other_files_in_a_directory=_OTHERS, processes_out_of_bounds=0)
        # And this is what it takes to keep their names.
        assert read(crowded.path, _HOARD).peak > least_read + SLACK


class TestPackages:
    """Plugin packages."""

    def test_many(self, tree: Tree, least: int) -> None:
        """Each that a distribution names has its cache."""
        names = [f"p{number:04}" for number in range(_PACKAGES)]
        for name in names:
            tree.application(name)
            tree.dropin("one", package=name)
            tree.declare(f"{name}.plugins", name=name)
        done, again = [
            load_support.run_update(tree.path.parent, "--path", tree.path) for _ in range(2)
        ]
        assert [(0, ""), (0, "")] == [(each.status, each.err) for each in (done, again)]
        for each, state in ((done, "written"), (again, "unchanged")):
            lines = [
                f"{state}: {tree.path}/{name}/plugins ({name}.plugins: 1 module, 1 plugin)"
                for name in names
            ]
            assert lines == [line for line in each.out.splitlines() if str(tree.path) in line]
        caches = [read_cache_file(str(tree.path / name / "plugins")) for name in names]
        assert [["one"]] * _PACKAGES == [list(cache.dropins()) for cache in caches]
        assert max(done.peak, again.peak) < least + FACTOR * kept(tree.path) + SLACK
        tally("size", plugin_packages=_PACKAGES, processes_out_of_bounds=0)


class TestText:
    """Docstrings."""

    def test_ten_megabytes(self, tree: Tree, least: int, least_read: int) -> None:
        """A drop-in with more text than an answer may have is left out; readers have it all."""
        tree.application()
        tree.dropin("small")
        document(tree.dropin("large"), 10_000_000)
        done = update(tree)
        line = "dropin-cache: warning: app.plugins.large is left out: its description is larger"
        assert (0, f"{line} than 1 MiB\n") == (done.status, done.err)
        assert ["small"] == list(read_cache_file(str(directory(tree))).dropins())
        assert 3 == update(tree, "--strict").status
        assert done.peak < least + FACTOR * (kept(tree.path) + MAX_ANSWER) + SLACK
        first, second = read(tree.path), read(tree.path)
        names = ["large", "small"]
        assert [(names, 1, []), (names, 0, [])] == [first[:3], second[:3]]
        assert second.peak < least_read + FACTOR * kept(tree.path) + SLACK

    @pytest.mark.skipif(not LONG, reason="the long form takes seconds for the text alone")
    def test_largest_cache(self, tree: Tree, least: int) -> None:
        """What a cache has no room for is left out, so that readers accept it."""
        tree.application()
        each = MAX_ANSWER - (MAX_ANSWER >> 5)
        count = MAX_SIZE // each
        for number in range(count + 1):
            document(tree.dropin(f"d{number:02}"), each)
        done = update(tree)
        line = (
            "dropin-cache: warning: app.plugins.d00 is left out: with it the cache would be larger"
        )
        assert (0, f"{line} than 64 MiB\n") == (done.status, done.err)
        assert count == len(read_cache_file(str(directory(tree))).dropins())
        # All text as it came, in pieces, joined, and with the checksum; as much again to read back.
        assert done.peak < least + 8 * MAX_SIZE + FACTOR * MAX_ANSWER + SLACK


def document(dropin: Path, size: int) -> None:
    """Give a drop-in a docstring of a size in bytes."""
    text = ("x" * 99 + "\n") * (size // 100)
    dropin.write_text(f'"""{text}"""\n{dropin.read_text()}')
