"""Read cache files, whatever they turn out to be."""

from __future__ import annotations

import os
import stat

from dropin_cache import _decode
from dropin_cache._model import CachedDropin, CacheTimes, NamedTuple
from dropin_cache._scan import CACHE_NAME, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO


class CacheFile(NamedTuple):
    """A cache as it lies on disk.

    Attributes:
        data: Its bytes.
        mtime: Modification time in seconds, as Python rounds `st_mtime`.
        mtime_ns: The same in nanoseconds.
        mode: Permission bits.
        ctime_ns: Time of the last change to the inode, nanoseconds since the epoch.
    """

    data: bytes
    mtime: float
    mtime_ns: int
    mode: int
    ctime_ns: int

    @property
    def times(self) -> CacheTimes:
        """Its times, as far as they tell what is fresh."""
        return CacheTimes(self.mtime, self.ctime_ns)

    def dropins(self) -> dict[str, CachedDropin] | None:
        """Decode the cache; None if it is none."""
        return _decode.decode(self.data)


def read_cache_file(directory: str | int) -> CacheFile | None:
    """Read the cache of a directory.

    Args:
        directory: Its path, or a descriptor. By path, symbolic links are followed.

    Returns:
        The file, or None where there is no regular file of acceptable size that this process may
        read.
    """
    try:
        return _read(_open(directory))
    except (OSError, ValueError):
        return None


def read_open_cache(descriptor: int) -> CacheFile | None:
    """Read a cache that has been opened, and close it; the rest is as for `read_cache_file`."""
    return _read(open(descriptor, "rb", buffering=0))


def _read(file: FileIO) -> CacheFile | None:
    try:
        with file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > _decode.MAX_SIZE:
                return None
            data = _read_exactly(file, status.st_size)
    except (OSError, ValueError):
        return None
    if data is None:
        return None
    mode = stat.S_IMODE(status.st_mode)
    return CacheFile(data, status.st_mtime, status.st_mtime_ns, mode, status.st_ctime_ns)


def _open(directory: str | int) -> FileIO:
    if isinstance(directory, str):
        return open_regular(os.path.join(directory, CACHE_NAME))
    # Who asks by descriptor does not want to be led elsewhere. See `open_regular`.
    if not stat.S_ISREG(os.stat(CACHE_NAME, dir_fd=directory, follow_symlinks=False).st_mode):
        raise OSError("not a regular file")
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(CACHE_NAME, flags, dir_fd=directory), "rb", buffering=0)


def _read_exactly(file: FileIO, size: int) -> bytes | None:
    """Read `size` bytes; None if the file turns out shorter or longer."""
    data = bytearray()
    while len(data) <= size:
        chunk = file.read(size + 1 - len(data))
        if not chunk:
            break
        data += chunk
    return bytes(data) if len(data) == size else None
