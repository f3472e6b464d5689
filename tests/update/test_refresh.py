"""Bringing caches up to date while files change."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

import command_line
from conftest import Tree
from dropin_cache import _decode
from dropin_cache._cachefile import read_cache_file
from dropin_cache.errors import (
    LockTimeoutError,
    NotWrittenError,
    UnreadableError,
    UnstableError,
    UntrustedError,
)
from dropin_cache.update import refresh
from dropin_cache.update.discovery.directories import Target
from dropin_cache.update.discovery.interpreters import interpreter_of
from dropin_cache.update.files import cache_directory
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Report, Request

pytestmark = pytest.mark.processes

CACHE = "dropin.cache"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with command_line.no_process_left():
        yield


@pytest.fixture
def app(tree: Tree) -> Tree:
    """A tree with an application and two drop-ins."""
    tree.application()
    tree.dropin("one")
    tree.dropin("two", "ILoudGreeter")
    return tree


def nothing(*_: object) -> None:
    """Show no progress."""


def run(
    tree: Tree, *further: str, progress: Callable[..., object] = nothing, **options: Any
) -> Report:
    """Update the caches of the application in a tree."""
    request = Request(packages=("app.plugins",), paths=(str(tree.path), *further), **options)
    return update(request, progress)


def at_import(module: str, act: Callable[[], object], *, once: bool = True) -> Callable[..., None]:
    """Return a progress function that does something when a module is about to be imported."""
    left = [act]

    def progress(number: int, count: int, name: str) -> None:
        if name == f"app.plugins.{module}" and left:
            left[0]()
            if once:
                left.clear()

    return progress


def grow(file: Path) -> None:
    """Add a line to a file."""
    with file.open("a") as stream:
        stream.write("#\n")


def states(report: Report) -> dict[str, str]:
    """Return the state of each directory by its name."""
    return {Path(each.path).name: each.state for each in report.directories}


def cached(directory: Path) -> list[str] | None:
    """Return the keys in the cache of a directory."""
    file = read_cache_file(str(directory))
    return None if file is None else list(_decode.decode(file.data))


def before_lock(monkeypatch: pytest.MonkeyPatch, act: Callable[[str, int], object]) -> list[str]:
    """Do something each time before a directory is locked for writing; list the directories."""
    real, locked = cache_directory.open_locked, []

    @contextlib.contextmanager
    def open_locked(directory: str, *options: Any) -> Iterator[cache_directory.CacheDirectory]:
        locked.append(directory)
        act(directory, len(locked))
        with real(directory, *options) as opened:
            yield opened

    monkeypatch.setattr(cache_directory, "open_locked", open_locked)
    return locked


class TestStates:
    """What becomes of a cache."""

    def test_written(self, app: Tree) -> None:
        """A missing cache is written, with facts about each drop-in."""
        report = run(app)
        (directory,) = report.directories
        plugins = app.path / "app" / "plugins"
        assert {"plugins": "written"} == states(report)
        assert ("missing", 2, 2) == (directory.found, directory.modules, directory.plugins)
        assert (str(plugins), "app.plugins") == (directory.path, directory.package)
        assert sys.executable == directory.python
        assert ["one", "two"] == cached(plugins)
        (plugin,) = read_cache_file(str(plugins)).dropins()["two"].plugins
        assert (("app.interfaces", "ILoudGreeter"), "app.interfaces.IGreeter") == (
            plugin.references[1],
            plugin.interfaces[0],
        )

    def test_unchanged(self, app: Tree) -> None:
        """A cache that is right is left alone."""
        run(app)
        before = command_line.snapshot(app.path)
        inode = (app.path / "app" / "plugins" / CACHE).stat().st_ino
        assert {"plugins": "unchanged"} == states(run(app))
        assert before == command_line.snapshot(app.path)
        assert inode == (app.path / "app" / "plugins" / CACHE).stat().st_ino

    def test_forced(self, app: Tree) -> None:
        """Unless writing is asked for; then it becomes the same again."""
        run(app)
        before = command_line.snapshot(app.path)
        inode = (app.path / "app" / "plugins" / CACHE).stat().st_ino
        assert {"plugins": "written"} == states(run(app, force=True))
        assert before == command_line.snapshot(app.path)
        assert inode != (app.path / "app" / "plugins" / CACHE).stat().st_ino

    def test_not_written(self, app: Tree) -> None:
        """Nothing is written where that is not asked for."""
        before = command_line.snapshot(app.path)
        assert {"plugins": "missing"} == states(run(app, write=False))
        assert before == command_line.snapshot(app.path)

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            (lambda cache: None, "fresh"),
            (lambda cache: cache.unlink(), "missing"),
            (lambda cache: cache.write_bytes(b""), "corrupt"),
            (lambda cache: cache.write_bytes(b"\x80\x04}."), "stale"),
            (lambda cache: cache.chmod(0o600), "stale"),
            (lambda cache: os.utime(cache, (0, 0)), "fresh"),
            (lambda cache: os.utime(cache, (2e9, 2e9)), "fresh"),
            (lambda cache: (cache.unlink(), os.mkfifo(cache)), "corrupt"),
            (lambda cache: (cache.unlink(), cache.symlink_to(CACHE)), "corrupt"),
            (lambda cache: (cache.parent / "one.py").write_text("x = 1"), "stale"),
            (lambda cache: (cache.parent / "one.py").unlink(), "stale"),
            (lambda cache: (cache.parent / "three.py").touch(), "stale"),
        ],
        ids=(
            [
                "as it was",
                "gone",
                "empty",
                "other",
                "mode",
                "old",
                "future",
                "FIFO",
                "loop",
                "changed",
                "removed",
                "added",
            ]
        ),
    )
    def test_found(self, app: Tree, change: Callable[[Path], object], found: str) -> None:
        """What a check says is what an update then puts right."""
        run(app)
        change(app.path / "app" / "plugins" / CACHE)
        assert {"plugins": found} == states(run(app, write=False))
        assert {"plugins": "unchanged" if found == "fresh" else "written"} == states(run(app))
        assert {"plugins": "fresh"} == states(run(app, write=False))

    def test_broken(self, app: Tree) -> None:
        """A broken drop-in is left out and named."""
        app.write("app/plugins/bad.py", "1/0")
        (directory,) = run(app).directories
        (broken,) = directory.broken
        assert ["one", "two"] == cached(app.path / "app" / "plugins")
        assert ("app.plugins.bad", "ZeroDivisionError: division by zero", None) == (
            broken.module,
            broken.error,
            broken.owner,
        )
        assert "bad.py" in broken.traceback

    def test_all_broken(self, app: Tree) -> None:
        """A directory with nothing but broken drop-ins has no cache."""
        run(app)
        for name in ("one", "two"):
            app.write(f"app/plugins/{name}.py", "1/0")
        report = run(app)
        assert {"plugins": "removed"} == states(report)
        assert 2 == len(report.directories[0].broken)
        assert not (app.path / "app" / "plugins" / CACHE).exists()

    def test_warnings(self, app: Tree) -> None:
        """An interface that cannot be named is left out with a warning."""
        with (app.path / "app" / "plugins" / "one.py").open("a") as file:
            file.write(
                "from zope.interface import Interface, alsoProvides\n"
                "def local():\n    class ILocal(Interface): pass\n    return ILocal\n"
                "alsoProvides(plugin, local())\n"
            )
        (directory,) = run(app).directories
        (warning,) = directory.warnings
        assert warning.startswith("app.plugins.one: plugin: interface ILocal left out")
        assert 2 == directory.modules

    def test_unreadable_file(self, app: Tree) -> None:
        """A drop-in whose file cannot be read is broken."""
        one = app.path / "app" / "plugins" / "one.py"
        one.unlink()
        one.symlink_to("/proc/self/mem")  # a regular file, but reading it fails
        if not one.is_file():
            pytest.skip("no such file on this machine")
        (directory,) = run(app).directories
        assert ["its file cannot be read"] == [each.error for each in directory.broken]

    def test_unreadable_for_once(self, app: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """What could not be read is read by the next run, though nothing has changed."""
        with monkeypatch.context() as patch:
            patch.setattr("dropin_cache.update.facts.fingerprint", lambda _: None)
            (directory,) = run(app).directories
        assert 2 == len(directory.broken)
        (directory,) = run(app).directories
        assert (2, ()) == (directory.modules, directory.broken)

    @pytest.mark.parametrize("call", ["scandir", "lstat"])
    def test_failing_disk(self, app: Tree, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A directory or file that the disk does not give is not taken for one that is gone."""
        run(app)
        plugins = app.path / "app" / "plugins"
        before = (plugins / CACHE).read_bytes()
        (plugins / "one.py").touch()
        # Who has no rules of trust lets the system follow links.
        call = "stat" if call == "lstat" and os.geteuid() != 0 else call
        real = getattr(os, call)
        marks = (str(plugins), "/proc/self/fd/", str(plugins / "one.py"))

        def failing(path: Any, **options: Any) -> Any:
            if (call == "scandir" and str(path).startswith(marks)) or str(path).endswith("/one.py"):
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            return real(path, **options)

        monkeypatch.setattr(os, call, failing)
        report = run(app)
        assert ([UnreadableError], ()) == (
            [type(one) for one in report.problems],
            report.directories,
        )
        assert before == (plugins / CACHE).read_bytes()

    def test_failed(self, app: Tree) -> None:
        """A cache that cannot be written is told, and the others are written."""
        (app.path / "app" / "plugins" / CACHE).mkdir()
        app.dropin("three", root="other")
        report = run(app, str(app.path / "other"))
        assert ["failed", "written"] == sorted(each.state for each in report.directories)
        (error,) = [each.error for each in report.directories if each.error]
        assert isinstance(error, NotWrittenError)

    def test_locked(self, app: Tree) -> None:
        """So is one that somebody else is writing."""
        plugins = str(app.path / "app" / "plugins")
        with cache_directory.open_locked(plugins, 0):
            (directory,) = run(app, lock_timeout=0.01).directories
        assert "failed" == directory.state
        assert isinstance(directory.error, LockTimeoutError)
        assert not (app.path / "app" / "plugins" / CACHE).exists()

    def test_enormous_drop_in(self, app: Tree) -> None:
        """Drop-ins too large for a cache together do not cost the others their place."""
        for name in ("big", "huge"):
            app.write(f"app/plugins/{name}.py", "__doc__ = 'x' * (40 << 20)")
        (directory,) = run(app, timeout=120).directories
        assert "written" == directory.state
        assert {"one", "two"} <= set(cached(app.path / "app" / "plugins"))


