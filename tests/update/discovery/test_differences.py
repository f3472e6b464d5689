"""How plugin modules differ from what their cache says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import Tree
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin, CachedPlugin, InterfaceName
from dropin_cache._scan import CACHE_NAME
from dropin_cache.update.discovery.differences import BY_TWISTED, Difference
from reader_support import fingerprint_of


@pytest.fixture
def plugins(tree: Tree) -> Path:
    """A directory with plugin modules in each of the states that there are."""
    place = tree.path / "app" / "plugins"
    entries = []
    for name in ("same", "gone", "changed", "dated", "pack/__init__", "unknown", "empty"):
        file = tree.write(f"app/plugins/{name}.py", f"import os  # {name}\n", 10**18)
        entry = CachedDropin(f"app.plugins.{name.partition('/')[0]}", None)
        entry.fingerprint = fingerprint_of(file) if name not in {"unknown", "empty"} else None
        if name == "unknown":
            marker = InterfaceName("twisted.plugin", "IPlugin")
            CachedPlugin.from_references(entry, "plugin", None, (marker,), ())
        entries.append(entry)
    inner = [entry for entry in entries if entry.moduleName.endswith("pack")]
    (place / CACHE_NAME).write_bytes(encode([each for each in entries if each not in inner]))
    (place / "pack" / CACHE_NAME).write_bytes(encode(inner))
    (place / "gone.py").unlink()
    (place / "changed.py").write_text("# other\n")
    os.utime(place / "dated.py", (1, 1))
    tree.write("app/plugins/new.py")
    return place


class TestDifference:
    """A directory, and its cache."""

    def test_why_stale(self, plugins: Path) -> None:
        """Each state is told, and none where there is no difference."""
        found = Difference.of("app.plugins", str(plugins))
        passed_over = "Twisted wrote what the cache has of it, and passes over what only we find"
        assert {
            "app.plugins.changed": "its file has changed since the cache was written",
            "app.plugins.dated": None,
            "app.plugins.empty": passed_over,
            "app.plugins.gone": "the cache has it, and its file is gone",
            "app.plugins.new": "it is not in the cache",
            "app.plugins.same": None,
            "app.plugins.unknown": None,
        } == {module: found.why_stale(module) for module in found.modules()}

    def test_remarks(self, plugins: Path) -> None:
        """It is told what is the same and would be written otherwise, and of nothing else."""
        date = "its file has another date than when the cache was written, and the same content"
        found = Difference.of("app.plugins", str(plugins)).remarks()
        assert {"app.plugins.dated": date, "app.plugins.unknown": BY_TWISTED} == found

    def test_reasons(self, plugins: Path) -> None:
        """Only those are told that there are."""
        found = Difference.of("app.plugins", str(plugins)).reasons()
        assert ["changed", "empty", "gone", "new"] == [each.rpartition(".")[2] for each in found]

    def test_another_module(self, plugins: Path) -> None:
        """An entry under the key of another module is of no use to readers."""
        (plugins / "same.py").rename(plugins / "other.py")
        cache = plugins / CACHE_NAME
        cache.write_bytes(encode([CachedDropin("app.elsewhere.other", None)]))
        found = Difference.of("app.plugins", str(plugins))
        assert "it is not in the cache" == found.why_stale("app.plugins.other")

    def test_package(self, plugins: Path) -> None:
        """A plugin module that is a package has a directory and a cache of its own."""
        found = Difference.of("app.plugins", str(plugins / "pack"))
        assert ["app.plugins.pack"] == found.modules()
        assert None is found.why_stale("app.plugins.pack")

    @pytest.mark.parametrize("cache", [None, b"", b"nonsense"])
    def test_no_cache(self, plugins: Path, cache: bytes | None) -> None:
        """Without a cache that can be read, nothing is in it."""
        (plugins / CACHE_NAME).unlink()
        if cache is not None:
            (plugins / CACHE_NAME).write_bytes(cache)
        found = Difference.of("app.plugins", str(plugins))
        assert "it is not in the cache" == found.why_stale("app.plugins.same")
        assert {} == found.entries

    def test_nothing(self, tmp_path: Path) -> None:
        """Where nothing can be read there is nothing."""
        found = Difference.of("app.plugins", str(tmp_path / "missing"))
        assert ([], None, {}) == (found.modules(), found.cache, found.remarks())


class TestImage:
    """A directory of an image that somebody wants to lead out of."""

    def test_inside(self, tmp_path: Path) -> None:
        """Absolute links are followed inside; the paths are those of this machine."""
        image = Tree(tmp_path / "image")
        image.write("elsewhere/one.py")
        place = image.path / "site/app/plugins"
        place.parent.mkdir(parents=True)
        place.symlink_to("/elsewhere")
        found = Difference.of("app.plugins", str(place), str(image.path))
        assert {"app.plugins.one": f"{place}/one.py"} == {
            name: dropin.path for name, dropin in found.files.items()
        }

    @pytest.mark.parametrize("start", ["", "/../../..", "/proc/self/root"])
    @pytest.mark.parametrize(
        "part", ["site", "site/app", "site/app/plugins", "x.py", "x", CACHE_NAME]
    )
    def test_link_out(self, plugins: Path, tmp_path: Path, part: str, start: str) -> None:
        """No link leads out, whichever component it is."""
        image = tmp_path / "image"
        place = image / "site/app/plugins"
        targets = {
            "site": plugins.parents[1],
            "site/app": plugins.parent,
            "site/app/plugins": plugins,
            "x.py": plugins / "same.py",
            "x": plugins / "pack",
            CACHE_NAME: plugins / CACHE_NAME,
        }
        link = image / part if part.startswith("site") else place / part
        link.parent.mkdir(parents=True)
        link.symlink_to(f"{start}{targets[part]}")
        found = Difference.of("app.plugins", str(place), str(image))
        assert ({}, {}, None) == found
