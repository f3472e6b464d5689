"""Write and remove caches: one writer at a time, all or nothing, and still there after a crash."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator

import filelock

from dropin_cache import _wire
from dropin_cache._encoder import encode
from dropin_cache._model import CachedDropin
from dropin_cache._scan import CACHE_NAME, Dropin
from dropin_cache.errors import LockTimeoutError, NotWrittenError

_MODE = 0o644
_OUR_LEFTOVER = re.compile(r"\.dropin\.cache\.[0-9a-f]{16}\.new")
_TWISTED_LEFTOVER = re.compile(r"[0-9a-f]{16,64}dropin\.cache\.new")
_TWISTED_LEFTOVER_AGE = 3600  # seconds; none of its writes takes that long
# Nanoseconds above the newest drop-in, smallest first: for file systems that keep nanoseconds,
# milliseconds, seconds, and (VFAT) two seconds. Less than a microsecond is lost where Twisted
# compares times as floating point numbers.
_MTIME_STEPS = (1_000, 1_000_000, 1_000_000_000, 2_000_000_000)


class CacheDirectory:
    """A plugin directory, open and locked, whose cache may be replaced or removed."""

    def __init__(self, path: str, descriptor: int) -> None:
        """Take over an open directory; `open_locked` makes these."""
        self._path = os.path.join(path, CACHE_NAME)
        self._directory = descriptor

    def replace(self, data: bytes, newest: Dropin | None) -> None:
        """Put `data` in the place of the cache.

        The modification time is set just above that of the newest drop-in, because Twisted takes a
        cache for stale that is not newer, and because it shall not depend on when this runs.

        Args:
            data: The encoded cache.
            newest: The drop-in with the latest modification time, None if there are none.

        Raises:
            NotWrittenError: The cache is what it was before.
        """
        temporary = f".{CACHE_NAME}.{os.urandom(8).hex()}.new"
        with self._explained():
            self.remove_leftovers()
            try:
                self._fill(temporary, data, newest)
                os.rename(
                    temporary, CACHE_NAME, src_dir_fd=self._directory, dst_dir_fd=self._directory
                )
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=self._directory)
                raise
            os.fsync(self._directory)

    def remove(self) -> None:
        """Remove the cache.

        Raises:
            NotWrittenError: The cache is still there.
        """
        with self._explained():
            self.remove_leftovers()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(CACHE_NAME, dir_fd=self._directory)
            os.fsync(self._directory)

    def _fill(self, name: str, data: bytes, newest: Dropin | None) -> None:
        """Create a file with the cache in it, and do not return before it is on disk."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=self._directory)
        with open(descriptor, "r+b", buffering=0) as file:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            os.fchmod(descriptor, _MODE)
            file.seek(0)
            written = file.read()
            if written != data or _wire.decode(written) is None:
                # Either the encoder or the disk is wrong; in both cases nobody should read this.
                raise OSError(errno.EFBIG if len(data) > _wire.MAX_SIZE else errno.EIO, "")
            if newest is not None:
                _date_after(descriptor, newest)
            os.fsync(descriptor)

    def remove_leftovers(self) -> None:
        """Remove what `leftovers` lists; that something else is wrong with it is no matter."""
        for name in leftovers(self._directory):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._directory)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise NotWrittenError(self._path, error.errno or errno.EIO) from error


@contextlib.contextmanager
def open_locked(directory: str, timeout: float) -> Iterator[CacheDirectory]:
    """Open a plugin directory for writing its cache, and keep other writers out meanwhile.

    Args:
        directory: Its path.
        timeout: How long to wait for other writers, seconds; 0 for not at all.

    Raises:
        LockTimeoutError: Another process kept the lock.
        NotWrittenError: The directory cannot be opened, or there is no place for a lock.
    """
    path = os.path.join(directory, CACHE_NAME)
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NotWrittenError(path, error.errno or errno.EIO) from error
    try:
        if not os.access(".", os.W_OK, dir_fd=descriptor, effective_ids=True):
            raise NotWrittenError(path, _access_errno(descriptor))
        with _lock(descriptor, path, timeout):
            yield CacheDirectory(directory, descriptor)
    finally:
        os.close(descriptor)