class TestOrphans:
    """Caches whose drop-ins have gone."""

    def test_removed(self, app: Tree) -> None:
        """A cache without drop-ins is removed."""
        app.dropin("three", root="other")
        other = app.path / "other" / "app" / "plugins"
        run(app, str(app.path / "other"))
        assert ["three"] == cached(other)
        (other / "three.py").unlink()
        report = run(app, str(app.path / "other"))
        assert ["removed", "unchanged"] == sorted(each.state for each in report.directories)
        # Nor is a directory kept for its sake.
        assert [(), (str(other), str(other.parent))] == [
            each.pruned for each in sorted(report.directories, key=lambda each: each.state)[::-1]
        ]
        assert [] == os.listdir(app.path / "other")

    def test_told_once(self, app: Tree) -> None:
        """A directory that is on the path twice is one directory."""
        app.write("other/app/plugins/dropin.cache")
        other = str(app.path / "other")
        assert 2 == len(run(app, other, other).directories)

    def test_of_a_package(self, app: Tree) -> None:
        """A cache that outlived a drop-in that was a package is removed."""
        app.write("app/plugins/gone/dropin.cache")
        app.write("app/plugins/gone/__pycache__/__init__.pyc")
        assert "removed" == states(run(app))["gone"]
        assert ["__pycache__"] == os.listdir(app.path / "app" / "plugins" / "gone")

    def test_not_ours(self, app: Tree) -> None:
        """A file by the name of the cache in a directory with other things is left alone."""
        app.write("app/plugins/data/dropin.cache")
        app.write("app/plugins/data/README")
        (app.path / "app" / "plugins" / "link").symlink_to("data")
        assert {"plugins": "written"} == states(run(app))
        assert (app.path / "app" / "plugins" / "data" / CACHE).exists()

    def test_directory_that_cannot_be_read(self, app: Tree, public_path: Path) -> None:
        """A directory that this user cannot look into is passed over."""
        shutil.copytree(app.path, public_path / "tree")
        plugins = command_line.give_away(public_path / "tree" / "app" / "plugins")
        (plugins / "secret").mkdir(mode=0o700)
        (plugins / "secret").chmod(0 if os.geteuid() else 0o700)
        try:
            user = command_line.account(public_path)
            done = user.run("update", "app.plugins", "--path", public_path / "tree")
        finally:
            (plugins / "secret").chmod(0o700)
        assert (0, f"written: {plugins} (app.plugins: 2 modules, 2 plugins)\n", "") == (
            done.status,
            done.out,
            done.err,
        )

    def test_unreadable_directory(self, app: Tree, public_path: Path) -> None:
        """Nor is the cache of a directory taken for an orphan because it cannot be listed."""
        run(app)
        shutil.copytree(app.path, public_path / "tree")
        other = public_path / "tree" / "other" / "app" / "plugins"
        shutil.copytree(public_path / "tree" / "app" / "plugins", other)
        (other / "__init__.py").unlink()
        user = command_line.account(public_path)
        other.chmod(0o311)
        if os.geteuid() == 0:
            command_line.give_away(other)
        paths = ["--path", public_path / "tree", "--path", public_path / "tree" / "other"]
        try:
            done = user.run("check", "app.plugins", *paths)
        finally:
            other.chmod(0o755)
        assert (0, "") == (done.status, done.err), done
        assert str(other) not in done.out

    @pytest.mark.parametrize("order", [0, 1], ids=["link first", "link last"])
    def test_directory_by_two_paths(self, app: Tree, order: int) -> None:
        """A cache is no orphan because its directory is on the path by another name, too."""
        (app.path / "real").mkdir()
        app.dropin("three", root="real")
        (app.path / "link").symlink_to("real")
        further = [str(app.path / name) for name in ("real", "link")]
        paths = further[::-1] if order == 0 else further
        for _ in range(3):
            run(app, *paths)
            assert ["three"] == cached(app.path / "real" / "app" / "plugins")
        assert {"fresh"} == {each.state for each in run(app, *paths, write=False).directories}


