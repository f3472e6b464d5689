"""Copies for programs that write where they are to read; they go when that is done."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence

from dropin_cache.update.files.trusted import Files

MAX_SIZE = 1 << 30
"""Bytes that all files of a directory may have together."""

_CHUNK = 1 << 20
# Root's place is not where variables say, and not in memory, which /tmp may be. It is sticky.
_ABOVE = "/var/tmp"  # noqa: S108


@contextlib.contextmanager
def copied(
    files: Files, directory: str, names: Sequence[str], owner: tuple[int, int]
) -> Iterator[str]:
    """Copy files of a directory to one that nobody but its owner, and root, can enter.

    Args:
        files: How to open them.
        directory: Where they are.
        names: Their names.
        owner: Numbers of the user and the group that get the copies.

    Yields:
        The path of the new directory.

    Raises:
        OSError: One cannot be read, is no regular file, or they are too large (EFBIG).
        UntrustedError: Others than root can change one.
    """
    import tempfile  # noqa: PLC0415 - seldom wanted, and long to load

    above = _ABOVE if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="dropin-cache-", dir=above) as copy:
        source = files.directory(directory)
        try:
            left = MAX_SIZE
            for name in names:
                left -= _copy(files.entry(source, name), os.path.join(copy, name), left, owner)
        finally:
            os.close(source)
        os.chown(copy, *owner)  # the last: from now on its owner can change what is in there
        yield copy


def _copy(descriptor: int, path: str, limit: int, owner: tuple[int, int]) -> int:
    """Copy an open file, which is closed, and return its size."""
    size = 0
    with open(descriptor, "rb", buffering=0) as source, open(path, "xb", buffering=0) as target:
        for chunk in iter(lambda: source.read(_CHUNK), b""):
            size += len(chunk)
            if size > limit:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            target.write(chunk)
        os.fchown(target.fileno(), *owner)
    return size
