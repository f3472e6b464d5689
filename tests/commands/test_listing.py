"""What is in the caches, read without importing anything."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import no_process_left, run
from conftest import NOBODY, Tree
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint, InterfaceName
from dropin_cache.commands import as_json, listing
from dropin_cache.errors import DirectoryError, InterpreterError, UnknownInterfaceError
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Request
from environments import Environment, environment
from updates import ROOT


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


def request_for(tree: Tree, **options: Any) -> Request:
    """Return a request for the caches of the application in a tree."""
    options = {"packages": ("app.plugins",), "paths": (str(tree.path),), **options}
    return Request(**options)


def rows(tree: Tree, interface: str | None = None, **options: Any) -> list[listing.Row]:
    """List the plugins in the tree."""
    return listing.listed(request_for(tree, **options), interface).rows


def write(tree: Tree) -> None:
    """Write the caches."""
    update(request_for(tree), lambda *_: None)


@pytest.mark.processes
class TestRows:
    """Plugins, one by one."""

    def test_row(self, app: Tree) -> None:
        """A row has all that the cache knows."""
        write(app)
        first, second = rows(app)
        assert (
            listing.Row(
                package="app.plugins",
                module="app.plugins.loud",
                plugin="plugin",
                provides=("dropin_cache.IPlugin", "app.interfaces.ILoudGreeter"),
                inherits=("app.interfaces.IGreeter", "zope.interface.Interface"),
                description="The plugin of loud.",
                path=str(app.path / "app" / "plugins"),
            )
            == second
        )
        assert "app.plugins.hello" == first.module

    @pytest.mark.parametrize(
        ("interface", "count"),
        [
            ("app.interfaces.IGreeter", 2),
            ("app.interfaces.ILoudGreeter", 1),
        ],
    )
    def test_interface(self, app: Tree, interface: str, count: int) -> None:
        """Inherited interfaces count."""
        write(app)
        assert count == len(rows(app, interface))

    @pytest.mark.parametrize("interface", ["app.interfaces.IOther", "IGreeter"])
    def test_no_interface(self, app: Tree, interface: str) -> None:
        """One that nobody provides may be a mistake; what there is helps to tell."""
        write(app)
        with pytest.raises(UnknownInterfaceError) as caught:
            rows(app, interface)
        assert interface == caught.value.interface
        assert "app.interfaces.IGreeter" in caught.value.known

    def test_no_cache(self, app: Tree) -> None:
        """Where there is no cache there is nothing to list."""
        assert [] == rows(app)

    def test_bad_cache(self, app: Tree) -> None:
        """Nor where there is something else."""
        app.write("app/plugins/dropin.cache", "hello")
        assert [] == rows(app)

    @pytest.mark.parametrize("kind", ["module", "interface", "inherited", "plugins", "crossed"])
    def test_large(self, app: Tree, kind: str) -> None:
        """What is listed is in proportion to the cache, whatever is in it, and so is the work."""
        size = 200_000
        long = "I" * (size // 4)
        module = f"{long}.hello" if kind == "module" else "app.plugins.hello"
        reference = InterfaceName("app.interfaces", long if kind == "interface" else "IGreeter")
        made = CachedDropin(module, None)
        references, names = (reference,), ((long,) if kind == "inherited" else ())
        if kind == "crossed":
            references = tuple(InterfaceName("app", f"I{number}") for number in range(size // 30))
            names = tuple(f"app.J{number}" for number in range(size // 30))
        for number in range(1 if kind == "crossed" else size // 80):
            CachedPlugin.from_references(made, f"p{number}", None, references, names)
        data = encode([made])
        app.write("app/plugins/dropin.cache").write_bytes(data)
        found = rows(app)
        assert (kind in {"plugins", "crossed"}) is bool(found)
        assert len(as_json.listing(listing.Listed(found, []))) < 120 * len(data)

    def test_interpreters_share_directories(self, app: Tree) -> None:
        """What two interpreters have in common is listed once."""
        write(app)
        assert 2 == len(rows(app, pythons=(sys.executable,) * 2))

    def test_package(self, app: Tree) -> None:
        """Drop-ins that are packages have their caches inside."""
        place = app.path / "app" / "plugins"
        (place / "pack").mkdir()
        (place / "loud.py").rename(place / "pack" / "__init__.py")
        write(app)
        assert [("app.plugins.hello", str(place)), ("app.plugins.pack", str(place / "pack"))] == [
            (row.module, row.path) for row in rows(app)
        ]

    def test_loop_of_links(self, app: Tree) -> None:
        """A loop of symbolic links hides nothing."""
        self.test_package(app)
        (app.path / "app" / "plugins" / "loop").symlink_to("loop")
        assert 2 == len(rows(app))

    def test_directory_that_cannot_be_listed(self, app: Tree) -> None:
        """A directory that vanishes meanwhile holds nothing."""
        missing = str(app.path / "missing")
        assert [] == list(listing._rows_of(Files(enforced=False), "app.plugins", missing))

    def test_not_a_package(self, app: Tree) -> None:
        """A cache in a directory that cannot be a drop-in of its name is no cache of one."""
        write(app)
        place = app.path / "app" / "plugins"
        (place / "data").mkdir()
        (place / "data" / "dropin.cache").write_bytes((place / "dropin.cache").read_bytes())
        assert 2 == len(rows(app))

    def test_written_by_twisted(self, app: Tree) -> None:
        """Twisted's caches do not tell what is inherited."""
        pytest.importorskip("twisted.plugin")
        from twisted import plugin  # noqa: PLC0415 - only where it is installed

        app.write(
            "app/plugins/hello.py",
            """
            from zope.interface import implementer
            from twisted.plugin import IPlugin
            from app.interfaces import ILoudGreeter

            @implementer(IPlugin, ILoudGreeter)
            class Plugin:
                pass

            plugin = Plugin()
            """,
        )
        (app.path / "app" / "plugins" / "loud.py").unlink()
        sys.path.insert(0, str(app.path))
        import app.plugins as package  # noqa: PLC0415 - it has just been written

        plugin.getCache(package)
        (row,) = rows(app)
        assert ("twisted.plugin.IPlugin", "app.interfaces.ILoudGreeter") == row.provides
        assert () == row.inherits

    def test_bad_path(self, app: Tree) -> None:
        """A path that is none is an error."""
        with pytest.raises(DirectoryError):
            rows(app, paths=(str(app.path / "missing"),))

    def test_bad_interpreter(self, app: Tree) -> None:
        """So is an interpreter that is none."""
        with pytest.raises(InterpreterError):
            rows(app, pythons=("/nonexistent/python",))