class TestLeftovers:
    """Files of runs that were killed."""

    def test_beside_a_fresh_cache(self, app: Tree) -> None:
        """The next run removes them, also if it has nothing to write."""
        run(app)
        litter = app.write(f"app/plugins/.{CACHE}.0123456789abcdef.new")
        assert {"plugins": "unchanged"} == states(run(app))
        assert not litter.exists()

    def test_that_have_to_wait(self, app: Tree) -> None:
        """While somebody else writes they are left alone, and that is no error."""
        run(app)
        litter = app.write(f"app/plugins/.{CACHE}.0123456789abcdef.new")
        with cache_directory.open_locked(str(litter.parent), 0):
            assert {"plugins": "unchanged"} == states(run(app, lock_timeout=0))
        assert litter.exists()

    def test_check_leaves_them(self, app: Tree) -> None:
        """A check removes nothing."""
        run(app)
        litter = app.write(f"app/plugins/.{CACHE}.0123456789abcdef.new")
        assert {"plugins": "fresh"} == states(run(app, write=False))
        assert litter.exists()

    def test_without_a_cache(self, app: Tree) -> None:
        """And where there is neither a cache nor a drop-in."""
        litter = app.write(f"other/app/plugins/.{CACHE}.0123456789abcdef.new")
        run(app, str(app.path / "other"))
        assert not litter.exists()


