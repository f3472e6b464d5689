"""Locks: where they are, whom they keep out, and what others can do about it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import filelock
import pytest

from command_line import give_away, unprivileged
from conftest import NOBODY
from dropin_cache.errors import LockTimeoutError, NotWrittenError
from dropin_cache.update.files import locations, lock

WANTED = "/srv/plugins/dropin.cache"
OLD = b"what was there before"


@contextlib.contextmanager
def locked(directory: Path, timeout: float = 0) -> Iterator[None]:
    """Hold the lock of a directory."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with lock.lock(descriptor, WANTED, timeout):
            yield
    finally:
        os.close(descriptor)


def place() -> str:
    """Return the place for locks."""
    path, descriptor = lock._open_directory()
    os.close(descriptor)
    return path


def place_of_user() -> str:
    """Return the place for locks of an ordinary user."""
    with unprivileged():
        return place()


def lock_of(directory: Path) -> Path:
    """Return the lock of a directory."""
    status = directory.stat()
    return Path(place(), f"{status.st_dev:x}-{status.st_ino:x}.lock")


def inside(directory: Path) -> Path:
    """Return the lock of a directory that lies in it."""
    return directory / f".dropin.cache.{os.geteuid()}.lock"


def needs_root() -> None:
    """Skip a test that only root can make."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory to be locked."""
    path = tmp_path / "plugins"
    path.mkdir()
    return path


