"""Write and remove caches: one writer at a time, all or nothing, and still there after a crash."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import struct
import time
from collections.abc import Iterable, Iterator, Sequence

from dropin_cache import _decode
from dropin_cache._cachefile import CacheFile, read_cache_file
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin
from dropin_cache._scan import CACHE_NAME, Dropin, recorded_time
from dropin_cache.errors import NotWrittenError
from dropin_cache.update.files.atomic import (
    FILE_MODE,
    NotSyncedError,
    is_temporary,
    kept_times,
    remove_file,
    replace_file,
    sync,
)
from dropin_cache.update.files.lock import lock, quietly
from dropin_cache.update.files.trusted import Files

_TWISTED_LEFTOVER = re.compile(r"[0-9a-f]{16,64}dropin\.cache\.new")
_TWISTED_LEFTOVER_AGE = 3600  # seconds; none of its writes takes that long
_LATEST = 2**63 * 10**9 - 1  # nanoseconds since the epoch: the last second that the kernel has
# Nanoseconds above the newest drop-in, smallest first: for file systems that keep nanoseconds,
# milliseconds, seconds, and (VFAT) two seconds. Less than a microsecond is lost where Twisted
# compares times as floating point numbers.
_MTIME_STEPS = (1_000, 1_000_000, 1_000_000_000, 2_000_000_000)
_WHOLE_SECONDS = _MTIME_STEPS[2:]  # tar, squashfs and others keep no less

# FS_IOC_GETFLAGS, FS_IMMUTABLE_FL and FS_APPEND_FL of linux/fs.h; see chattr(1).
_GET_FLAGS = 0x80006601 | struct.calcsize("l") << 16
_ATTRIBUTES = {0x10: "immutable (chattr +i)", 0x20: "append-only (chattr +a)"}


class CacheDirectory:
    """A plugin directory, open and locked, whose cache may be replaced or removed."""

    def __init__(self, path: str, descriptor: int) -> None:
        """Take over an open directory; `open_locked` makes these."""
        self._path = os.path.join(path, CACHE_NAME)
        self._directory = descriptor

    def is_same(self, path: str) -> bool:
        """Tell whether a path leads to this very directory."""
        return os.path.samestat(os.fstat(self._directory), os.stat(path))

    def read(self) -> CacheFile | None:
        """Return the cache, or None if there is none; a symbolic link is none."""
        return read_cache_file(self._directory)

    def replace(self, data: bytes, newest: Dropin, *, keep_time: bool = False) -> None:
        """Put `data` in the place of the cache.

        The modification time is set above that of the newest drop-in, because Twisted takes a
        cache for stale that is not newer, and because it shall not depend on when this runs.

        Args:
            data: The encoded cache.
            newest: The drop-in with the latest modification time.
            keep_time: Whether this is for an image: give the directory its times back, as far as
                the system lets it, and have the cache newer by what archives keep of times.

        Raises:
            NotWrittenError: The cache is what it was before, or its reason says otherwise.
        """

        def finish(descriptor: int) -> None:
            # If it does not read back, the encoder or the disk is wrong, and nobody shall read it.
            written = os.pread(descriptor, len(data) + 1, 0)
            if written != data or _decode.decode(written) is None:
                raise OSError(errno.EIO, "not what was written")
            _date_after(descriptor, newest, _WHOLE_SECONDS if keep_time else _MTIME_STEPS)

        with (
            self._explained("the new cache is in place"),
            kept_times(self._directory, wanted=keep_time),
        ):
            self.remove_leftovers()
            if len(data) > _decode.MAX_SIZE:
                raise OSError(errno.EFBIG, "no reader would accept it")
            replace_file(self._directory, CACHE_NAME, data, FILE_MODE, finish)

    def remove(self, *, keep_time: bool = False) -> None:
        """Remove the cache.

        Args:
            keep_time: As for `replace`.

        Raises:
            NotWrittenError: The cache is still there, or the reason says otherwise.
        """
        with (
            self._explained("the cache is removed"),
            kept_times(self._directory, wanted=keep_time),
        ):
            self.remove_leftovers()
            remove_file(self._directory, CACHE_NAME)
            sync(self._directory)

    def remove_leftovers(self) -> None:
        """Remove what `leftovers` lists; that something else is wrong with it is no matter."""
        for name in leftovers(self._directory):
            with contextlib.suppress(OSError):
                remove_file(self._directory, name)

    def date(self, data: bytes, newest: Dropin) -> None:
        """Give the cache the times that `replace` gives it, if it still is what `data` says."""
        with contextlib.suppress(OSError):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(CACHE_NAME, flags, dir_fd=self._directory)
            try:
                if os.pread(descriptor, len(data) + 1, 0) == data:
                    _date_after(descriptor, newest, _MTIME_STEPS)
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except NotSyncedError as error:
            reason = f"{done}, but that may not survive a power failure: {error.strerror}"
            raise NotWrittenError(self._path, error.errno or errno.EIO, reason) from error
        except OSError as error:
            attribute = self._attribute() if error.errno == errno.EPERM else ""
            reason = f"it is {attribute}" if attribute else ""
            obstacle = NotWrittenError.ATTRIBUTE + self._path if attribute else ""
            number = error.errno or errno.EIO
            raise NotWrittenError(self._path, number, reason, obstacle) from error

    def _attribute(self) -> str:
        """Say which attribute keeps everybody from replacing the cache itself; mostly none."""
        with contextlib.suppress(OSError):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(CACHE_NAME, flags, dir_fd=self._directory)
            try:
                return _attribute(descriptor)
            finally:
                os.close(descriptor)
        return ""


@contextlib.contextmanager
def open_locked(
    directory: str, timeout: float, files: Files | None = None
) -> Iterator[CacheDirectory]:
    """Open a plugin directory for writing its cache, and keep other writers out meanwhile.

    Args:
        directory: Its path.
        timeout: How long to wait for other writers, seconds; 0 for not at all.
        files: How to open it; without, as the user may.

    Raises:
        LockTimeoutError: Another process kept the lock.
        NotWrittenError: The directory cannot be opened, or there is no place for a lock.
        UntrustedError: `files` refuses the directory.
    """
    path = os.path.join(directory, CACHE_NAME)
    try:
        descriptor = (files or Files(enforced=False)).directory(directory)
    except OSError as error:
        raise NotWrittenError(path, error.errno or errno.EIO) from error
    try:
        attribute = _attribute(descriptor)
        if attribute:
            reason = f"its directory is {attribute}"
            raise NotWrittenError(path, errno.EPERM, reason, NotWrittenError.ATTRIBUTE + directory)
        if not _may_write(descriptor):
            raise NotWrittenError(path, _access_errno(descriptor))
        with lock(descriptor, path, timeout):
            yield CacheDirectory(directory, descriptor)
    finally:
        quietly(os.close, descriptor)


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
        entries: What the cache is to hold.
        dropins: The files the entries describe; without any there shall be no cache.
        lock_timeout: How long to wait for other writers, seconds; 0 for not at all.

    Raises:
        LockTimeoutError: Another process kept the lock.
        NotWrittenError: As `CacheDirectory.replace` and `remove` have it.
    """
    newest = newest_of(dropins)
    with open_locked(directory, lock_timeout) as target:
        if newest is None:
            target.remove()
        else:
            target.replace(encode(entries), newest)


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
            ours = is_temporary(entry.name, CACHE_NAME)
            if ours or _TWISTED_LEFTOVER.fullmatch(entry.name):
                status = entry.stat(follow_symlinks=False)
                old = ours or status.st_mtime < time.time() - _TWISTED_LEFTOVER_AGE
                if old and status.st_uid == os.geteuid():
                    found.append(entry.name)
    return found