class TestPackages:
    """Drop-ins that are packages."""

    def test_own_cache(self, app: Tree) -> None:
        """A drop-in that is a package has its cache inside."""
        (app.path / "app" / "plugins" / "pack").mkdir()
        shutil.move(
            str(app.path / "app" / "plugins" / "two.py"),
            str(app.path / "app" / "plugins" / "pack" / "__init__.py"),
        )
        assert {"plugins": "written", "pack": "written"} == states(run(app))
        assert ["one"] == cached(app.path / "app" / "plugins")
        assert ["pack"] == cached(app.path / "app" / "plugins" / "pack")
        assert {"plugins": "fresh", "pack": "fresh"} == states(run(app, write=False))


class TestShadows:
    """Drop-ins with one name in two directories."""

    def test_first_wins(self, app: Tree) -> None:
        """The first on the path is cached, the other is not."""
        app.dropin("one", "IOther", root="other")
        app.dropin("three", root="other")
        report = run(app, str(app.path / "other"))
        assert {"written"} == {each.state for each in report.directories}
        assert ["one", "two"] == cached(app.path / "app" / "plugins")
        assert ["three"] == cached(app.path / "other" / "app" / "plugins")


class TestRaces:
    """Files that change meanwhile."""

    def test_during_its_import(self, app: Tree) -> None:
        """A drop-in that changed while it was imported is imported again."""
        file = app.write("app/plugins/three.py")
        progress = at_import("three", lambda: file.write_text("__doc__ = 'Changed.'"))
        assert {"plugins": "written"} == states(run(app, progress=progress))
        found = read_cache_file(str(app.path / "app" / "plugins")).dropins()
        assert "Changed." == found["three"].description
        assert {"plugins": "fresh"} == states(run(app, write=False))

    def test_during_the_import_of_another(self, app: Tree) -> None:
        """So is one that changed after its import, before the others were done."""

        def act() -> None:
            with (app.path / "app" / "plugins" / "one.py").open("a") as file:
                file.write("other = Plugin()\n")

        run(app, progress=at_import("two", act))
        found = read_cache_file(str(app.path / "app" / "plugins")).dropins()
        assert ["plugin", "other"] == [each.name for each in found["one"].plugins]

    @pytest.mark.parametrize(
        "act",
        [
            os.utime,
            grow,
            lambda file: file.unlink(),
            lambda file: os.replace(file.with_suffix(".new"), file),
        ],
        ids=["touched", "grows", "removed", "replaced"],
    )
    def test_never_stands_still(self, app: Tree, act: Callable[[Path], object]) -> None:
        """A drop-in that changes at each import is given up soon; the others are cached."""
        file = app.write("app/plugins/three.py")
        attempts = []

        def change() -> None:
            attempts.append(1)
            app.write("app/plugins/three.new")
            act(file)

        report = run(app, progress=at_import("three", change, once=False))
        assert {"plugins": "written"} == states(report)
        assert ["one", "two"] == cached(app.path / "app" / "plugins")
        if file.exists():
            assert 3 == len(attempts)
            (broken,) = report.directories[0].broken
            assert ("app.plugins.three", "its file kept changing while it was being read") == (
                broken.module,
                broken.error,
            )
            assert str(file) == broken.path

    @pytest.mark.skipif(os.geteuid() == 0, reason="root's drop-ins cannot write")
    @pytest.mark.parametrize(
        "text",
        [
            "import os; os.utime(__file__)",
            "with open(__file__, 'a') as file: file.write('#\\n')",
            "import os; os.unlink(__file__)",
        ],
        ids=["touches", "grows", "removes"],
    )
    def test_changes_itself(self, app: Tree, text: str) -> None:
        """A drop-in that changes itself at each import is broken; the others are cached."""
        app.write("app/plugins/three.py", text)
        assert {"plugins": "written"} == states(run(app))
        assert ["one", "two"] == cached(app.path / "app" / "plugins")

    @pytest.mark.parametrize("what", ["changed", "added", "removed"])
    def test_between_probe_and_lock(
        self, app: Tree, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What changes before the lock is held is imported again before anything is written."""
        plugins = app.path / "app" / "plugins"

        def act(directory: str, number: int) -> None:
            if number == 1 and what == "changed":
                (plugins / "one.py").write_text("'Changed.'")
            elif number == 1 and what == "added":
                app.dropin("three")
            elif number == 1:
                (plugins / "one.py").unlink()

        locked = before_lock(monkeypatch, act)
        assert {"plugins": "written"} == states(run(app))
        assert 2 == len(locked)
        keys = {"changed": ["one", "two"], "added": ["one", "three", "two"], "removed": ["two"]}
        assert keys[what] == cached(plugins)
        monkeypatch.undo()
        assert {"plugins": "fresh"} == states(run(app, write=False))

    def test_unstable_for_ever(self, app: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """A directory that never stands still is given up, its cache as it was."""
        cache = app.write(f"app/plugins/{CACHE}", "old")
        locked = before_lock(monkeypatch, lambda *_: (cache.parent / "one.py").touch())
        (directory,) = run(app).directories
        assert "failed" == directory.state
        assert isinstance(directory.error, UnstableError)
        assert str(cache.parent) == directory.error.path
        assert 3 == len(locked)
        assert "old" == cache.read_text()
        assert {CACHE, "__init__.py", "one.py", "two.py"} == set(os.listdir(cache.parent))

    @pytest.mark.skipif(os.geteuid() != 0, reason="users rely on what they may")
    def test_opened_to_others(self, app: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """A directory that others get to write in before it is locked is refused."""
        plugins = app.path / "app" / "plugins"
        before_lock(monkeypatch, lambda *_: plugins.chmod(0o777))
        (directory,) = run(app).directories
        assert "refused" == directory.state
        assert isinstance(directory.error, UntrustedError)
        assert not (plugins / CACHE).exists()

    def test_replaced(self, app: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """A directory that another takes the place of is looked at again."""
        plugins = app.path / "app" / "plugins"

        def act(directory: str, number: int) -> None:
            if number == 1:
                shutil.copytree(plugins, app.path / "new")
                plugins.rename(app.path / "old")
                (app.path / "new").rename(plugins)
                (plugins / "one.py").unlink()

        before_lock(monkeypatch, act)
        assert {"plugins": "written"} == states(run(app))
        assert ["two"] == cached(plugins)
        assert not (app.path / "old" / CACHE).exists()

    def test_second_directory(self, app: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """A directory that was written stays "written" when another had to be done again."""
        changed = app.dropin("three", root="other")

        def act(directory: str, number: int) -> None:
            if number == 2:
                changed.write_text("'Changed.'")

        before_lock(monkeypatch, act)
        report = run(app, str(app.path / "other"))
        assert ["written", "written"] == [each.state for each in report.directories]

    def test_somebody_else_was_quicker(self, app: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """A cache that is right when the lock is held is not written again."""
        real = cache_directory.open_locked

        def act(directory: str, number: int) -> None:
            monkeypatch.setattr(cache_directory, "open_locked", real)
            run(app)

        before_lock(monkeypatch, act)
        assert {"plugins": "unchanged"} == states(run(app))

    def test_two_updates(self, app: Tree) -> None:
        """Many updates at once end with the bytes of one."""
        run(app)
        plugins = app.path / "app" / "plugins"
        expected = (plugins / CACHE).read_bytes()
        (plugins / CACHE).unlink()
        arguments = ["update", "--force", "app.plugins", "--path", app.path]
        processes = [command_line.start(*arguments) for _ in range(6)]
        assert {(0, "")} == {command_line.finish(process)[::2] for process in processes}
        assert expected == (plugins / CACHE).read_bytes()
        assert {"plugins": "fresh"} == states(run(app, write=False))
        assert {CACHE, "__init__.py", "one.py", "two.py"} == set(os.listdir(plugins))


class TestArchives:
    """Drop-ins in zip archives."""

    def test_passed_over(self, app: Tree) -> None:
        """A zip archive on the path has no cache, and does no harm."""
        other = app.path / "other"
        app.dropin("three", root="other")
        shutil.make_archive(str(other), "zip", other)
        assert {"plugins": "written"} == states(run(app))
        init = app.path / "app" / "plugins" / "__init__.py"
        with init.open("a") as file:
            file.write(f"__path__.append({str(other) + '.zip/app/plugins'!r})\n")
        assert {"plugins": "unchanged"} == states(run(app))


@pytest.mark.processes
class TestForeign:
    """Directories that are another user's, beside those of this one."""

    @pytest.fixture
    def system(self, app: Tree, public_path: Path) -> Path:
        """An import root of somebody else's, without caches, and with a module that tells."""
        app.dropin("told")
        told = public_path / "imported"
        command_line.give_away(told)
        with (app.path / "app" / "plugins" / "told.py").open("a") as file:
            file.write(f"import os; open({str(told)!r} + '/' + str(os.getpid()), 'w')\n")
        shutil.copytree(app.path, public_path / "system")
        return public_path / "system"

    @pytest.fixture
    def own(self, system: Path) -> Path:
        """An import root of this user's, as pip makes it for him alone."""
        if os.geteuid() != 0:
            pytest.skip("needs another user")
        Tree(system.parent).dropin("mine", root="own")
        for place in ("own", "own/app/plugins"):
            command_line.give_away(system.parent / place)
        return system.parent / "own"

    def test_named(self) -> None:
        """They are named, and do not count."""
        target = Target("app.plugins", (), interpreter_of("/python", [], []), ())
        found = list(refresh._unknown({"/b", "/a"}, [target]))
        assert ["/a", "/b"] == [each.path for each in found]
        assert [] == Report(None, tuple(found)).own

    @pytest.mark.parametrize("more", [[], ["--force"], ["--trigger"], ["-q"]])
    def test_update(self, system: Path, own: Path, more: list[str]) -> None:
        """They are neither written nor imported, and that is no failure."""
        user = command_line.account(system.parent)
        done = user.run("update", "app.plugins", *more, "--path", own, "--path", system)
        plugins = own / "app" / "plugins"
        told = f"written: {plugins} (app.plugins: 1 module, 1 plugin)\n"
        assert (0, "" if "-q" in more else told, "") == (done.status, done.out, done.err)
        assert ["mine"] == cached(plugins)
        assert [] == os.listdir(system.parent / "imported")
        assert CACHE not in os.listdir(system / "app" / "plugins")

    def test_check(self, system: Path, own: Path) -> None:
        """They do not count; with -v they are named."""
        user = command_line.account(system.parent)
        paths = ["app.plugins", "--path", own, "--path", system]
        assert 1 == user.run("check", *paths).status
        assert 0 == user.run("update", *paths).status
        done = user.run("check", *paths)
        assert (0, "") == (done.status, done.err)
        assert str(system) not in done.out
        plugins = system / "app" / "plugins"
        line = f"dropin-cache: info: {plugins} is not this user's to write, and does not count\n"
        for command in ("check", "update"):
            assert line in user.run(command, *paths, "-v").err

    def test_nothing_of_his(self, system: Path, own: Path) -> None:
        """Where all plugin modules are another's there is nothing to do, and no error."""
        shutil.rmtree(own / "app")
        user = command_line.account(system.parent)
        for command in ("update", "check"):
            done = user.run(command, "app.plugins", "--path", own, "--path", system)
            told = "none of the caches here is this user's to write; with -v, they are named\n"
            assert (0, told, "") == (done.status, done.out, done.err)

    def test_no_root_of_his(self, system: Path, own: Path) -> None:
        """Who has nothing of his own means the system, and is told that it is not his."""
        user = command_line.account(system.parent)
        done = user.run("update", "app.plugins", "--path", system)
        assert 5 == done.status
        assert "Permission denied" in done.err
        assert 1 == user.run("check", "app.plugins", "--path", system).status

    def test_closed_by_himself(self, system: Path, own: Path) -> None:
        """What is his is his failure, be it closed by himself."""
        user = command_line.account(system.parent)
        (own / "app" / "plugins").chmod(0o555)
        done = user.run("update", "app.plugins", "--path", own, "--path", system)
        assert (5, True) == (done.status, "Permission denied" in done.err)
