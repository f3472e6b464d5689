"""Environments of one user: what is done in one is nothing to another."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import command_line
from conftest import Tree
from dropin_cache.errors import DirectoryError, InterpreterError, PackageNotFoundError
from dropin_cache.update.clean import clean
from dropin_cache.update.files import locations
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Report, Request
from environments import Environment
from updates import SETTLED, ledger_file

pytestmark = pytest.mark.processes

CACHE = "dropin.cache"


class Site:
    """An environment with a plugin package that nobody declares."""

    def __init__(self, made: Environment) -> None:
        self.python = made.python
        self.tree = Tree(made.site)
        self.plugins = made.site / "own/plugins"
        self.cache = self.plugins / CACHE
        self.ledger = ledger_file(made.python)

    def install(self) -> None:
        """Install the package."""
        self.tree.application("own")
        self.tree.dropin("one", package="own")

    def uninstall(self) -> None:
        """Remove what was installed, and leave what was made: as pip does."""
        for path in (*self.plugins.glob("*.py"), *self.plugins.parent.glob("*.py")):
            path.unlink()

    def update(self, *packages: str, **options: object) -> dict[str, str]:
        """Update this environment; return what became of each directory."""
        time.sleep(SETTLED)
        request = Request(packages=packages, pythons=(self.python,), **options)  # type: ignore[arg-type]
        return states(update(request, lambda *_: None))


def states(report: Report) -> dict[str, str]:
    """Return the state of each directory."""
    return {each.path: each.state for each in report.directories}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, Environment]:
    """Two environments."""
    place = tmp_path_factory.mktemp("environments")
    one, other = (command_line.bare_environment(place / name) for name in ("A", "B"))
    return one, other


@pytest.fixture
def sites(made: tuple[Environment, Environment]) -> Iterator[tuple[Site, Site]]:
    """The same, with a package in the first."""
    one, other = Site(made[0]), Site(made[1])
    one.install()
    yield one, other
    for each in made:
        shutil.rmtree(each.site / "own", ignore_errors=True)
        (each.site / "more.pth").unlink(missing_ok=True)


class TestUpdate:
    """An update of one environment."""

    def test_between_uninstall_and_install(self, sites: tuple[Site, Site]) -> None:
        """While pip is at work in one, an update of another does not touch it, nor tell of it."""
        one, other = sites
        assert {str(one.plugins): "written"} == one.update("own.plugins")
        before = one.cache.read_bytes(), one.ledger.read_bytes()
        one.uninstall()
        assert {} == other.update()
        assert before == (one.cache.read_bytes(), one.ledger.read_bytes())
        one.install()
        one.tree.dropin("two", package="own")
        assert {str(one.plugins): "written"} == one.update()

    def test_directory_gone_meanwhile(self, sites: tuple[Site, Site]) -> None:
        """Nor is it forgotten when nothing at all is there for the moment."""
        one, other = sites
        one.update("own.plugins")
        shutil.rmtree(one.plugins.parent)
        assert {} == other.update()
        one.install()
        assert {str(one.plugins): "written"} == one.update()

    def test_named_elsewhere(self, sites: tuple[Site, Site]) -> None:
        """A package that was named in one is not looked after in another that has it, too."""
        one, other = sites
        other.install()
        one.update("own.plugins")
        assert {} == other.update()
        assert not other.cache.exists()
        assert {str(other.plugins): "written"} == other.update("own.plugins")
        assert {str(one.plugins): "unchanged"} == one.update()

    def test_not_there(self, sites: tuple[Site, Site]) -> None:
        """It is not even looked for there."""
        one, other = sites
        one.update("own.plugins")
        with pytest.raises(PackageNotFoundError):
            other.update("own.plugins")

    def test_shared(self, sites: tuple[Site, Site]) -> None:
        """What two import from has what each of them finds, and no update removes the other's."""
        one, other = sites
        one.update("own.plugins")
        before = one.cache.read_bytes()
        (other.tree.path / "more.pth").write_text(f"{one.tree.path}\n")
        assert {str(one.plugins): "unchanged"} == other.update("own.plugins")
        (other.tree.path / "more.pth").unlink()
        assert {} == other.update()
        assert before == one.cache.read_bytes()
        assert {str(one.plugins): "unchanged"} == one.update()

    def test_no_longer_imported(self, sites: tuple[Site, Site], tmp_path: Path) -> None:
        """What nobody else has to do with goes when it is not imported from any more."""
        one, other = sites
        checkout = Tree(tmp_path / "checkout")
        checkout.application("own")
        checkout.dropin("three", package="own")
        (other.tree.path / "more.pth").write_text(f"{checkout.path}\n")
        plugins = checkout.path / "own/plugins"
        assert {str(plugins): "written"} == other.update("own.plugins")
        (other.tree.path / "more.pth").unlink()
        assert {} == one.update()
        assert {str(plugins): "removed"} == other.update()
        assert ["__init__.py", "three.py"] == sorted(os.listdir(plugins))

    def test_one_lost(self, sites: tuple[Site, Site]) -> None:
        """When what is known of one is lost, the other's holds."""
        one, other = sites
        other.install()
        for each in sites:
            each.update("own.plugins")
        other.update()
        one.ledger.write_bytes(b"damaged")
        assert {} == one.update()
        before = other.ledger.stat().st_mtime_ns
        assert {str(other.plugins): "unchanged"} == other.update()
        assert before == other.ledger.stat().st_mtime_ns

    def test_nothing_left(
        self, sites: tuple[Site, Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where an image is built, nothing is kept, and the caches are written all the same."""
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
        monkeypatch.setattr(
            locations, "LOCK_DIRECTORIES", (str(tmp_path / "a"), str(tmp_path / "b"))
        )
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
        one, _ = sites
        assert {str(one.plugins): "written"} == one.update("own.plugins")
        assert not list(one.ledger.parent.glob("*.ledger"))
        assert {str(one.plugins): "unchanged"} == one.update("own.plugins")
        assert [] == list(tmp_path.iterdir())
        assert [CACHE] == [name for name in os.listdir(one.plugins) if "cache" in name]


class TestGone:
    """Environments whose interpreter is gone, when there is an update of everything."""

    @pytest.fixture
    def gone(
        self, sites: tuple[Site, Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Site:
        """Such a one, which had a cache, and another that runs updates."""
        monkeypatch.setattr(sys, "executable", sites[1].python)
        one = Site(command_line.bare_environment(tmp_path / "gone"))
        one.install()
        one.update("own.plugins")
        return one

    def full(self) -> dict[str, str]:
        """Update everything."""
        time.sleep(SETTLED)
        return states(update(Request(), lambda *_: None))

    def test_modules_left(self, gone: Site) -> None:
        """Their caches go, the plugin modules stay, and nothing is remembered."""
        os.unlink(gone.python)
        assert {str(gone.plugins): "removed"} == self.full()
        assert ["__init__.py", "one.py"] == sorted(os.listdir(gone.plugins))
        assert not gone.ledger.exists()

    def test_selected(self, gone: Site, sites: tuple[Site, Site]) -> None:
        """Nothing of the kind happens in an update of one environment."""
        os.unlink(gone.python)
        assert {} == sites[1].update()
        assert gone.cache.exists()

    def test_not_gone(self, gone: Site) -> None:
        """As long as there is an interpreter, whatever it does, nothing happens to them."""
        os.unlink(gone.python)
        Path(gone.python).symlink_to("nothing")
        assert {} == self.full()
        assert gone.cache.exists()

    def test_not_mounted(self, gone: Site, tmp_path: Path) -> None:
        """One that is not there at all may come back."""
        place = tmp_path / "gone"
        place.rename(tmp_path / "elsewhere")
        assert {} == self.full()
        (tmp_path / "elsewhere").rename(place)
        assert {str(gone.plugins): "unchanged"} == gone.update()

    def test_damaged(self, gone: Site) -> None:
        """Of a ledger that cannot be read nothing is known, and it is left as it is."""
        gone.ledger.write_bytes(b"damaged")
        os.unlink(gone.python)
        assert {} == self.full()
        assert b"damaged" == gone.ledger.read_bytes()

    def test_another_imports_from_there(self, gone: Site, sites: tuple[Site, Site]) -> None:
        """What another environment has to do with, too, stays."""
        (sites[0].tree.path / "more.pth").write_text(f"{gone.tree.path}\n")
        sites[0].uninstall()
        sites[0].update("own.plugins")
        os.unlink(gone.python)
        assert {} == self.full()
        assert gone.cache.exists()


class TestClean:
    """What `clean` removes."""

    def prepare(self, *sites: Site) -> None:
        """Write the caches of environments."""
        for each in sites:
            each.install()
            each.update("own.plugins")

    def test_selected(self, sites: tuple[Site, Site]) -> None:
        """Of one environment, nothing of another goes."""
        one, other = sites
        self.prepare(*sites)
        assert {str(one.plugins): "removed"} == states(clean(Request(pythons=(one.python,))))
        assert other.cache.exists()
        assert [False, True] == [each.ledger.exists() for each in sites]

    def test_all(self, sites: tuple[Site, Site]) -> None:
        """With nothing selected everything goes."""
        self.prepare(*sites)
        expected = {str(each.plugins): "removed" for each in sites}
        assert expected == states(clean(Request()))
        assert [] == [each for each in sites if each.cache.exists() or each.ledger.exists()]

    def test_shared(self, sites: tuple[Site, Site]) -> None:
        """What another environment imports from, too, stays."""
        one, other = sites
        one.update("own.plugins")
        (other.tree.path / "more.pth").write_text(f"{one.tree.path}\n")
        other.update("own.plugins")
        assert {} == states(clean(Request(pythons=(other.python,))))
        assert one.cache.exists()
        assert {str(one.plugins): "removed"} == states(clean(Request()))

    def test_path(self, sites: tuple[Site, Site], tmp_path: Path) -> None:
        """With directories to import from alone, only what is in them goes."""
        one, _ = sites
        checkout = Tree(tmp_path / "checkout")
        checkout.application("own")
        checkout.dropin("three", package="own")
        update(Request(packages=("own.plugins",), paths=(str(checkout.path),)), lambda *_: None)
        one.update("own.plugins")
        plugins = checkout.path / "own/plugins"
        done = states(clean(Request(paths=(str(checkout.path),))))
        assert {str(plugins): "removed"} == done
        assert one.cache.exists()

    def test_moved(self, sites: tuple[Site, Site], tmp_path: Path) -> None:
        """So it is with caches that nobody knows of, as in a tree that was moved."""
        one, _ = sites
        one.update("own.plugins")
        moved = tmp_path / "moved"
        one.plugins.parent.rename(moved)
        other = moved / "other"
        other.mkdir()
        (other / CACHE).write_bytes(b"}.")  # this one is Twisted's
        done = states(clean(Request(paths=(str(tmp_path),))))
        assert {str(moved / "plugins"): "removed"} == done
        assert (other / CACHE).exists()

    @pytest.mark.parametrize(
        ("request_", "error"),
        [
            (Request(pythons=("/nonexistent/bin/python",)), InterpreterError),
            (Request(pythons=("no-such-python",)), InterpreterError),
            (Request(paths=("/nonexistent",)), DirectoryError),
            (Request(paths=("/etc/passwd",)), DirectoryError),
        ],
    )
    def test_not_there(
        self, sites: tuple[Site, Site], request_: Request, error: type[Exception]
    ) -> None:
        """What is selected and is not there is an error, and nothing goes."""
        one, _ = sites
        one.update("own.plugins")
        with pytest.raises(error):
            clean(request_)
        assert one.cache.exists()
