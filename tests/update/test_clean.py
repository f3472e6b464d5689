"""Removing caches: all that this project wrote, or those that have outlived their packages."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import command_line
from conftest import Tree, run_python
from dropin_cache._decode import SEAL_SIZE, decode
from dropin_cache._encode import encode
from dropin_cache.errors import (
    LockTimeoutError,
    NotWrittenError,
    UntrustedError,
    ZopeInterfaceMissingError,
)
from dropin_cache.update.clean import clean
from dropin_cache.update.files import cache_directory
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Report, Request
from dropin_cache.update.state.ledger import Ledger
from environments import Environment, environment
from updates import SETTLED, ledger_file

pytestmark = pytest.mark.processes

CACHE = "dropin.cache"
ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with command_line.no_process_left():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment without any plugins."""
    return command_line.bare_environment(tmp_path_factory.mktemp("bare") / "environment")


@pytest.fixture
def bare(made: Environment) -> Iterator[Environment]:
    """The same, which may be told to import from elsewhere."""
    yield made
    (made.site / "more.pth").unlink(missing_ok=True)


@pytest.fixture
def plugins(app: Tree) -> Path:
    """The plugin directory in the tree."""
    return app.path / "app" / "plugins"


@pytest.fixture
def request_(app: Tree, bare: Environment) -> Request:
    """A request about nothing but the tree, which declares its plugin package."""
    app.declare("app.plugins")
    return Request(pythons=(bare.python,), paths=(str(app.path),))


def write_all(request: Request) -> Report:
    """Write the caches, from files that have settled."""
    time.sleep(SETTLED)
    report = update(request, lambda *_: None)
    assert {"written"} == {each.state for each in report.directories}
    return report


def states(report: Report) -> list[tuple[str, str]]:
    """Return path and state of each directory."""
    return [(each.path, each.state) for each in report.directories]


@contextlib.contextmanager
def open_ledger(request: Request) -> Iterator[Ledger]:
    """Change the ledger of the environment that a request is about."""
    with Files(enforced=False) as files:
        opened = Ledger(str(ledger_file(request.pythons[0])), files)
        yield opened
        opened.save()


def unsealed(data: bytes) -> bytes:
    """Return a cache as it would be without the checksum, which only this project writes."""
    return data[:-SEAL_SIZE] + b"."