def write_cache(
    directory: str,
    entries: Iterable[CachedDropin],
    dropins: Iterable[Dropin],
    *,
    lock_timeout: float,
) -> None:
    """Replace the cache of a directory.

    Args:
        directory: Its path.
        entries: What the cache is to hold; without any there shall be none.
        dropins: The files the entries describe.
        lock_timeout: How long to wait for other writers, seconds; 0 for not at all.

    Raises:
        LockTimeoutError: Another process kept the lock.
        NotWrittenError: The cache is what it was before.
    """
    kept = list(entries)
    with open_locked(directory, lock_timeout) as target:
        if kept:
            target.replace(encode(kept), newest_of(dropins))
        else:
            target.remove()


def leftovers(directory: str | int) -> list[str]:
    """List the temporary files of runs that were killed, by name.

    Ours are nobody's if this process holds the lock; only those of its own user, because another
    user's writer holds another lock. Twisted does not lock, so its files must be old.

    Args:
        directory: Path or descriptor.
    """
    found = []
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            ours = _OUR_LEFTOVER.fullmatch(entry.name)
            if ours or _TWISTED_LEFTOVER.fullmatch(entry.name):
                status = entry.stat(follow_symlinks=False)
                old = ours or status.st_mtime < time.time() - _TWISTED_LEFTOVER_AGE
                if old and status.st_uid == os.geteuid():
                    found.append(entry.name)
    return found


def newest_of(dropins: Iterable[Dropin]) -> Dropin | None:
    """Return the drop-in with the latest modification time, None if there are none."""
    return max(dropins, key=lambda dropin: dropin.mtime_ns, default=None)


def is_canonical(mode: int, mtime_ns: int, newest: Dropin | None) -> bool:
    """Tell whether a cache's permissions and modification time are such as `replace` sets."""
    dated = newest is None or newest.mtime_ns < mtime_ns <= newest.mtime_ns + _MTIME_STEPS[-1]
    return dated and mode == _MODE


def _date_after(descriptor: int, newest: Dropin) -> None:
    for step in _MTIME_STEPS:
        date = newest.mtime_ns + step
        os.utime(descriptor, ns=(date, date))
        if os.fstat(descriptor).st_mtime > newest.mtime:
            return


def _access_errno(directory: int) -> int:
    return errno.EROFS if os.fstatvfs(directory).f_flag & os.ST_RDONLY else errno.EACCES


@contextlib.contextmanager
def _lock(directory: int, path: str, timeout: float) -> Iterator[None]:
    # By identity, because one directory can have several paths.
    status = os.fstat(directory)
    try:
        name = os.path.join(_lock_directory(), f"{status.st_dev:x}-{status.st_ino:x}.lock")
        lock = _new_lock(name)
        lock.acquire(timeout=timeout)
    except filelock.Timeout as error:
        raise LockTimeoutError(path, timeout) from error
    except OSError as error:
        reason = f"no place for a lock: {error.strerror} ({error.filename})"
        raise NotWrittenError(path, error.errno or errno.EIO, reason) from error
    try:
        yield
    finally:
        lock.release()


def _new_lock(name: str) -> filelock.BaseFileLock:
    try:
        # Where flock is not to be had, a lock that survives its process is worse than an error.
        return filelock.FileLock(name, fallback_to_soft=False)
    except TypeError:  # filelock before 3.30 does not know the word
        return filelock.FileLock(name)


def _lock_directory() -> str:
    """Return the first possible directory for locks, made if need be.

    Nobody else can enter it: filelock up to 4.2.0 truncates whatever it finds under the name of
    the lock, so a link that somebody planted there would empty the link's target.
    """
    *candidates, last = _lock_directories()
    for directory in candidates:
        # XDG_RUNTIME_DIR may be another user's, after su.
        with contextlib.suppress(OSError):
            return _private(directory)
    return _private(last)


def _lock_directories() -> Iterator[str]:
    if os.geteuid() == 0:
        yield "/run/lock/dropin-cache"
        return
    # The XDG Base Directory Specification says what is where, and to ignore relative paths.
    runtime, home = os.environ.get("XDG_RUNTIME_DIR", ""), os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(runtime):
        yield os.path.join(runtime, "dropin-cache")
    if not os.path.isabs(home):
        home = os.path.expanduser("~/.cache")
    yield os.path.join(home, "dropin-cache", "locks")


def _private(directory: str) -> str:
    """Make a directory that only this user can enter, or raise OSError."""
    os.makedirs(os.path.dirname(directory), mode=0o755, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    status = os.lstat(directory)
    private = stat.S_IMODE(status.st_mode) & 0o077 == 0
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or not private:
        raise PermissionError(errno.EPERM, "not a directory of this user alone", directory)
    return directory
