"""Finding plugin packages, interpreters and directories."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import give_away, no_process_left, unprivileged
from conftest import Tree
from dropin_cache.errors import ImportRootError, InterpreterError, PackageNotFoundError
from dropin_cache.update import targets
from dropin_cache.update.report import Request


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


class TestOpenTargets:
    """Interpreters and packages."""

    def test_named(self, tree: Tree) -> None:
        """A package that is named is found, with its path."""
        tree.application()
        request = Request(packages=("app.plugins",), paths=(str(tree.path),))
        with targets.open_targets(request) as (target,):
            assert "app.plugins" == target.package
            assert str(tree.path / "app" / "plugins") == target.search_path[0]
            assert sys.executable == target.probe.python

    def test_built_in(self) -> None:
        """Without names, the built-in packages that are installed are meant."""
        with targets.open_targets(Request()) as found:
            packages = [target.package for target in found]
        assert "dropin_cache.plugins" in packages
        assert set(packages) <= set(targets.BUILT_IN_PACKAGES)

    def test_missing(self, tree: Tree) -> None:
        """One that is named and nowhere to be found is an error."""
        tree.application()
        request = Request(packages=("app.plugins", "missing.x"), paths=(str(tree.path),))
        with pytest.raises(PackageNotFoundError) as caught, targets.open_targets(request):
            pass
        assert ("missing.x", sys.executable) == (caught.value.package, caught.value.python)

    def test_two_interpreters(self, tree: Tree) -> None:
        """Each interpreter has targets of its own."""
        tree.application()
        request = Request(
            packages=("app.plugins",), pythons=(sys.executable,) * 2, paths=(str(tree.path),)
        )
        with targets.open_targets(request) as found:
            assert 2 == len(found)
            assert found[0].probe is not found[1].probe

    def test_one_interpreter_has_it(self, tree: Tree) -> None:
        """A package need only be installed for one of the interpreters."""
        tree.application()
        other = tree.write("python", f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
        other.chmod(0o755)
        zope = Path(next(iter(__import__("zope").__path__)))
        (tree.path / "zope").symlink_to(zope)
        request = Request(
            packages=("filelock",),
            pythons=(str(other), sys.executable),
            paths=(str(tree.path),),
        )
        with targets.open_targets(request) as found:
            assert [sys.executable] == [target.probe.python for target in found]

    def test_bad_path(self, tmp_path: Path) -> None:
        """A path that is none is told before any interpreter starts."""
        request = Request(pythons=("/nonexistent",), paths=(str(tmp_path / "missing"),))
        with pytest.raises(ImportRootError), targets.open_targets(request):
            pass


class TestInterpreters:
    """The paths of interpreters."""

    def test_default(self) -> None:
        """Without names it is the running one."""
        assert [sys.executable] == targets.interpreters(())

    def test_on_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name without a slash is looked up as a shell does."""
        (tmp_path / "mypython").touch(mode=0o755)
        monkeypatch.setenv("PATH", f"/nonexistent:{tmp_path}")
        assert [str(tmp_path / "mypython")] == targets.interpreters(["mypython"])

    @pytest.mark.parametrize("name", ["no-such-python", ""])
    def test_not_on_path(self, name: str) -> None:
        """One that is not there is an error."""
        with pytest.raises(InterpreterError) as caught:
            targets.interpreters([name])
        assert (name, "there is no such program on PATH") == (
            caught.value.python,
            caught.value.reason,
        )

    def test_link(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A link is not resolved: virtual environments are known by theirs."""
        (tmp_path / "python").symlink_to(sys.executable)
        monkeypatch.chdir(tmp_path)
        assert [str(tmp_path / "python")] == targets.interpreters(["./python"])


class TestDirectories:
    """Directories that can belong to packages, found without importing."""

    def test_existing(self, tree: Tree) -> None:
        """Each import root has at most one, and it exists."""
        tree.write("a/app/plugins/one.py")
        tree.write("b/app/__init__.py")
        tree.write("c/app/plugins/two.py")
        roots = [str(tree.path / name) for name in "abc"]
        expected = [("app.plugins", f"{root}/app/plugins") for root in (roots[0], roots[2])]
        assert expected == list(targets.directories(["app.plugins"], roots))

    def test_one_is_a_package(self, tree: Tree) -> None:
        """Of several that are packages themselves the first counts."""
        for root in "abc":
            tree.write(f"{root}/app/plugins/one.py")
        for root in "bc":
            tree.write(f"{root}/app/plugins/__init__.py")
        roots = [str(tree.path / name) for name in "abc"]
        expected = [("app.plugins", f"{root}/app/plugins") for root in roots[:2]]
        assert expected == list(targets.directories(["app.plugins"], roots))


class TestCheckImportRoots:
    """Directories to import from."""

    def test_directory(self, tmp_path: Path) -> None:
        """A directory will do."""
        targets.check_import_roots([str(tmp_path)])

    @pytest.mark.parametrize(
        ("name", "reason"), [("missing", "No such file or directory"), ("file", "Not a directory")]
    )
    def test_no_directory(self, tmp_path: Path, name: str, reason: str) -> None:
        """Nothing else will."""
        (tmp_path / "file").touch()
        with pytest.raises(ImportRootError) as caught:
            targets.check_import_roots([str(tmp_path / name)])
        assert (str(tmp_path / name), reason) == (caught.value.path, caught.value.reason)

    def test_unreadable(self, public_path: Path) -> None:
        """Nor will one that this user cannot read."""
        path = give_away(public_path / "private")
        path.chmod(0)
        with unprivileged(), pytest.raises(ImportRootError) as caught:
            targets.check_import_roots([os.fspath(path)])
        path.chmod(0o700)
        assert "Permission denied" == caught.value.reason