class TestLock:
    """Holding the lock of a directory."""

    def test_is_elsewhere(self, directory: Path) -> None:
        """While the lock is held there is nothing in the directory that was not before."""
        with locked(directory):
            assert [] == os.listdir(directory)
            assert lock_of(directory).is_file()

    def test_failure(self) -> None:
        """A directory that cannot be told from others has no lock, and the error is ours."""
        closed = os.dup(0)
        os.close(closed)
        with pytest.raises(NotWrittenError) as caught, lock.lock(closed, "/a/dropin.cache", 0):
            pass
        assert errno.EBADF == caught.value.errno

    def test_stays(self, directory: Path) -> None:
        """The lock is never unlinked: somebody might be waiting for it."""
        with locked(directory):
            inode = lock_of(directory).stat().st_ino
        with locked(directory):
            assert inode == lock_of(directory).stat().st_ino

    @pytest.mark.parametrize("timeout", [0, 0.2])
    def test_excludes(self, directory: Path, timeout: float) -> None:
        """Who does not get the lock in time is told so, and nothing stays open."""
        before = len(os.listdir("/proc/self/fd"))
        start = time.monotonic()
        other = directory.parent / "other"
        other.symlink_to(directory)
        with locked(directory), pytest.raises(LockTimeoutError) as caught, locked(other, timeout):
            pass
        assert timeout <= time.monotonic() - start
        assert (WANTED, timeout) == (caught.value.path, caught.value.timeout)
        assert before == len(os.listdir("/proc/self/fd"))

    def test_released_after_a_failure(self, directory: Path) -> None:
        """An exception inside lets the next one in."""
        with pytest.raises(KeyError), locked(directory):
            raise KeyError
        with locked(directory):
            pass

    def test_released(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The lock is let go at the end, and not only when nobody knows it any more."""
        real, made = lock._new_lock, []

        def new_lock(name: str) -> filelock.BaseFileLock:
            made.append(real(name))
            return made[-1]

        monkeypatch.setattr(lock, "_new_lock", new_lock)
        with locked(directory):
            assert [True] == [each.is_locked for each in made]
        assert [False] == [each.is_locked for each in made]

    def test_place_is_replaced(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who can rename what lies on the way to the locks cannot lead the lock elsewhere."""
        if os.geteuid() == 0:
            monkeypatch.setattr(
                locations, "lock_directories", lambda: [str(directory.parent / "locks")]
            )
        real, found = lock._new_lock, Path(place())
        elsewhere = directory.parent / "elsewhere"
        elsewhere.mkdir()

        def new_lock(name: str) -> filelock.BaseFileLock:
            found.rename(directory.parent / "moved")
            found.symlink_to(elsewhere)
            return real(name)

        monkeypatch.setattr(lock, "_new_lock", new_lock)
        with locked(directory):
            assert [] == os.listdir(elsewhere)
            assert 1 == len(os.listdir(directory.parent / "moved"))

    @pytest.mark.parametrize("there", [False, True], ids=["none", "wrong"])
    def test_without_proc(
        self, directory: Path, there: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where there is no /proc, or what is there is not it, the path serves."""
        descriptors = directory.parent / "fd"
        if there:
            for number in range(30):
                (descriptors / str(number)).mkdir(parents=True)
        monkeypatch.setattr(lock, "_DESCRIPTORS", str(descriptors))
        with locked(directory), pytest.raises(LockTimeoutError), locked(directory):
            pass

    @pytest.mark.parametrize(
        "error",
        [
            NotImplementedError("no flock"),  # filelock before 3.30
            OSError(errno.ENOSYS, "no flock"),
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/proc/self/fd/9/x"),
        ],
        ids=["old", "new", "other"],
    )
    def test_no_lock_there(
        self, directory: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the place for locks has none, the directory itself may, and is left as it was."""

        def acquire(*_: object, **__: object) -> NoReturn:
            raise error

        monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
        with locked(directory):
            assert [inside(directory).name] == os.listdir(directory)
        assert [] == os.listdir(directory)

    @pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
    def test_no_lock_anywhere(
        self, directory: Path, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That there are no locks is said at once, and not taken for another writer."""

        def flock(*_: object) -> NoReturn:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)
        words = "the file system does not support locks"
        expected = words if number == errno.ENOSYS else os.strerror(number)
        with pytest.raises(NotWrittenError) as caught, locked(directory, 1000):
            pass
        assert NotWrittenError.LOCKS == caught.value.obstacle
        assert (number, f"no place for a lock: {expected} ({place()})") == (
            caught.value.errno,
            caught.value.reason,
        )


class TestInside:
    """The lock of who has no other place for it: in the directory, while it is held."""

    @pytest.fixture(autouse=True)
    def _nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(locations, "lock_directories", lambda: ["/proc/none"])

    @pytest.mark.parametrize("timeout", [0, 0.1])
    def test_excludes(self, directory: Path, timeout: float) -> None:
        """Who does not get it in time is told so; the next one gets it."""
        before = len(os.listdir("/proc/self/fd"))
        with (
            locked(directory),
            pytest.raises(LockTimeoutError) as caught,
            locked(directory, timeout),
        ):
            pass
        assert (WANTED, timeout) == (caught.value.path, caught.value.timeout)
        with locked(directory):
            pass
        assert before == len(os.listdir("/proc/self/fd"))

    def test_nobody_else_can_open_it(self, directory: Path) -> None:
        """Whoever can open a file can lock it, and keep all others waiting."""
        with locked(directory):
            assert 0o600 == stat.S_IMODE(inside(directory).stat().st_mode)

    def test_left_by_a_killed_process(self, directory: Path) -> None:
        """A file that was left is no lock, and goes with the next one."""
        inside(directory).touch(mode=0o600)
        with locked(directory):
            pass
        assert [] == os.listdir(directory)

    def test_nothing_is_truncated(self, directory: Path) -> None:
        """A link that others who can write there have made does no harm."""
        victim = directory.parent / "victim"
        victim.write_bytes(OLD)
        os.link(victim, inside(directory))
        with locked(directory):
            pass
        assert OLD == victim.read_bytes()

    @pytest.mark.parametrize("kind", ["fifo", "link", "directory", "foreign"])
    def test_something_else(self, directory: Path, kind: str) -> None:
        """What is no file of this user is neither waited for nor followed nor removed."""
        name = inside(directory)
        if kind == "fifo":
            os.mkfifo(name)
        elif kind == "link":
            name.symlink_to(directory.parent / "elsewhere")
        elif kind == "directory":
            name.mkdir()
        else:
            needs_root()
            name.touch()
            os.chown(name, NOBODY, NOBODY)
        with pytest.raises(NotWrittenError) as caught, locked(directory):
            pass
        assert "no place for a lock" in caught.value.reason
        assert NotWrittenError.LOCKS == caught.value.obstacle
        assert [name.name] == os.listdir(directory)
        assert [] == list(directory.parent.glob("elsewhere"))

    def test_removed_meanwhile(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who gets the lock of a file that has been removed takes that of the next."""
        real, names = fcntl.flock, [inside(directory)]

        def flock(descriptor: int, operation: int) -> None:
            real(descriptor, operation)
            if names:
                names.pop().unlink()

        monkeypatch.setattr(fcntl, "flock", flock)
        with locked(directory, 10):
            assert inside(directory).exists()


class TestQuietly:
    """Undoing what served only to do something else."""

    def test_failure(self) -> None:
        """That it fails is nobody's concern: the lock goes with the process anyway."""
        lock.quietly(os.close, -1)


class TestNewLock:
    """The lock itself."""

    @pytest.mark.parametrize("version", ["3.9.0", "3.29.7"])
    def test_old_filelock(self, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A filelock that knows no other kind of lock is taken as it is."""
        assert {} == self.words(version, monkeypatch)

    @pytest.mark.parametrize("version", ["3.30.0", "4.0.0rc1"])
    def test_new_filelock(self, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that would fall back to locks that survive their process is told not to."""
        assert {"fallback_to_soft": False} == self.words(version, monkeypatch)

    def words(self, version: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
        """Return how the lock is made in a version of filelock."""
        monkeypatch.setattr(filelock, "__version__", version)
        monkeypatch.setattr(filelock, "FileLock", lambda name, **words: words)
        return lock._new_lock("name")


class TestPlace:
    """The place for locks, which nobody else may enter."""

    @pytest.fixture
    def home(self, public_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A directory of the ordinary user, with its variables set."""
        home = give_away(public_path / "home")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(give_away(home / "runtime")))
        monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        monkeypatch.setenv("HOME", str(home))
        return home

    def test_of_root(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Root's locks are in a place where only root is, whatever the environment says."""
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        assert ["/run/lock/dropin-cache", "/run/dropin-cache"] == locations.lock_directories()

    def test_of_root_is_private(self) -> None:
        """And indeed nobody else can enter it."""
        needs_root()
        status = os.stat(place())
        assert (0, 0o700) == (status.st_uid, stat.S_IMODE(status.st_mode))

    def test_in_the_runtime_directory(self, home: Path) -> None:
        """An ordinary user's locks are where they vanish at the end of the session."""
        found = place_of_user()
        assert str(home / "runtime" / "dropin-cache") == found
        assert 0o700 == stat.S_IMODE(Path(found).stat().st_mode)

    @pytest.mark.parametrize("runtime", [None, ""], ids=["unset", "empty"])
    def test_in_the_cache_home(
        self, home: Path, runtime: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a session they are in the user's cache."""
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        if runtime is not None:
            monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        assert str(home / "cache" / "dropin-cache" / "locks") == place_of_user()

    def test_in_the_default_cache_home(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without any variable they are below ~/.cache."""
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert str(home / ".cache" / "dropin-cache" / "locks") == place_of_user()

    def test_variables_that_are_no_absolute_paths(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Relative paths are passed over, as the XDG specification demands."""
        monkeypatch.chdir(home)
        monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
        monkeypatch.setenv("XDG_CACHE_HOME", "also-relative")
        assert str(home / ".cache" / "dropin-cache" / "locks") == place_of_user()
        assert {"runtime", ".cache"} == set(os.listdir(home))

    def test_runtime_directory_of_somebody_else(self, home: Path) -> None:
        """After su, XDG_RUNTIME_DIR is where this user cannot go."""
        runtime = home / "runtime"
        runtime.chmod(0)
        if os.geteuid() == 0:
            os.chown(runtime, 0, 0)
        try:
            assert str(home / "cache" / "dropin-cache" / "locks") == place_of_user()
        finally:
            runtime.chmod(0o700)

    @pytest.mark.parametrize("mode", [0o750, 0o701, 0o770])
    def test_others_may_enter(self, home: Path, mode: int) -> None:
        """A directory that is open to others is not used."""
        place = home / "runtime" / "dropin-cache"
        give_away(place).chmod(mode)
        assert str(home / "cache" / "dropin-cache" / "locks") == place_of_user()

    def test_symbolic_link(self, home: Path) -> None:
        """A symbolic link is not followed, not even to a directory that would do."""
        give_away(home / "elsewhere").chmod(0o700)
        (home / "runtime" / "dropin-cache").symlink_to(home / "elsewhere")
        assert str(home / "cache" / "dropin-cache" / "locks") == place_of_user()

    def test_file(self, home: Path) -> None:
        """A file is no place for locks."""
        (home / "runtime" / "dropin-cache").touch(mode=0o600)
        assert str(home / "cache" / "dropin-cache" / "locks") == place_of_user()

    def test_belongs_to_somebody_else(self, home: Path) -> None:
        """A directory of another user is not used, even one that has let us in."""
        needs_root()
        (home / "runtime" / "dropin-cache").mkdir(mode=0o700)
        assert str(home / "cache" / "dropin-cache" / "locks") == place_of_user()

    def test_belongs_to_somebody_who_let_us_in(self, home: Path) -> None:
        """The owner counts even where the system would let this process in."""
        needs_root()  # which it always lets in
        descriptor = os.open(home, os.O_RDONLY)
        home.chmod(0o700)
        with pytest.raises(PermissionError):
            lock._require_private(descriptor, str(home))

    def test_runtime_directory_that_a_user_left_open(self, home: Path) -> None:
        """After su, XDG_RUNTIME_DIR may be another's even where this user can write."""
        needs_root()
        os.chown(home / "runtime", 0, 0)
        (home / "runtime").chmod(0o777)
        assert str(home / "cache" / "dropin-cache" / "locks") == place_of_user()
        assert [] == os.listdir(home / "runtime")

    def test_runtime_directory_that_is_gone(self, home: Path) -> None:
        """It is not made: whoever takes care of sessions does that."""
        (home / "runtime").rmdir()
        assert str(home / "cache" / "dropin-cache" / "locks") == place_of_user()
        assert {"cache"} == set(os.listdir(home))

    @pytest.mark.parametrize("runtime", [False, True])
    def test_no_home(self, home: Path, runtime: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """A user without a home gets no directory by the name of ~."""
        monkeypatch.chdir(home)
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
        if runtime:
            assert str(home / "runtime" / "dropin-cache") == place_of_user()
        else:
            monkeypatch.delenv("XDG_RUNTIME_DIR")
            with unprivileged(), locked(home):
                assert inside(home).exists()
        assert ["runtime"] == os.listdir(home)

    def test_nowhere(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without any other place for locks it is the directory itself."""
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        place = home / "cache" / "dropin-cache" / "locks"
        give_away(home / "cache")
        give_away(place.parent)
        give_away(place).chmod(0o755)
        with unprivileged(), locked(home):
            assert inside(home).exists()
        assert [] == os.listdir(place)

    def test_nothing_is_truncated(self, home: Path) -> None:
        """A file linked to where the lock would go keeps its content."""
        victim = home / "victim"
        victim.write_bytes(OLD)
        status = home.stat()
        place = home / "runtime" / "dropin-cache"
        place.mkdir(mode=0o777)
        place.chmod(0o777)
        os.link(victim, place / f"{status.st_dev:x}-{status.st_ino:x}.lock")
        with unprivileged(), locked(home):
            assert OLD == victim.read_bytes()


class TestPlaceOfRoot:
    """The place for root's locks, in a directory where everybody may have been before."""

    @pytest.fixture
    def places(self, public_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """Two places, as in /run/lock and in /run."""
        needs_root()
        (public_path / "lock").mkdir()
        (public_path / "lock").chmod(0o1777)
        places = [public_path / "lock" / "dropin-cache", public_path / "dropin-cache"]
        monkeypatch.setattr(locations, "lock_directories", lambda: [str(place) for place in places])
        return places

    def require_second(self, places: list[Path]) -> None:
        """Require that the lock is in the second place, and nothing was done in the first."""
        before = len(os.listdir("/proc/self/fd"))
        directory = places[0].parent
        there = set(os.listdir(directory))
        with locked(directory):
            assert there == set(os.listdir(directory))
            assert 1 == len(os.listdir(places[1]))
        assert before == len(os.listdir("/proc/self/fd"))

    def test_first(self, places: list[Path]) -> None:
        """It is made so that nobody else can enter it."""
        with locked(places[0].parent):
            status = places[0].lstat()
        assert (0, 0o40700) == (status.st_uid, status.st_mode)
        assert not places[1].exists()

    def test_no_directory_for_locks(self, places: list[Path]) -> None:
        """Without /run/lock it is the other; /run/lock is not ours to make."""
        places[0].parent.rmdir()
        with locked(places[1].parent):
            pass
        assert ["dropin-cache"] == os.listdir(places[1].parent)

    def test_open_to_others(self, places: list[Path]) -> None:
        """A directory of root's that others can enter is not used."""
        places[0].mkdir(mode=0o755)
        self.require_second(places)

    def test_way_that_others_can_change(self, places: list[Path]) -> None:
        """Without the sticky bit anybody could replace the directory later: it is passed over."""
        places[0].parent.chmod(0o777)
        with locked(places[0].parent):
            assert 1 == len(os.listdir(places[1]))
        assert [] == os.listdir(places[0].parent)

    def test_no_way_that_others_cannot_change(self, places: list[Path]) -> None:
        """If both could be replaced, it is in the directory itself."""
        top = places[1].parent
        top.chmod(0o777)
        with locked(top):
            assert {"lock", inside(top).name} == set(os.listdir(top))

    def test_somebody_is_quicker(self, places: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
        """Another process of root's may make it at the same time."""
        real = os.mkdir

        def mkdir(path: str, mode: int) -> None:
            real(path, mode)
            real(path, mode)

        monkeypatch.setattr(os, "mkdir", mkdir)
        with locked(places[0].parent):
            assert 1 == len(os.listdir(places[0]))

    def test_directory_of_somebody_else(self, places: list[Path]) -> None:
        """What another user has made there keeps nobody from writing."""
        places[0].mkdir(mode=0o700)
        os.chown(places[0], NOBODY, NOBODY)
        self.require_second(places)
        assert [] == os.listdir(places[0])

    @pytest.mark.parametrize("owner", [0, NOBODY])
    @pytest.mark.parametrize("kind", ["file", "fifo"])
    def test_no_directory(self, places: list[Path], kind: str, owner: int) -> None:
        """What is no directory is neither opened nor changed."""
        if kind == "file":
            places[0].write_bytes(OLD)
        else:
            os.mkfifo(places[0])
        os.chown(places[0], owner, owner)
        self.require_second(places)
        assert kind != "file" or places[0].read_bytes() == OLD

    def test_symbolic_link(self, places: list[Path], public_path: Path) -> None:
        """A link of somebody else is not followed, wherever it leads."""
        (public_path / "private").mkdir(mode=0o700)
        places[0].symlink_to(public_path / "private")
        os.lchown(places[0], NOBODY, NOBODY)
        self.require_second(places)
        assert [] == os.listdir(public_path / "private")


class TestObstacles:
    """What keeps root's locks from their place."""

    @pytest.fixture
    def place(self, public_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Root's place for locks."""
        needs_root()
        place = public_path / "dropin-cache"
        monkeypatch.setattr(locations, "LOCK_DIRECTORIES", (str(place),))
        return place

    def test_none(self, place: Path) -> None:
        """What is missing, or root's alone, is in nobody's way."""
        assert [] == list(lock.obstacles())
        place.mkdir(0o700)
        assert [] == list(lock.obstacles())

    @pytest.mark.parametrize("kind", ["directory", "file", "fifo", "link", "socket"])
    @pytest.mark.parametrize("owner", [0, NOBODY])
    def test_named(self, place: Path, kind: str, owner: int) -> None:
        """Anything else is named, with its owner and what to do about it."""
        if kind == "directory":
            place.mkdir(0o755 if owner == 0 else 0o700)
        elif kind == "link":
            place.symlink_to("/root")
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(place))
        else:
            (os.mkfifo if kind == "fifo" else Path.touch)(place)
        os.chown(place, owner, owner, follow_symlinks=False)
        (line,) = lock.obstacles()

        user = f"user {owner} ({pwd.getpwuid(owner).pw_name})"
        told = f"{place} of {user} is not for root alone, so root's locks are elsewhere"
        assert f"{told}; to remove it: rm -r {place}" == line

    def test_of_users(self, place: Path) -> None:
        """It is root's place; others have theirs."""
        place.touch()
        with unprivileged():
            assert [] == list(lock.obstacles())


def test_replaced_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock on a file that has gone meanwhile is none."""
    flock = fcntl.flock

    def replacing(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        (tmp_path / "name").unlink()
        (tmp_path / "name").touch()

    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", replacing)
            assert lock._locked_inside(directory, "name") is None
    finally:
        os.close(directory)