class TestHostileImage:
    """Caches of an image that somebody wants to lead out of, or to keep root waiting."""

    @pytest.fixture
    def image(self, tmp_path: Path) -> Path:
        """An image with a plugin directory; beside it, one like that with a cache of another."""
        for name in ("image", "outside"):
            (tmp_path / name / "app/plugins/inner").mkdir(parents=True)
        (tmp_path / "outside/app/plugins/dropin.cache").write_bytes(self.cache("secret"))
        (tmp_path / "outside/app/plugins/inner/dropin.cache").write_bytes(self.cache("inner"))
        return tmp_path / "image"

    @staticmethod
    def cache(name: str) -> bytes:
        """Return a cache with one plugin."""
        dropin = CachedDropin(f"app.plugins.{name}", None)
        dropin.fingerprint = Fingerprint(1, 1, "0" * 64)
        CachedPlugin.from_references(dropin, "plugin", None, (), ())
        return encode([dropin])

    @staticmethod
    def modules(image: Path) -> list[str]:
        """List the modules."""
        with Files(enforced=False, root=str(image)) as files:
            return [row.module for row in listing._rows_of(files, "app.plugins", "/app/plugins")]

    def test_inside(self, image: Path) -> None:
        """A link is followed like any other as long as it stays inside."""
        (image / "elsewhere").write_bytes(self.cache("hello"))
        (image / "app/plugins/dropin.cache").symlink_to("/elsewhere")

        assert ["app.plugins.hello"] == self.modules(image)

    @pytest.mark.parametrize("link", ["absolute", "relative", "proc"])
    @pytest.mark.parametrize(
        "part", ["app", "app/plugins", "app/plugins/dropin.cache", "app/plugins/inner"]
    )
    def test_link_out(self, image: Path, part: str, link: str) -> None:
        """No link leads out, whichever component it is."""
        target = str(image.parent / "outside" / part)
        if (image / part).is_dir():
            shutil.rmtree(image / part)
        starts = {"absolute": "", "relative": "../" * 20, "proc": "/proc/self/root"}
        (image / part).symlink_to(starts[link] + target)

        assert [] == self.modules(image)

    @pytest.mark.parametrize("kind", ["fifo", "socket", "directory", "huge"])
    def test_no_file(self, image: Path, kind: str) -> None:
        """What is no regular file, or too large, is no cache, and nobody waits for it."""
        place = image / "app/plugins/dropin.cache"
        if kind == "fifo":
            os.mkfifo(place)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(place))
        elif kind == "directory":
            place.mkdir()
        else:
            place.touch()
            os.truncate(place, 1 << 40)

        assert [] == self.modules(image)


@pytest.mark.processes
class TestArchives:
    """Plugin modules that no cache has."""

    @pytest.fixture
    def site(self, public_path: Path) -> Environment:
        """An environment with archives on its path: one good, one damaged, one without any."""
        site = environment(public_path / "env")
        names = ("good", "damaged", "other", "empty")
        for name in names:
            (site.site / f"{name}.pth").write_text(f"{public_path / name}.zip\n")
        for name, inside in (("good", "hello.py"), ("other", "__init__.py"), ("empty", "")):
            with zipfile.ZipFile(public_path / f"{name}.zip", "w") as archive:
                archive.writestr(f"dropin_cache/plugins/{inside}", "")
        (public_path / "damaged.zip").write_text("PK")
        return site

    def test_named(self, site: Environment, public_path: Path) -> None:
        """Those with plugin modules are named, whatever else there is."""
        done = run("list", "--python", site.python)
        words = "applications find the plugin modules in this archive, and no cache has them"
        assert f"dropin-cache: info: {public_path}/good.zip: {words}" == done.err.splitlines()[0]
        assert 0 == done.status
        assert 1 == done.err.count(words)

    @pytest.mark.skipif(not ROOT, reason="only root relies on nobody else")
    def test_of_another_user(self, site: Environment, public_path: Path) -> None:
        """Root looks into none that others can change."""
        os.chown(public_path / "good.zip", NOBODY, NOBODY)
        assert "archive" not in run("list", "--python", site.python).err