class TestClean:
    """Removing all caches."""

    def test_removed(self, app: Tree, plugins: Path, request_: Request) -> None:
        """The caches and the ledger go, and nothing else does."""
        before = command_line.snapshot(app.path)
        write_all(request_)
        assert before != command_line.snapshot(app.path)
        assert [(str(plugins), "removed")] == states(clean(request_))
        assert before == command_line.snapshot(app.path)
        assert [] == list(ledger_file(request_.pythons[0]).parent.glob("*.ledger"))

    def test_nothing_to_do(self, app: Tree, request_: Request) -> None:
        """Where nothing was written there is nothing to tell."""
        before = command_line.snapshot(app.path)
        assert [] == states(clean(request_))
        assert before == command_line.snapshot(app.path)

    def test_twice(self, request_: Request) -> None:
        """What was removed is not removed again."""
        write_all(request_)
        clean(request_)
        assert [] == states(clean(request_))

    @pytest.mark.parametrize("selected", [True, False])
    def test_known_to_the_ledger(self, plugins: Path, request_: Request, selected: bool) -> None:
        """Caches are found where they were written, though nobody asks for that place."""
        write_all(request_)
        pythons = request_.pythons if selected else ()
        assert [(str(plugins), "removed")] == states(clean(Request(pythons=pythons)))

    def test_without_ledger(self, plugins: Path, request_: Request) -> None:
        """And where plugin packages are now, though nobody remembers having written them."""
        write_all(request_)
        ledger_file(request_.pythons[0]).unlink()
        assert [(str(plugins), "removed")] == states(clean(request_))

    @pytest.mark.parametrize("python", ["/none/python", "/bin/true"])
    def test_no_interpreter(
        self,
        plugins: Path,
        request_: Request,
        python: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """No interpreter need be left to ask where plugin packages are."""
        write_all(request_)
        monkeypatch.setattr(sys, "executable", python)
        assert [(str(plugins), "removed")] == states(clean(Request()))

    def test_broken_interpreter(
        self, plugins: Path, request_: Request, bare: Environment, tmp_path: Path
    ) -> None:
        """Nor need one that is named start, as long as it is there."""
        write_all(request_)
        (bare.site / "zope").rename(tmp_path / "zope")
        try:
            assert [(str(plugins), "removed")] == states(clean(request_))
        finally:
            (tmp_path / "zope").rename(bare.site / "zope")

    def test_inner(self, plugins: Path, request_: Request) -> None:
        """A drop-in that is a package has a cache of its own, which goes, too."""
        (plugins / "pack").mkdir()
        (plugins / "loud.py").rename(plugins / "pack" / "__init__.py")
        write_all(request_)
        expected = [(str(plugins), "removed"), (str(plugins / "pack"), "removed")]
        assert expected == states(clean(request_))
        assert [] == list(plugins.rglob(CACHE))

    def test_leftovers(self, plugins: Path, request_: Request) -> None:
        """Temporary files of runs that were killed go with the cache."""
        write_all(request_)
        leftover = plugins / f".{CACHE}.{'0' * 16}.new"
        leftover.touch()
        clean(request_)
        assert not leftover.exists()

    def test_empty_directories(self, app: Tree, plugins: Path, request_: Request) -> None:
        """Directories that the cache has kept alive go with it, the import root does not."""
        write_all(request_)
        for path in (*plugins.glob("*.py"), *plugins.parent.glob("*.py")):
            path.unlink()
        (directory,) = clean(request_).directories
        assert (str(plugins), str(plugins.parent)) == directory.pruned
        assert not plugins.parent.exists()
        assert app.path.exists()

    def test_no_import_root(self, plugins: Path, request_: Request) -> None:
        """Where nobody knows an import root, no directory is removed."""
        write_all(request_)
        with open_ledger(request_) as opened:
            record = opened.directories[str(plugins)]
            opened.directories[str(plugins)] = record._replace(import_root="")
        shutil.rmtree(plugins.parent)
        plugins.mkdir(parents=True)
        (plugins / CACHE).write_bytes(b"(\x8c\x08000000000.")
        (directory,) = clean(request_._replace(paths=())).directories
        assert ("removed", ()) == (directory.state, directory.pruned)
        assert plugins.exists()

    def test_gone(self, app: Tree, request_: Request) -> None:
        """A directory that is gone is nothing to talk about."""
        write_all(request_)
        shutil.rmtree(app.path / "app")
        assert [] == states(clean(request_))
        assert not ledger_file(request_.pythons[0]).exists()


class TestWhose:
    """What is left alone, because another program wrote it."""

    def test_never_ours(self, plugins: Path, request_: Request) -> None:
        """A cache that Twisted wrote stays."""
        write_all(request_)
        data = unsealed((plugins / CACHE).read_bytes())
        assert None is not decode(data)
        ledger_file(request_.pythons[0]).unlink()
        (plugins / CACHE).write_bytes(data)
        assert [] == states(clean(request_))
        assert data == (plugins / CACHE).read_bytes()

    def test_no_more(self, plugins: Path, request_: Request) -> None:
        """One that was ours and that another program has written since stays."""
        write_all(request_)
        data = unsealed((plugins / CACHE).read_bytes())
        (plugins / CACHE).write_bytes(data)
        assert [] == states(clean(request_))
        assert data == (plugins / CACHE).read_bytes()

    def test_twisted(self, app: Tree, plugins: Path, request_: Request) -> None:
        """Real Twisted does not take our end over."""
        pytest.importorskip("twisted.plugin")
        write_all(request_)
        future = time.time() + 60
        os.utime(plugins / "hello.py", (future, future))
        before = (plugins / CACHE).read_bytes()
        code = "from twisted import plugin\nfrom app import plugins\nplugin.getCache(plugins)"
        done = run_python(code, path=[app.path])
        assert (0, "") == (done.returncode, done.stderr)
        assert before != (plugins / CACHE).read_bytes()
        assert [] == states(clean(request_))
        assert (plugins / CACHE).exists()

    def test_damaged(self, plugins: Path, request_: Request) -> None:
        """One of ours that is damaged in the middle is still ours."""
        write_all(request_)
        data = (plugins / CACHE).read_bytes()
        (plugins / CACHE).write_bytes(data.replace(b"hello", b"jello"))
        assert [(str(plugins), "removed")] == states(clean(request_))

    @pytest.mark.parametrize("kind", ["directory", "fifo", "link", "text", "empty"])
    def test_something_else(self, app: Tree, plugins: Path, request_: Request, kind: str) -> None:
        """Whatever else has the name of a cache stays."""
        other = app.write("other", "")
        write_all(request_)
        other.write_bytes((plugins / CACHE).read_bytes())
        (plugins / CACHE).unlink()
        if kind == "directory":
            (plugins / CACHE).mkdir()
        elif kind == "fifo":
            os.mkfifo(plugins / CACHE)
        elif kind == "link":
            (plugins / CACHE).symlink_to(other)
        else:
            (plugins / CACHE).write_text("hello" if kind == "text" else "")
        before = command_line.snapshot(app.path)
        assert [] == states(clean(request_))
        assert before == command_line.snapshot(app.path)


def without_locks(request_: Request, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Clean where there are no locks."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        return clean(request_)


class TestFailure:
    """What cannot be removed: it is told, it stays, and it stays in the ledger."""

    def compare(
        self, request_: Request, report: Report, state: str, error: type, plugins: Path
    ) -> None:
        """Compare what is told of one directory, and that nothing was forgotten."""
        (directory,) = report.directories
        assert (str(plugins), state) == (directory.path, directory.state)
        assert isinstance(directory.error, error)
        assert (plugins / CACHE).exists()
        with open_ledger(request_) as opened:
            assert str(plugins) in opened.directories

    def test_locked(self, plugins: Path, request_: Request) -> None:
        """While somebody else is writing."""
        write_all(request_)
        with cache_directory.open_locked(str(plugins), 0):
            report = clean(request_._replace(lock_timeout=0.1))
        self.compare(request_, report, "failed", LockTimeoutError, plugins)

    def test_no_place_for_a_lock(
        self, plugins: Path, request_: Request, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a lock nothing is removed."""
        write_all(request_)
        report = without_locks(request_, monkeypatch)
        self.compare(request_, report, "failed", NotWrittenError, plugins)

    @pytest.mark.parametrize("ours", [False, True])
    def test_nothing_of_ours(
        self,
        ours: bool,
        plugins: Path,
        request_: Request,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Where nothing can be written, that matters only if there is something to remove."""
        write_all(request_)
        (plugins / CACHE).write_bytes(b"another program's")
        leftover = plugins / ".dropin.cache.0123456789abcdef.new"
        if ours:
            leftover.touch()
        report = without_locks(request_, monkeypatch)
        assert ([(str(plugins), "failed")] if ours else []) == states(report)

    @pytest.mark.skipif(ROOT, reason="root may write everywhere")
    def test_no_permission(self, plugins: Path, request_: Request) -> None:
        """Where this user may not write."""
        write_all(request_)
        plugins.chmod(0o555)
        report = clean(request_)
        plugins.chmod(0o755)
        self.compare(request_, report, "failed", NotWrittenError, plugins)

    @pytest.mark.skipif(not ROOT, reason="refusals are for root")
    def test_refused(self, plugins: Path, request_: Request) -> None:
        """Where others can write."""
        write_all(request_)
        plugins.chmod(0o777)
        self.compare(request_, clean(request_), "refused", UntrustedError, plugins)

    def test_others_go_on(self, app: Tree, plugins: Path, request_: Request) -> None:
        """One that cannot be removed does not keep the others."""
        app.dropin("three", root="other")
        other = app.path / "other" / "app" / "plugins"
        request_ = request_._replace(paths=(*request_.paths, str(app.path / "other")))
        write_all(request_)
        with cache_directory.open_locked(str(plugins), 0):
            report = clean(request_._replace(lock_timeout=0.1))
        assert [(str(plugins), "failed"), (str(other), "removed")] == states(report)
        assert not other.exists() or not (other / CACHE).exists()


class TestCommand:
    """`dropin-cache clean`."""

    def options(self, request: Request) -> list[str]:
        """Return the options that make the same request."""
        return ["--python", request.pythons[0], "--path", request.paths[0]]

    def test_removed(self, plugins: Path, request_: Request) -> None:
        """A line for each file and directory says what was removed."""
        write_all(request_)
        for path in (*plugins.glob("*.py"), *plugins.parent.glob("*.py")):
            path.unlink()
        expected = "".join(
            f"removed: {path}\n" for path in (plugins / CACHE, plugins, plugins.parent)
        )
        done = command_line.run("clean", *self.options(request_))
        assert (0, f"{expected}1 cache removed\n", "") == done
        done = command_line.run("clean", *self.options(request_))
        assert (0, "0 caches removed\n", "") == done

    def test_quiet(self, plugins: Path, request_: Request) -> None:
        """With -q nothing is printed but errors."""
        write_all(request_)
        assert (0, "", "") == command_line.run("clean", "-q", *self.options(request_))
        assert not (plugins / CACHE).exists()

    def test_failed(self, plugins: Path, request_: Request) -> None:
        """What could not be removed is an error."""
        write_all(request_)
        options = ("-q", "--lock-timeout", "0.1", *self.options(request_))
        with cache_directory.open_locked(str(plugins), 0):
            outcome = command_line.run("clean", *options)
        message = (
            f"dropin-cache: error: another process is writing {plugins / CACHE}, for 0.1 s by now\n"
            "  Try again when it is done, or wait longer: --lock-timeout S\n"
        )
        assert (5, "", message) == outcome

    @pytest.mark.skipif(not ROOT, reason="refusals are for root")
    def test_refused(self, plugins: Path, request_: Request) -> None:
        """So is what was refused, with another status."""
        write_all(request_)
        plugins.chmod(0o777)
        outcome = command_line.run("clean", *self.options(request_))
        message = f"dropin-cache: error: refused {plugins}: {plugins} can be written by others\n"
        removed = "0 caches removed\n"
        assert (4, removed, message) == (outcome.status, outcome.out, outcome.err[: len(message)])

    @pytest.mark.skipif(not ROOT, reason="refusals are for root")
    @pytest.mark.parametrize("whole", [False, True])
    def test_of_another(self, app: Tree, whole: bool) -> None:
        """So is a directory of another user's that is selected, whatever of it is his."""
        app.write("dropin_cache/plugins/one.py")
        command_line.run("update", "dropin_cache.plugins", "--path", app.path)
        his = app.path if whole else app.path / "dropin_cache"
        os.chown(his, command_line.NOBODY, command_line.NOBODY)
        outcome = command_line.run("clean", "--path", app.path)
        problem = f"{his} belongs to user {command_line.NOBODY}"
        assert 4 == outcome.status
        assert problem in outcome.err.splitlines()[0]


class TestForget:
    """What an update removes although nobody asked about it."""

    @pytest.fixture
    def request_(self, app: Tree, request_: Request, bare: Environment) -> Request:
        """A request about an environment that has the tree on its path for now."""
        (bare.site / "more.pth").write_text(f"{app.path}\n")
        return request_._replace(paths=())

    def update(self, request: Request) -> list[tuple[str, str]]:
        """Update when the environment does not import from the tree any more."""
        for path in Path(request.pythons[0]).parent.parent.glob("lib/*/*/more.pth"):
            path.unlink()
        return states(update(request, lambda *_: None))

    def test_gone_whole(self, app: Tree, plugins: Path, request_: Request) -> None:
        """A cache that is all that is left of a package, and the directories around it."""
        write_all(request_)
        for path in (*plugins.glob("*.py"), *plugins.parent.glob("*.py")):
            path.unlink()
        assert [(str(plugins), "removed")] == self.update(request_)
        assert not plugins.parent.exists()
        assert app.path.exists()
        with open_ledger(request_) as opened:
            assert {} == opened.directories

    @pytest.mark.parametrize("inner", [False, True], ids=["file", "package"])
    def test_not_gone(self, plugins: Path, request_: Request, inner: bool) -> None:
        """One that nobody can reach any more goes, and the plugin modules stay."""
        before = command_line.snapshot(plugins)
        if inner:
            (plugins / "pack").mkdir()
            (plugins / "loud.py").rename(plugins / "pack" / "__init__.py")
            before = command_line.snapshot(plugins)
        write_all(request_)
        expected = [(str(plugins), "removed")]
        expected += [(str(plugins / "pack"), "removed")] if inner else []
        assert expected == self.update(request_)
        assert before == command_line.snapshot(plugins)
        with open_ledger(request_) as opened:
            assert {} == opened.directories

    def test_broken(self, app: Tree, plugins: Path, request_: Request) -> None:
        """That of a package that fails for now stays, and is still known."""
        write_all(request_)
        before = (plugins / CACHE).read_bytes()
        (app.path / "app/__init__.py").write_text("import nothing_of_the_kind\n")
        assert [] == states(update(request_, lambda *_: None))
        assert before == (plugins / CACHE).read_bytes()
        with open_ledger(request_) as opened:
            assert [str(plugins)] == list(opened.directories)

    def test_another_program(self, plugins: Path, request_: Request) -> None:
        """One that another program has written since stays."""
        write_all(request_)
        data = unsealed((plugins / CACHE).read_bytes())
        (plugins / CACHE).write_bytes(data)
        for path in plugins.glob("*.py"):
            path.unlink()
        assert [] == self.update(request_)
        assert data == (plugins / CACHE).read_bytes()

    def test_directory_gone(self, app: Tree, request_: Request) -> None:
        """A directory that is gone is forgotten."""
        write_all(request_)
        shutil.rmtree(app.path)
        assert [] == self.update(request_)
        with open_ledger(request_) as opened:
            assert {} == opened.directories

    def test_directory_gone_alone(self, app: Tree, plugins: Path, request_: Request) -> None:
        """What an earlier run was killed before it could remove goes, up to the import root."""
        write_all(request_)
        shutil.rmtree(plugins)
        for path in plugins.parent.glob("*.py"):
            path.unlink()
        assert [] == self.update(request_)
        assert not plugins.parent.exists()
        assert app.path.exists()

    def test_cache_gone(self, app: Tree, plugins: Path, request_: Request) -> None:
        """Directories that somebody else has emptied go."""
        write_all(request_)
        for path in (*plugins.glob("*"), *plugins.parent.glob("*.py")):
            path.unlink()
        assert [] == self.update(request_)
        assert not plugins.parent.exists()
        assert app.path.exists()

    def test_directory_gone_without_root(self, plugins: Path, request_: Request) -> None:
        """Where nobody knows what it was below, nothing else goes with it."""
        write_all(request_)
        with open_ledger(request_) as opened:
            record = opened.directories[str(plugins)]
            opened.directories[str(plugins)] = record._replace(import_root="")
            opened.save()
        shutil.rmtree(plugins)
        assert [] == self.update(request_)
        assert plugins.parent.exists()
        with open_ledger(request_) as opened:
            assert str(plugins) not in opened.directories

    def test_closed(self, plugins: Path, request_: Request) -> None:
        """A directory that is refused for the moment is remembered."""
        write_all(request_)
        for path in plugins.glob("*.py"):
            path.unlink()
        plugins.parent.chmod(0o777 if ROOT else 0)
        assert [] == self.update(request_)
        plugins.parent.chmod(0o755)
        with open_ledger(request_) as opened:
            assert str(plugins) in opened.directories
        assert [(str(plugins), "removed")] == self.update(request_)

    def test_locked(self, plugins: Path, request_: Request) -> None:
        """One that somebody else is writing is remembered, and told."""
        write_all(request_)
        for path in plugins.glob("*.py"):
            path.unlink()
        with cache_directory.open_locked(str(plugins), 0):
            failed = self.update(request_._replace(lock_timeout=0.1))
        assert [(str(plugins), "failed")] == failed
        assert [(str(plugins), "removed")] == self.update(request_)

    def test_read_only(self, plugins: Path, request_: Request) -> None:
        """Nothing is removed where nothing is to be written, or where packages were named."""
        write_all(request_)
        for path in plugins.glob("*.py"):
            path.unlink()
        assert [] == self.update(request_._replace(write=False))
        assert [] == self.update(request_._replace(packages=("dropin_cache.plugins",)))
        assert (plugins / CACHE).exists()


class TestAbandoned:
    """What is left where zope.interface went together with all that had plugins."""

    @pytest.fixture
    def left(self, tmp_path: Path) -> tuple[str, Path]:
        """An environment without zope.interface, and a directory with nothing but our cache."""
        made = environment(tmp_path / "env")
        (made.site / "project.pth").unlink()
        plugins = made.site / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / CACHE).write_bytes(encode([]))
        return made.python, plugins

    def request(self, left: tuple[str, Path], **more: bool) -> Request:
        """Return the request for an update of the environment."""
        return Request(pythons=(left[0],), **more)  # type: ignore[arg-type]

    def test_removed(self, left: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
        """It goes, and so do the directories that it kept; then there is nothing to do."""
        monkeypatch.delenv("PYTHONPATH", raising=False)
        report = update(self.request(left), lambda *_: None)
        assert [(str(left[1]), "removed")] == states(report)
        assert not left[1].parent.exists()
        with pytest.raises(ZopeInterfaceMissingError):
            update(self.request(left), lambda *_: None)

    @pytest.mark.parametrize("kind", ["module", "another's", "link", "check"])
    def test_kept(self, left: tuple[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """What may be needed again stays, and so does what is not ours."""
        monkeypatch.delenv("PYTHONPATH", raising=False)
        plugins = left[1]
        if kind == "module":
            (plugins / "one.py").touch()
        elif kind == "another's":
            (plugins / CACHE).write_bytes(b"\x80\x04}.")
        elif kind == "link":
            (plugins / CACHE).rename(plugins.parent / "cache")
            (plugins / CACHE).symlink_to(plugins.parent / "cache")
        before = command_line.snapshot(plugins)
        with pytest.raises(ZopeInterfaceMissingError):
            update(self.request(left, write=kind != "check"), lambda *_: None)
        assert before == command_line.snapshot(plugins)

    def test_refused(self, left: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
        """Root changes nothing where others can."""
        if not ROOT:
            pytest.skip("refusals are for root")
        monkeypatch.delenv("PYTHONPATH", raising=False)
        left[1].chmod(0o777)
        with pytest.raises(ZopeInterfaceMissingError):
            update(self.request(left), lambda *_: None)
        assert (left[1] / CACHE).exists()
