"""Finding plugin packages, interpreters and directories."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import give_away, no_process_left, unprivileged
from conftest import NOBODY, Tree
from dropin_cache.errors import (
    DirectoryError,
    InterpreterError,
    NoSandboxError,
    PackageBrokenError,
    PackageNotFoundError,
    UntrustedError,
)
from dropin_cache.update import report as report_
from dropin_cache.update import targets
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.environments import BUILT_IN_PACKAGES, Environments
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Report, Request
from dropin_cache.update.session import Session, open_session
from dropin_cache.update.settings.configuration import PackageLine
from dropin_cache.update.targets import Targets
from environments import environment, own_environment

ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@contextlib.contextmanager
def opened(request: Request, **settings: Any) -> Iterator[Targets]:
    """Open the targets of a request, where other settings than the system's may hold."""
    with open_session(request) as session:
        changed = session._replace(settings=session.settings._replace(**settings))
        with (
            Importer(
                changed.confinement, changed.files, changed.request.root, changed.timeout
            ) as importer,
        ):
            owners = Owners(changed.request.root, changed.files)
            yield targets.find_targets(changed, Environments(changed, importer, owners))


@pytest.fixture
def session() -> Iterator[Session]:
    """A run that was asked for nothing special."""
    with open_session(Request()) as found:
        yield found


def nothing(*_: object) -> None:
    """Show no progress."""


def names(found: Targets) -> list[str]:
    """Return the names of the packages."""
    return [target.package for (target, *_) in found.packages]


class TestWithoutTwisted:
    """Plugin modules for Twisted that are installed without it, as asyncio's users have them."""

    @pytest.fixture
    def site(self, public_path: Path) -> Tree:
        """An environment with such modules."""
        self.python, path, _ = own_environment(public_path / "env")
        site = Tree(path)
        for name in ("autobahn_endpoints", "autobahn_twistd", "txsni_endpoint", "txtorcon"):
            site.write(f"twisted/plugins/{name}.py", "from twisted.plugin import IPlugin\n")
        return site

    def updated(self, **options: Any) -> Report:
        """Update everything in the environment."""
        return update(Request(pythons=(self.python,), **options), nothing)

    @pytest.mark.processes
    @pytest.mark.parametrize("packages", [(), ("twisted.plugins",)])
    def test_nothing_to_do(self, site: Tree, packages: tuple[str, ...]) -> None:
        """Nobody can ask for their plugins, so that there is nothing to do and nothing wrong."""
        for write in (True, False):
            report = self.updated(packages=packages, write=write)
            assert ([], ()) == (
                [each for each in report.directories if each.package == "twisted.plugins"],
                report.problems,
            )
        assert [] == list(site.path.glob("twisted/**/dropin.cache"))

    @pytest.mark.processes
    def test_comes_and_goes(self, site: Tree) -> None:
        """When Twisted comes they are looked after, and what was written goes with it."""
        self.updated()
        site.write("twisted/__init__.py")
        site.write("twisted/plugin.py", "from dropin_cache import IPlugin\n")
        site.write("twisted/plugins/__init__.py")
        assert [report_.WRITTEN] == [
            each.state for each in self.updated().directories if each.package == "twisted.plugins"
        ]
        for name in ("__init__.py", "plugin.py", "plugins/__init__.py"):
            (site.path / "twisted" / name).unlink()
        self.updated()
        assert [] == list(site.path.glob("twisted/**/dropin.cache"))
        assert 4 == len(list(site.path.glob("twisted/plugins/*.py")))


class TestWithoutUs:
    """Plugin modules for our own package that are installed without it."""

    @pytest.mark.processes
    @pytest.mark.parametrize("packages", [(), ("dropin_cache.plugins",)])
    def test_nothing_to_do(self, public_path: Path, packages: tuple[str, ...]) -> None:
        """Nobody can ask for their plugins either."""
        python, path, _ = own_environment(public_path / "env")
        shutil.rmtree(path / "dropin_cache")
        Tree(path).write("dropin_cache/plugins/steel.py", "from dropin_cache import IPlugin\n")
        for write in (True, False):
            report = update(Request(pythons=(python,), packages=packages, write=write), nothing)
            assert ((), ()) == (report.directories, report.problems)


