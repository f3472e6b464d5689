"""What a cache should be, made from what is known already and what is new."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import no_process_left
from conftest import Tree
from dropin_cache import _decode
from dropin_cache._cachefile import read_cache_file
from dropin_cache._encode import encode
from dropin_cache.update import desired
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Request
from updates import ROOT, SETTLED, affected, modules, own, run

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@pytest.fixture
def app(tree: Tree) -> Tree:
    """A tree with an application and some plugin modules, each of an owner of its own."""
    tree.application()
    for name in ("one", "two", "three"):
        tree.dropin(name)
        own(tree, name)
    return tree


def cache(tree: Tree) -> Path:
    """Return the path of the cache."""
    return tree.path / "app" / "plugins" / "dropin.cache"


def keys(tree: Tree) -> list[str]:
    """Return the drop-ins in the cache."""
    file = read_cache_file(str(cache(tree).parent))
    return list(file.dropins() or {}) if file is not None else []


class TestDesiredCache:
    """Bytes."""

    @pytest.mark.parametrize("name", ["one", "two", "three", "zero"])
    def test_same_as_from_nothing(self, app: Tree, name: str) -> None:
        """A cache of which one part is new is the same as one that is new in all parts."""
        own(app, name)
        run(app)
        app.dropin(name, "IOther")
        assert affected(app, name) == run(app).imported
        part = cache(app).read_bytes(), cache(app).stat().st_mtime_ns
        run(app, force=True)
        assert part == (cache(app).read_bytes(), cache(app).stat().st_mtime_ns)

    def test_breaks_and_recovers(self, app: Tree) -> None:
        """A drop-in that breaks leaves the cache, and comes back when it is mended."""
        run(app)
        before = cache(app).read_bytes()
        file = app.path / "app" / "plugins" / "two.py"
        text, status = file.read_text(), file.stat()
        file.write_text("1/0")
        run(app)
        assert ["one", "three"] == keys(app)
        file.write_text(text)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert affected(app, "two") == run(app).imported
        assert before == cache(app).read_bytes()

    def test_nothing_but_broken(self, tree: Tree) -> None:
        """Where nothing can be cached, that is remembered, too."""
        tree.application()
        tree.write("app/plugins/bad.py", "1/0")
        first, second = run(tree), run(tree)
        assert (["bad"], [], True) == (first.imported, second.imported, second.alone)
        for done in (first, second):
            (directory,) = done.report.directories
            assert ("unchanged", 0, 1) == (
                directory.state,
                directory.modules,
                len(directory.broken),
            )

    def test_counts(self, app: Tree) -> None:
        """How much is in the cache is known without reading it."""
        run(app)
        (directory,) = run(app).report.directories
        assert (3, 3, "fresh") == (directory.modules, directory.plugins, directory.found)

    @pytest.mark.parametrize("content", [None, b"", encode([])], ids=["gone", "torn", "empty"])
    def test_cache_of_others(self, app: Tree, content: bytes | None) -> None:
        """What was to be taken from a cache that somebody has replaced since is imported anew."""
        own(app, "zero")
        run(app)
        app.dropin("zero")
        imported: list[str] = []

        def replace(_number: int, _count: int, module: str) -> None:
            if not imported:
                cache(app).unlink()
                if content is not None:
                    cache(app).write_bytes(content)
            imported.append(module.rpartition(".")[2])

        time.sleep(SETTLED)
        request = Request(packages=("app.plugins",), paths=(str(app.path),))
        (directory,) = update(request, replace).directories
        assert ("written", 4) == (directory.state, directory.modules)
        assert modules(app) == sorted(imported)
        assert "zero" == imported[0] or not ROOT
        assert ["one", "three", "two", "zero"] == keys(app)


class TestTooLarge:
    """Caches that no reader would accept."""

    @pytest.fixture
    def limit(self, app: Tree, monkeypatch: pytest.MonkeyPatch) -> int:
        """A limit that what there is meets, also if each module is counted by itself."""
        run(app)
        size = 2 * cache(app).stat().st_size
        monkeypatch.setattr(desired, "MAX_SIZE", size)
        return size

    def test_left_out(self, app: Tree, limit: int) -> None:
        """The largest drop-in is left out, and tried again by the next run."""
        app.write("app/plugins/large.py", f"__doc__ = 'x' * {limit}")
        for _ in range(2):
            done = run(app)
            assert affected(app, "large") == done.imported
            (broken,) = done.report.directories[0].broken
            assert ("app.plugins.large", True) == (broken.module, broken.news)
            assert "with it the cache would be larger than 0 MiB" == broken.error
            assert ["one", "three", "two"] == keys(app)

    def test_long_names(self, app: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """A drop-in that repeats long names is left out, and the others' cache is read."""
        for module in (_decode, desired):
            monkeypatch.setattr(module, "ALWAYS_TOLD", 0)
        app.write(
            "app/plugins/wordy.py",
            """
            from zope.interface import Interface, directlyProvides
            from zope.interface.interface import InterfaceClass
            from dropin_cache import IPlugin
            ILong = InterfaceClass("I" * 5000, (Interface,), __module__="app.long")

            class Plugin:
                pass

            for number in range(60):
                globals()[f"plugin{number}"] = plugin = Plugin()
                directlyProvides(plugin, IPlugin, ILong)
            """,
        )
        (broken,) = run(app).report.directories[0].broken
        assert ("app.plugins.wordy", "it repeats names that are too long") == broken[:2]
        assert ["one", "three", "two"] == keys(app)

    def test_nothing_fits(self, app: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nothing fits there is no cache."""
        monkeypatch.setattr(desired, "MAX_SIZE", 10)
        done = run(app)
        (directory,) = done.report.directories
        assert (0, 0, 3) == (directory.modules, directory.plugins, len(directory.broken))
        assert not cache(app).exists()
