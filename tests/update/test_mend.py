"""Tests of undoing what updates wrote around plugin packages, and in the standard library."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from conftest import Tree
from dropin_cache._encode import encode
from dropin_cache.update.discovery.directories import Target
from dropin_cache.update.discovery.interpreters import interpreter_of
from dropin_cache.update.mend import mend
from dropin_cache.update.report import Request
from dropin_cache.update.session import open_session
from dropin_cache.update.state.ledger import DirectoryRecord
from reader_support import entry

if TYPE_CHECKING:
    from pathlib import Path


def mended(tree: Tree, *seen: Path, package: str = "app.plugins") -> list[tuple[str, str]]:
    """Mend what is around a plugin package, and return what became of which directory."""
    root = str(tree.path)
    target = Target(package, (), interpreter_of("/python", [root], []), (root,))
    with open_session(Request()) as session:
        records = session.ledgers.of(target.interpreter).directories
        record = DirectoryRecord("app", root, [], None, 0, 0, {}, "")
        records.update({str(tree.path / name): record for name in ("app", "app/plugins")})
        done = mend(session, [[target]], {str(path) for path in seen})
        assert {each.path for each in done}.isdisjoint(records)
    return [(os.path.relpath(each.path, root), each.state) for each in done]


class TestMend:
    """Caches around plugin packages."""

    @pytest.fixture
    def caches(self, app: Tree) -> dict[str, Path]:
        """Caches as an update of `app` wrote them, and others."""
        written: dict[str, tuple[str, ...]] = {
            "app": ("app.interfaces", "app.other"),
            "app/plugins": ("app.plugins",),
            "app/core": ("app.core",),
            "app/ext": ("app.ext.one", "app.ext.two"),
            "app/core/deep": ("app.core.deep",),
            "other": ("other.one",),
        }
        for name, modules in written.items():
            app.write(f"{name}/__init__.py")
            data = encode([entry(module) for module in modules])
            (app.path / name / "dropin.cache").write_bytes(data)
        return {name: app.path / name / "dropin.cache" for name in written}

    def test_around(self, app: Tree, caches: dict[str, Path]) -> None:
        """What is about the package above goes; what is about another plugin package stays."""
        gone = {"app", "app/core"}
        assert [(name, "removed") for name in sorted(gone)] == mended(app, app.path / "app/plugins")
        assert set(caches) - gone == {name for name, path in caches.items() if path.exists()}
        assert [] == mended(app, app.path / "app/plugins")

    def test_nothing_there(self, app: Tree) -> None:
        """Where there is no such package, or no cache, there is nothing to do."""
        assert [] == mended(app, package="nowhere.app.plugins") == mended(app)

    def test_in_between(self, app: Tree, caches: dict[str, Path]) -> None:
        """Each package above is looked at."""
        app.write("app/core/deep/plugins/__init__.py")
        package = "app.core.deep.plugins"
        expected = ["app", "app/core", "app/core/deep", "app/plugins"]
        assert expected == sorted(name for name, _ in mended(app, package=package))

    @pytest.mark.parametrize("content", [b"", b"}.", b"not a cache", encode([])])
    def test_of_others(self, app: Tree, caches: dict[str, Path], content: bytes) -> None:
        """What tells of nothing, or is not ours, stays."""
        for name in ("app", "app/core"):
            caches[name].write_bytes(content)
        assert [] == mended(app, app.path / "app/plugins")
        assert caches["app"].exists()

    @pytest.mark.parametrize(
        "change",
        [
            lambda path: path.unlink() or path.symlink_to("nowhere"),
            lambda path: path.unlink() or path.mkdir(),
        ],
    )
    def test_strange(self, app: Tree, caches: dict[str, Path], change: Any) -> None:
        """What is no file is left alone."""
        change(caches["app/core"])
        assert [("app", "removed")] == mended(app, app.path / "app/plugins")

    def test_standard_library(self, app: Tree, caches: dict[str, Path]) -> None:
        """Beside the module os is the standard library, which has no plugins."""
        assert [] == mended(app, package="plugins")
        app.write("os.py")
        gone = ["app", "app/core", "app/plugins", "other"]
        assert gone == [name for name, _ in mended(app, package="plugins")]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
    def test_not_writable(self, app: Tree, caches: dict[str, Path]) -> None:
        """What this user cannot write is somebody else's matter."""
        (app.path / "app").chmod(0o555)
        assert [("app/core", "removed")] == mended(app, app.path / "app/plugins")
        (app.path / "app").chmod(0o755)

    @pytest.mark.skipif(os.geteuid() != 0, reason="users rely on what they may")
    def test_of_another_user(self, app: Tree, caches: dict[str, Path]) -> None:
        """Root leaves alone what others can change."""
        (app.path / "app").chmod(0o777)
        assert [] == mended(app, app.path / "app/plugins")
