"""Replacing files and removing empty directories."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from command_line import give_away, unprivileged
from dropin_cache.update.files import atomic
from dropin_cache.update.files.trusted import Files

OLD = b"what was there before"
NEW = b"what is to be there"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a file `state` in it."""
    path = tmp_path / "directory"
    path.mkdir()
    (path / "state").write_bytes(OLD)
    return path


@pytest.fixture
def opened(directory: Path) -> Iterator[int]:
    """Its descriptor."""
    descriptor = os.open(directory, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(autouse=True)
def _no_descriptor_left() -> Iterator[None]:
    """Fail if a test leaves something open."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert before == set(os.listdir("/proc/self/fd"))


def fail(*_: object, **__: object) -> NoReturn:
    """Be a system call that fails."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


class TestReplaceFile:
    """A file in the place of another."""

    @pytest.mark.parametrize("mode", [0o600, 0o644])
    @pytest.mark.parametrize("mask", [0, 0o077])
    def test_replaces(self, directory: Path, opened: int, mode: int, mask: int) -> None:
        """Content and mode are those that were asked for, and nothing else is left."""
        before = os.umask(mask)
        try:
            atomic.replace_file(opened, "state", NEW, mode)
        finally:
            os.umask(before)
        assert NEW == (directory / "state").read_bytes()
        assert mode == stat.S_IMODE((directory / "state").stat().st_mode)
        assert ["state"] == os.listdir(directory)

    def test_creates(self, directory: Path, opened: int) -> None:
        """There need not have been one."""
        atomic.replace_file(opened, "new", b"", 0o600)
        assert {"state", "new"} == set(os.listdir(directory))

    @pytest.mark.parametrize("call", ["fchmod", "fsync", "rename"])
    def test_failure(
        self, directory: Path, opened: int, call: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whichever step fails, the old file stays and the new one does not."""
        monkeypatch.setattr(os, call, fail)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            atomic.replace_file(opened, "state", NEW, 0o600)
        assert ["state"] == os.listdir(directory)
        assert OLD == (directory / "state").read_bytes()

    def test_temporary_file_that_stays(
        self, directory: Path, opened: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If it cannot be removed either, the error is still the first one."""
        monkeypatch.setattr(os, "rename", lambda *_, **__: os.stat("/missing"))
        monkeypatch.setattr(os, "unlink", fail)
        with pytest.raises(FileNotFoundError):
            atomic.replace_file(opened, "state", NEW, 0o600)
        assert 2 == len(os.listdir(directory))

    def test_finish(self, directory: Path, opened: int) -> None:
        """The caller has the last word on the new file, and may still say no."""

        def finish(descriptor: int) -> None:
            assert NEW == os.pread(descriptor, 99, 0)
            assert OLD == (directory / "state").read_bytes()
            raise KeyError

        with pytest.raises(KeyError):
            atomic.replace_file(opened, "state", NEW, 0o600, finish)
        assert ["state"] == os.listdir(directory)
        assert OLD == (directory / "state").read_bytes()

    @pytest.mark.parametrize("kind", ["file", "link", "fifo"])
    def test_name_that_is_taken(
        self, directory: Path, opened: int, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What somebody has put where the temporary file should go is left as it is."""
        monkeypatch.setattr(os, "urandom", lambda size: b"\0" * size)
        planted = directory / f".state.{'0' * 16}.new"
        victim = directory / "victim"
        victim.write_bytes(OLD)
        if kind == "file":
            os.link(victim, planted)
        elif kind == "link":
            planted.symlink_to(victim)
        else:
            os.mkfifo(planted)
        before = planted.lstat()
        with pytest.raises(FileExistsError):
            atomic.replace_file(opened, "state", NEW, 0o600)
        assert (OLD, OLD) == ((directory / "state").read_bytes(), victim.read_bytes())
        after = planted.lstat()
        assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)

    def test_not_synced(
        self, directory: Path, opened: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When only the directory cannot be synced, the error tells so by its type."""
        real = os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: (fail if fd == opened else real)(fd))
        with pytest.raises(atomic.NotSyncedError) as caught:
            atomic.replace_file(opened, "state", NEW, 0o600)
        assert (errno.EIO, os.strerror(errno.EIO)) == (caught.value.errno, caught.value.strerror)
        assert NEW == (directory / "state").read_bytes()


class TestRemoveFile:
    """A file less."""

    def test_told(self, directory: Path, opened: int) -> None:
        """It is told whether there was one."""
        assert atomic.remove_file(opened, "state")
        assert not atomic.remove_file(opened, "state")
        assert [] == os.listdir(directory)

    def test_directory(self, directory: Path, opened: int) -> None:
        """What is no file stays."""
        (directory / "inner").mkdir()
        with pytest.raises(OSError, match="Is a directory"):
            atomic.remove_file(opened, "inner")


class TestRemoveLeftovers:
    """What killed runs have left."""

    def test_removed(self, directory: Path, opened: int) -> None:
        """Temporary files of one name are removed, and nothing else is."""
        (directory / f".state.{'0' * 16}.new").touch()
        others = {f".other.{'0' * 16}.new", f".state.{'0' * 15}.new", "state"}
        for name in others:
            (directory / name).touch()
        atomic.remove_leftovers(opened, "state")
        assert others == set(os.listdir(directory))


class TestMadeDirectory:
    """A directory that is there in the end."""

    @pytest.fixture
    def files(self) -> Files:
        """How they are opened."""
        return Files(enforced=False)

    def made(self, files: Files, path: Path) -> int:
        """Make one and return its mode."""
        mask = os.umask(0)
        try:
            descriptor = atomic.made_directory(files, str(path))
        finally:
            os.umask(mask)
        try:
            assert os.path.samestat(os.fstat(descriptor), path.stat())
            return stat.S_IMODE(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)

    def test_made(self, files: Files, directory: Path) -> None:
        """It is made with the permissions, and later taken as it is."""
        assert 0o755 == self.made(files, directory / "new")
        (directory / "new").chmod(0o700)
        assert 0o700 == self.made(files, directory / "new")

    def test_made_by_another(
        self, files: Files, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another process may make it in the same moment."""
        real = os.mkdir

        def make_twice(*arguments: Any, **options: Any) -> None:
            real(*arguments, **options)
            real(*arguments, **options)

        monkeypatch.setattr(os, "mkdir", make_twice)
        assert 0o755 == self.made(files, directory / "new")

    def test_above(self, files: Files, public_path: Path) -> None:
        """Ordinary users get those above it made, too; root does not."""
        home = give_away(public_path / "home")
        if os.geteuid() == 0:
            with pytest.raises(FileNotFoundError):
                self.made(files, home / "above" / "new")
        with unprivileged():
            assert 0o755 == self.made(files, home / "above" / "new")

    def test_remove_empty(self, files: Files, directory: Path) -> None:
        """It goes if there is nothing in it."""
        with pytest.raises(OSError, match="not empty"):
            atomic.remove_empty(files, str(directory))
        (directory / "state").unlink()
        atomic.remove_empty(files, str(directory))
        assert not directory.exists()


class TestPrune:
    """Removing directories in which nothing is left."""

    @pytest.fixture
    def files(self) -> Iterator[Files]:
        """The machine's, as the user sees them."""
        with Files(enforced=False) as files:
            yield files

    @pytest.fixture
    def package(self, tmp_path: Path) -> Path:
        """A directory two below an import root, all empty."""
        path = tmp_path / "root" / "app" / "plugins"
        path.mkdir(parents=True)
        return path

    @pytest.mark.parametrize("end", ["", "/", "/."])
    def test_up_to_the_root(self, files: Files, package: Path, end: str) -> None:
        """What is empty goes, the import root stays."""
        root = package.parent.parent
        removed = atomic.prune(files, f"{root}{end}", f"{package}{end}")
        assert [str(package), str(package.parent)] == removed
        assert [] == os.listdir(root)

    @pytest.mark.parametrize("where", ["plugins", "app"])
    def test_not_empty(self, files: Files, package: Path, where: str) -> None:
        """What holds anything stays, and all above it."""
        kept = package if where == "plugins" else package.parent
        (kept / ".hidden").touch()
        expected = [] if where == "plugins" else [str(package)]
        assert expected == atomic.prune(files, str(package.parent.parent), str(package))
        assert [".hidden"] == os.listdir(kept)

    @pytest.mark.parametrize("outside", ["root", "rootless", ".", "root/../rootless/x"])
    def test_not_below(self, files: Files, package: Path, outside: str) -> None:
        """What is not below the import root is not touched."""
        root = package.parent.parent
        (root.parent / "rootless" / "x").mkdir(parents=True)
        for path in (package, package.parent):
            path.rmdir()
        assert [] == atomic.prune(files, str(root), str(root.parent / outside))
        assert (root.parent / "rootless" / "x").is_dir()
        assert root.is_dir()

    def test_missing(self, files: Files, package: Path) -> None:
        """Nothing is removed in the place of what is gone or is no directory."""
        root = str(package.parent.parent)
        (package.parent / "file").touch()
        (package.parent / "link").symlink_to(package)
        for name in ("missing", "missing/too", "file", "link"):
            assert [] == atomic.prune(files, root, str(package.parent / name))
        assert {"file", "link", "plugins"} == set(os.listdir(package.parent))

    @pytest.mark.parametrize("name", ["plugins/gone", "plugins/gone/too"])
    def test_gone(self, files: Files, package: Path, name: str) -> None:
        """What is gone already does not keep those above it from going."""
        root = package.parent.parent
        removed = atomic.prune(files, str(root), str(package.parent / name))
        assert [str(package), str(package.parent)] == removed
        assert [] == os.listdir(root)

    @pytest.mark.parametrize("keep_time", [False, True])
    def test_times(self, files: Files, package: Path, keep_time: bool) -> None:
        """What stays in an image has the time that it had."""
        app = package.parent
        (app / "module.py").touch()
        os.utime(app, ns=(10**18, 10**18))
        atomic.prune(files, str(app.parent), str(package), keep_time=keep_time)
        assert keep_time == (app.stat().st_mtime_ns == 10**18)

    def test_times_that_cannot_be_kept(
        self, files: Files, package: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That is no reason to fail."""
        monkeypatch.setattr(os, "utime", fail)
        root = str(package.parent.parent)
        assert 2 == len(atomic.prune(files, root, str(package), keep_time=True))

    def test_below_a_root(self, package: Path) -> None:
        """Paths are those of the image."""
        image = package.parent.parent
        with Files(enforced=False, root=str(image)) as files:
            assert ["/app/plugins", "/app"] == atomic.prune(files, "/", "/app/plugins")
        assert [] == os.listdir(image)

    def test_refused(self, public_path: Path) -> None:
        """In a directory that others can change nothing is removed."""
        if os.geteuid() != 0:
            pytest.skip("needs root")
        plugins = give_away(public_path / "app") / "plugins"
        plugins.mkdir()
        with Files(enforced=True) as files:
            assert [] == atomic.prune(files, str(public_path), str(plugins))
        assert plugins.is_dir()
