"""Trees of packages that are made of symbolic links: they work like any others.

Each arrangement is made of the same application, so the caches have to be equal to those of plain
files, but for the times of files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from conftest import NOBODY, Tree, missing
from dropin_cache._cachefile import read_cache_file
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Request
from environments import environment
from updates import ROOT, TIERS, run, tier_for

pytestmark = pytest.mark.processes


def each_file(tree: Path, store: Path) -> None:
    """Link each file, as `uv pip install --link-mode symlink` does, and conda at times."""
    for path in [path for path in sorted(tree.rglob("*")) if path.is_file()]:
        # uv keeps each distribution in a directory of its own.
        kept = store / "archive-v0" / path.relative_to(tree).parts[0] / path.relative_to(tree)
        move(path, kept)


def each_package(tree: Path, store: Path) -> None:
    """Link what is at the top, as a Nix environment does, with absolute links."""
    for path in sorted(tree.iterdir()):
        move(path, store / f"hash-{path.stem}" / "lib" / "site-packages" / path.name)


def folded(tree: Path, store: Path) -> None:
    """Link what is at the top by relative links, as stow does."""
    for path in sorted(tree.iterdir()):
        kept = store / "stow" / path.stem / path.name
        move(path, kept)
        path.unlink()
        path.symlink_to(os.path.relpath(kept, tree))


def one_module(tree: Path, store: Path) -> None:
    """Link one plugin module, to a file of another name."""
    move(tree / "app/plugins/hello.py", store / "shared" / "hello-1.2.py")


def one_library(tree: Path, store: Path) -> None:
    """Link what a plugin module imports."""
    move(tree / "library.py", store / "library.py")


def plugin_package(tree: Path, store: Path) -> None:
    """Link the directory of plugin modules; the cache is written where that leads."""
    move(tree / "app/plugins", store / "elsewhere")


def two_steps(tree: Path, store: Path) -> None:
    """Link to a tree of links, as a profile of a user's leads to an environment."""
    each_file(tree, store / "inner")
    each_package(tree, store / "outer")


def whole_root(tree: Path, store: Path) -> None:
    """Link the import root itself, in which a package is a link."""
    each_package(tree, store / "packages")
    move(tree, store / "root")


def versions(tree: Path, store: Path) -> None:
    """Link by way of a link that names the version in use."""
    move(tree / "library.py", store / "v1" / "library.py")
    (store / "current").symlink_to("v1")
    (tree / "library.py").unlink()
    (tree / "library.py").symlink_to(store / "current" / "library.py")


def many(tree: Path, store: Path) -> None:
    """Link a package whose files all lie elsewhere, under names of their own."""
    for number in range(200):
        kept = store / f"pool{number % 100}" / f"{number}.py"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(f"NUMBER = {number}\n")
        link = tree / "numbers" / f"n{number}.py"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(kept)
    hello = tree / "app/plugins/hello.py"
    hello.write_text(f"import numbers_.n7, numbers_.n199\n{hello.read_text()}")
    (tree / "numbers").rename(tree / "numbers_")