class TestNamespaces:
    """Plugin packages without any `__init__.py`, the application's included."""

    @pytest.mark.processes
    def test_looked_at(self, tree: Tree) -> None:
        """Who only looks finds the directories that an update then writes in."""
        tree.write("one/nsapp/plugins/hello.py", "from dropin_cache import IPlugin\n")
        tree.write("two/nsapp/plugins/world.py", "from dropin_cache import IPlugin\n")
        paths = tuple(str(tree.path / name) for name in ("one", "two"))
        request = Request(paths=paths, packages=("nsapp.plugins",))
        expected = [f"{path}/nsapp/plugins" for path in paths]
        for write, state in ((False, report_.MISSING), (True, report_.WRITTEN)):
            found = update(request._replace(write=write), nothing).directories
            assert [(path, state) for path in expected] == [
                (each.path, each.state) for each in found
            ]


class TestFindTargets:
    """Interpreters and packages."""

    @pytest.mark.processes
    def test_named(self, tree: Tree) -> None:
        """A package that is named is found, with its path."""
        tree.application()
        request = Request(packages=("app.plugins",), paths=(str(tree.path),))
        with opened(request) as found:
            ((target,),) = found.packages
            assert "app.plugins" == target.package
            assert str(tree.path / "app" / "plugins") == target.search_path[0]
            assert sys.executable == target.interpreter.python

    @pytest.mark.processes
    def test_built_in(self) -> None:
        """Without names, the built-in packages that are installed are meant."""
        with opened(Request()) as found:
            packages = names(found)
            paths = {target.package: target.search_path for (target,) in found.packages}
        assert paths["dropin_cache.plugins"]
        assert list(BUILT_IN_PACKAGES) == packages[:2]

    @pytest.mark.processes
    def test_missing(self, tree: Tree) -> None:
        """One that is named and nowhere to be found is an error."""
        tree.application()
        request = Request(packages=("app.plugins", "missing.x"), paths=(str(tree.path),))
        with pytest.raises(PackageNotFoundError) as caught, opened(request):
            pass
        assert ("missing.x", sys.executable) == (caught.value.package, caught.value.python)

    @pytest.mark.processes
    def test_two_interpreters(self, tree: Tree) -> None:
        """Each interpreter has targets of its own."""
        tree.application()
        request = Request(
            packages=("app.plugins",), pythons=(sys.executable,) * 2, paths=(str(tree.path),)
        )
        with opened(request) as found:
            assert 1 == len(found.packages[0])
        other = environment(tree.path / "other")
        request = request._replace(pythons=(sys.executable, other.python))
        with opened(request) as found:
            ((one, two),) = found.packages
            assert one.interpreter != two.interpreter
            assert [sys.executable, other.python] == [each.python for each in found.interpreters]

    @pytest.mark.processes
    def test_one_interpreter_has_it(self, tree: Tree) -> None:
        """A package need only be installed for one of the interpreters."""
        first, second = (environment(tree.path / name) for name in ("first", "second"))
        Tree(second.site).application()
        request = Request(packages=("app.plugins",), pythons=(first.python, second.python))
        with opened(request) as found:
            ((one, two),) = found.packages
        assert (None, (str(second.site / "app" / "plugins"),)) == (
            one.search_path,
            two.search_path[:1],
        )

    @pytest.mark.processes
    def test_relative_path(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative path counts from here, not from where the child is."""
        tree.application()
        monkeypatch.chdir(tree.path.parent)
        request = Request(packages=("app.plugins",), paths=("tree",))
        with opened(request) as found:
            assert str(tree.path) == found.packages[0][0].import_roots[0]

    def test_bad_path(self, tmp_path: Path) -> None:
        """A path that is none is told before any interpreter starts."""
        request = Request(pythons=("/nonexistent",), paths=(str(tmp_path / "missing"),))
        with pytest.raises(DirectoryError), opened(request):
            pass

    def test_interpreter_is_missing(self) -> None:
        """An interpreter that is not there is an error."""
        with (
            pytest.raises(InterpreterError) as caught,
            opened(Request(pythons=("/nonexistent",))),
        ):
            pass
        assert "No such file or directory" == caught.value.reason

    @pytest.mark.parametrize(
        ("configured", "expected"),
        [((), "/usr/bin/python3"), (("/opt/one", "/opt/two"), "/opt/one")],
    )
    def test_interpreter_of_an_image(
        self, public_path: Path, configured: tuple[str, ...], expected: str
    ) -> None:
        """In another root it is that of its configuration or of its system; never a running one."""
        if not ROOT:
            expected = "/usr/bin/python3"  # users have no configured interpreters
        with (
            pytest.raises(InterpreterError) as caught,
            opened(Request(root=str(public_path)), interpreters=configured),
        ):
            pass
        assert (expected, "No such file or directory") == (
            caught.value.python,
            caught.value.reason,
        )

    @pytest.mark.skipif(not ROOT, reason="users need no sandbox")
    def test_without_sandbox(self) -> None:
        """Root never imports without one."""
        with (
            pytest.raises(NoSandboxError) as caught,
            opened(Request(sandbox="none")),
        ):
            pass
        assert [("none", "plugin modules never run with the rights of root")] == list(
            caught.value.reasons
        )

    @pytest.mark.processes
    def test_package_is_broken(self, tree: Tree) -> None:
        """A package that does not import is a problem, and the others go on."""
        tree.application()
        tree.write("bad/__init__.py", "1/0")
        request = Request(packages=("bad", "app.plugins"), paths=(str(tree.path),))
        with opened(request) as found:
            assert [0, 1] == [len(package) for package in found.packages]
            (problem,) = found.problems
        assert isinstance(problem, PackageBrokenError)
        assert ("bad", "ZeroDivisionError: division by zero") == (problem.package, problem.reason)

    @pytest.mark.processes
    def test_declared(self, tree: Tree) -> None:
        """Installed distributions say which plugin packages they have."""
        tree.application()
        tree.application("second")
        tree.declare("app.plugins")
        entries = tree.declare("second.plugins", name="second")
        entries.write_text(entries.read_text().replace("plugins", "plugins:name [x]"))
        with opened(Request(paths=(str(tree.path),))) as found:
            assert {"app.plugins", "second.plugins"} <= set(names(found))
            paths = {target.package: target.search_path for (target,) in found.packages}
        assert str(tree.path / "app" / "plugins") == paths["app.plugins"][0]

    @pytest.mark.processes
    def test_configured(self, tree: Tree) -> None:
        """The configuration says so, too, and where they may be."""
        tree.application()
        roots = (str(tree.path), str(tree.path / "missing"))
        lines = (PackageLine("app.plugins", roots), PackageLine("missing.plugins"))
        with opened(Request(), packages=lines) as found:
            paths = {target.package: target.search_path for (target,) in found.packages}
            import_roots = found.packages[0][0].import_roots
            assert str(tree.path) == import_roots[-1]
            assert str(tree.path / "missing") not in import_roots
        assert str(tree.path / "app" / "plugins") == paths["app.plugins"][0]
        assert None is paths["missing.plugins"]
        assert () == found.problems

    @pytest.mark.processes
    @pytest.mark.skipif(not ROOT, reason="users rely on what they may")
    def test_configured_root_of_others(self, tree: Tree, public_path: Path) -> None:
        """Where others can write, nothing is imported from for root."""
        (public_path / "root").mkdir()
        (public_path / "root").chmod(0o777)
        line = PackageLine("app.plugins", (str(public_path / "root"),))
        with opened(Request(), packages=(line,)) as found:
            (problem,) = found.problems
            assert line.import_roots[0] not in found.packages[0][0].import_roots
        assert isinstance(problem, UntrustedError)

    @pytest.mark.processes
    @pytest.mark.skipif(not ROOT, reason="users have no configured interpreters")
    def test_configured_interpreters(self, tree: Tree, public_path: Path) -> None:
        """Further interpreters count, too; one that cannot be used is a problem, no more."""
        other = environment(tree.path / "other")
        public = public_path / "python"
        public.symlink_to(sys.executable)
        os.lchown(public, NOBODY, NOBODY)
        wanted = (sys.executable, other.python, "/nonexistent", str(public))
        with opened(Request(), interpreters=wanted) as found:
            assert [sys.executable, other.python] == [each.python for each in found.interpreters]
            problems = found.problems
        assert [InterpreterError, UntrustedError] == [type(problem) for problem in problems]

    @pytest.mark.processes
    @pytest.mark.skipif(not ROOT, reason="users have no configured interpreters")
    def test_named_interpreters(self, tree: Tree) -> None:
        """Who names interpreters means no others."""
        request = Request(pythons=(sys.executable,))
        with opened(request, interpreters=("/nonexistent",)) as found:
            assert [sys.executable] == [each.python for each in found.interpreters]
            assert () == found.problems

    @pytest.mark.processes
    @pytest.mark.skipif(ROOT, reason="root has configured interpreters")
    def test_interpreters_of_a_user(self) -> None:
        """The configured ones are those of the system."""
        with opened(Request(), interpreters=("/nonexistent",)) as found:
            assert [sys.executable] == [each.python for each in found.interpreters]
            assert () == found.problems


@pytest.mark.processes
class TestGone:
    """Packages that are not there any more."""

    def test_named(self, tree: Tree) -> None:
        """One that is named and has left a directory is no error."""
        tree.write("app/__init__.py")
        tree.write("app/plugins/dropin.cache")
        shutil.rmtree(tree.path / "app" / "plugins" / "__pycache__", ignore_errors=True)
        (tree.path / "app" / "__init__.py").unlink()
        tree.write("app.py")  # hides what is left
        with opened(Request(packages=("app.plugins",), paths=(str(tree.path),))) as found:
            ((target,),) = found.packages
        assert None is target.search_path

    @pytest.mark.parametrize("there", [False, True])
    def test_known_from_earlier(self, tree: Tree, there: bool) -> None:
        """One that nobody declares any more must not get stale, wherever it is."""
        tree.application()
        tree.dropin("one")
        request = Request(packages=("app.plugins",), paths=(str(tree.path),))
        assert ["written"] == [each.state for each in update(request, nothing).directories]
        if not there:
            shutil.rmtree(tree.path / "app")
        with opened(request._replace(packages=())) as found:
            assert "app.plugins" in names(found)

    def test_no_plugin_package_any_more(self, tree: Tree) -> None:
        """One that is known to contain another by now is none."""
        tree.application()
        tree.dropin("one")
        request = Request(packages=("app.plugins",), paths=(str(tree.path),))
        update(request, nothing)
        tree.write("app/plugins/inner/__init__.py")
        tree.declare("app.plugins.inner")
        with opened(request._replace(packages=())) as found:
            assert {"app.plugins", "app.plugins.inner"} & {*names(found)} == {"app.plugins.inner"}


class TestPythonPaths:
    """The paths of interpreters."""

    def test_default(self) -> None:
        """Without names it is the running one."""
        assert [sys.executable] == targets.python_paths(())

    def test_on_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name without a slash is looked up as a shell does."""
        (tmp_path / "mypython").touch(mode=0o755)
        monkeypatch.setenv("PATH", f"/nonexistent:{tmp_path}")
        assert [str(tmp_path / "mypython")] == targets.python_paths(["mypython"])

    @pytest.mark.parametrize("name", ["no-such-python", ""])
    def test_not_on_path(self, name: str) -> None:
        """One that is not there is an error."""
        with pytest.raises(InterpreterError) as caught:
            targets.python_paths([name])
        assert (name, "there is no such program on PATH") == (
            caught.value.python,
            caught.value.reason,
        )

    def test_link(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A link is not resolved: virtual environments are known by theirs."""
        (tmp_path / "python").symlink_to(sys.executable)
        monkeypatch.chdir(tmp_path)
        assert [str(tmp_path / "python")] == targets.python_paths(["./python"])


class TestDirectories:
    """Directories that can belong to packages, found without importing."""

    def test_existing(self, tree: Tree) -> None:
        """Each import root has at most one, and it exists."""
        tree.write("a/app/plugins/one.py")
        tree.write("b/app/__init__.py")
        tree.write("c/app/plugins/two.py")
        roots = [str(tree.path / name) for name in "abc"]
        expected = [("app.plugins", f"{root}/app/plugins") for root in (roots[0], roots[2])]
        assert expected == list(targets.directories(["app.plugins"], roots, Files(enforced=False)))

    def test_one_is_a_package(self, tree: Tree) -> None:
        """Of several that are packages themselves the first counts."""
        for root in "abc":
            tree.write(f"{root}/app/plugins/one.py")
        for root in "bc":
            tree.write(f"{root}/app/plugins/__init__.py")
        roots = [str(tree.path / name) for name in "abc"]
        expected = [("app.plugins", f"{root}/app/plugins") for root in roots[:2]]
        assert expected == list(targets.directories(["app.plugins"], roots, Files(enforced=False)))


def asking(session: Session, path: Path) -> Session:
    """Return a run that was asked to import from a path."""
    return session._replace(request=Request(paths=(str(path),)))


class TestCheckImportRoots:
    """Directories to import from."""

    def test_directory(self, session: Session, tmp_path: Path) -> None:
        """A directory will do."""
        targets.check_import_roots(asking(session, tmp_path))

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("missing", "No such file or directory"), ("file", targets._NO_DIRECTORY)],
    )
    def test_no_directory(self, session: Session, tmp_path: Path, name: str, reason: str) -> None:
        """Nothing else will."""
        (tmp_path / "file").touch()
        with pytest.raises(DirectoryError) as caught:
            targets.check_import_roots(asking(session, tmp_path / name))
        assert (str(tmp_path / name), reason) == (caught.value.path, caught.value.reason)

    def test_unreadable(self, session: Session, public_path: Path) -> None:
        """Nor will one that this user cannot read."""
        path = give_away(public_path / "private")
        path.chmod(0)
        with unprivileged(), pytest.raises(DirectoryError) as caught:
            targets.check_import_roots(asking(session, path))
        path.chmod(0o700)
        assert "Permission denied" == caught.value.reason