def newest_of(dropins: Iterable[Dropin]) -> Dropin | None:
    """Return the drop-in with the latest modification time, None if there are none."""
    return max(dropins, key=lambda dropin: dropin.mtime_ns, default=None)


def is_dated_after(mtime_ns: int, newest: Dropin) -> bool:
    """Tell whether a cache's modification time is such as `replace` sets."""
    earliest, latest = newest.mtime_ns, newest.mtime_ns + _MTIME_STEPS[-1]
    if recorded_time(latest) < latest:  # by SOURCE_DATE_EPOCH, and perhaps no later than the newest
        return recorded_time(earliest) <= mtime_ns <= recorded_time(latest)
    return earliest < mtime_ns <= latest


def is_writable(directory: str) -> bool:
    """Tell whether this process may replace files in a directory, as far as can be foreseen."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return not _attribute(descriptor) and _may_write(descriptor)
        finally:
            os.close(descriptor)
    return False


def _date_after(descriptor: int, newest: Dropin, steps: Sequence[int]) -> None:
    for step in steps:
        date = min(recorded_time(newest.mtime_ns + step), _LATEST)
        os.utime(descriptor, ns=(date, date))
        if os.fstat(descriptor).st_mtime > newest.mtime:
            return


def _attribute(descriptor: int) -> str:
    """Say which attribute keeps everybody from changing a file or directory; mostly none.

    An append-only directory lets a temporary file be made, and then neither renamed nor removed.
    """
    flags = bytearray(struct.calcsize("l"))
    with contextlib.suppress(OSError):  # many file systems have none
        fcntl.ioctl(descriptor, _GET_FLAGS, flags)
    (number,) = struct.unpack_from("I", flags)
    return next((word for bit, word in _ATTRIBUTES.items() if number & bit), "")


def _may_write(directory: int) -> bool:
    # By a path if there is one: what takes a descriptor or effective numbers is faccessat2(2),
    # which many filters of containers deny. By a path, the real numbers count.
    real = (os.geteuid(), os.getegid()) == (os.getuid(), os.getgid())
    with_path = real and os.access(f"/proc/self/fd/{directory}", os.W_OK)
    return with_path or os.access(".", os.W_OK, dir_fd=directory, effective_ids=True)


def _access_errno(directory: int) -> int:
    with contextlib.suppress(OSError):
        if os.fstatvfs(directory).f_flag & os.ST_RDONLY:
            return errno.EROFS
    return errno.EACCES