def move(path: Path, kept: Path) -> None:
    """Move something, and leave a link to it."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    path.rename(kept)
    path.symlink_to(kept)


_LAYOUTS = (
    *(each_file, each_package, folded, one_module, one_library, plugin_package, two_steps),
    *(whole_root, versions, many),
)


@pytest.fixture
def tree(public_path: Path) -> Tree:
    """An application and two plugin modules, one of which imports a library."""
    tree = Tree(public_path / "site")
    tree.application()
    tree.dropin("hello")
    loud = tree.dropin("loud", "ILoudGreeter")
    loud.write_text(f"import library\n{loud.read_text()}")
    tree.write("library.py")
    return tree


def plugins(tree: Tree) -> list[str]:
    """Return the plugin modules in the cache, and how many plugins each has."""
    file = read_cache_file(str(tree.path / "app" / "plugins"))
    entries = (file.dropins() or {}) if file is not None else {}
    return [f"{name} {len(entry.plugins)}" for name, entry in entries.items()]


class TestArrangements:
    """Where which links are."""

    @pytest.mark.parametrize("arrange", _LAYOUTS)
    def test_namespace(self, tree: Tree, public_path: Path, arrange: Callable[..., None]) -> None:
        """All plugin modules are found, in the first run and without any warning."""
        arrange(tree.path, public_path / "store")
        done = run(tree)
        (directory,) = done.report.directories
        assert (["hello 1", "loud 1"], ()) == (plugins(tree), directory.warnings)
        assert not done.report.problems

    @pytest.mark.parametrize("tier", TIERS)
    @pytest.mark.parametrize("arrange", [each_file, folded])
    def test_tiers(
        self,
        tree: Tree,
        public_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        tier: str,
        arrange: Callable[..., None],
    ) -> None:
        """So it is in each tier."""
        arrange(tree.path, public_path / "store")
        with tier_for(tier, public_path, monkeypatch) as update:
            update(tree)
        assert ["hello 1", "loud 1"] == plugins(tree)

    @pytest.mark.skipif(not ROOT, reason="a user's directories are closed to nobody but others")
    def test_closed(self, tree: Tree, public_path: Path) -> None:
        """What is below a closed directory of root's is shown all the same, as of uv's cache."""
        each_file(tree.path, public_path / "root" / "cache")
        (public_path / "root").chmod(0o700)
        run(tree)
        assert ["hello 1", "loud 1"] == plugins(tree)

    @pytest.mark.skipif(not ROOT, reason="for an ordinary user, what others can change counts")
    def test_not_roots(self, tree: Tree, public_path: Path) -> None:
        """What others can change is not shown, whoever made the link."""
        one_library(tree.path, public_path / "store")
        os.chown(public_path / "store", NOBODY, NOBODY)
        done = run(tree)
        (directory,) = done.report.directories
        assert ["hello 1"] == plugins(tree)
        assert ["app.plugins.loud"] == [each.module for each in directory.broken]


class TestEditable:
    """Distributions that can be edited where they are, outside of all import roots."""

    def test_finder(self, public_path: Path) -> None:
        """What a plugin module imports by the finder of an editable install can be imported.

        That is what setuptools makes of a project whose packages are not all in one directory.
        """
        target = environment(public_path / "env")
        tree = Tree(target.site)
        tree.application()
        tree.dropin("hello").write_text("import library\nimport library.inner\n")
        project = Tree(public_path / "project")
        project.write("code/library/__init__.py")
        project.write("code/library/inner.py")
        tree.write("__editable__.library-1.pth", "import _library_finder; _library_finder.go()\n")
        tree.write(
            "_library_finder.py",
            f"""
            import importlib.util, os, sys
            class Finder:
                @staticmethod
                def find_spec(name, path=None, target=None):
                    if name == "library":
                        place = {str(project.path / "code/library/__init__.py")!r}
                        folder = [os.path.dirname(place)]
                        return importlib.util.spec_from_file_location(
                            name, place, submodule_search_locations=folder
                        )
            def go():
                sys.meta_path.append(Finder)
            """,
        )
        tree.write(
            "library-1.dist-info/direct_url.json",
            f'{{"dir_info": {{"editable": true}}, "url": "file://{project.path}"}}',
        )
        report = update(
            Request(packages=("app.plugins",), pythons=(target.python,)), lambda *_: None
        )
        (directory,) = report.directories
        assert () == directory.broken
        assert ["hello 0"] == plugins(tree)


class TestStow:
    """GNU Stow, which links whole directories for as long as they are of one package."""

    @pytest.fixture
    def stow(self, tree: Tree, public_path: Path) -> Callable[..., None]:
        """A command that stows one package with the application, and one with a plugin module."""
        if shutil.which("stow") is None:
            missing("stow")
        target = public_path / "local"
        for name in ("app-1/lib", "more-1/lib/site/app/plugins"):
            (public_path / "stow" / name).mkdir(parents=True)
        tree.dropin("more")
        more = public_path / "stow/more-1/lib/site/app/plugins/more.py"
        (tree.path / "app/plugins/more.py").rename(more)
        tree.path.rename(public_path / "stow/app-1/lib/site")
        target.mkdir()
        tree.path = target / "lib/site"

        def stow(*arguments: str) -> None:
            command = ["stow", "-d", str(public_path / "stow"), "-t", str(target)]
            # A cache that was written into a package would be in Stow's way later.
            command += [r"--ignore=dropin\.cache"]
            subprocess.run([*command, *arguments], check=True, capture_output=True)

        return stow

    def test_stowed(self, tree: Tree, stow: Callable[..., None]) -> None:
        """What it makes works as anything else does."""
        stow("app-1")
        run(tree)
        assert ["hello 1", "loud 1"] == plugins(tree)

    def test_life(self, tree: Tree, stow: Callable[..., None], public_path: Path) -> None:
        """Another package makes a directory of links; whatever goes, nothing is in its way."""
        stow("app-1")
        run(tree)
        stow("more-1")
        run(tree)
        assert ["hello 1", "loud 1", "more 1"] == plugins(tree)
        stow("-R", "app-1", "more-1")
        assert ["unchanged"] == list(run(tree).states.values())
        stow("-D", "more-1")
        run(tree)
        assert ["hello 1", "loud 1"] == plugins(tree)
        stow("-D", "app-1")
        if (public_path / "local/lib/site").exists():  # for the cache that is there
            run(tree)
        assert not (public_path / "local/lib/site/app/plugins").exists()
