"""Read cache files, whatever they turn out to be."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from dropin_cache import _wire
from dropin_cache._model import CachedDropin
from dropin_cache._scan import CACHE_NAME


class CacheFile(NamedTuple):
    """A cache as it lies on disk.

    Attributes:
        data: Its bytes.
        mtime: Modification time in seconds, as Python rounds `st_mtime`.
        mtime_ns: The same in nanoseconds.
        mode: Permission bits.
    """

    data: bytes
    mtime: float
    mtime_ns: int
    mode: int

    def dropins(self) -> dict[str, CachedDropin] | None:
        """Decode the cache; None if it is none."""
        return _wire.decode(self.data)


def read_cache_file(directory: str) -> CacheFile | None:
    """Read the cache of a directory.

    Returns:
        The file, or None where there is no regular file of acceptable size that this process may
        read.
    """
    path = os.path.join(directory, CACHE_NAME)
    try:
        # A FIFO without a writer would block for ever. Symbolic links are followed: some
        # distributions build their trees of them, and decoding does no harm.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        with open(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _wire.MAX_SIZE:
                return None
            data = _read_exactly(file.fileno(), status.st_size)
    except OSError:
        return None
    if data is None:
        return None
    return CacheFile(data, status.st_mtime, status.st_mtime_ns, stat.S_IMODE(status.st_mode))


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    """Read `size` bytes; None if the file turns out shorter or longer."""
    chunks = []
    left = size + 1
    while left > 0:
        chunk = os.read(descriptor, left)
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    data = b"".join(chunks)
    return data if len(data) == size else None
