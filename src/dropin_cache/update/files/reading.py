"""Read files that may turn out to be anything: whole, up to a limit, and without ever waiting.

Who relies on what it reads opens it with `files.trusted`, and reads it with `read`.
"""

from __future__ import annotations

import errno
import os

from dropin_cache.update.files.trusted import Files

_CHUNK = 1 << 20


def read_file(path: str, limit: int, *, follow: bool = True) -> bytes:
    """Read a regular file whole, whoever can change it.

    Args:
        path: Its path; a relative one starts where the process is.
        limit: The most bytes that it may have.
        follow: Whether the last component may be a symbolic link.

    Raises:
        OSError: It cannot be opened or read, is no regular file (EINVAL; ELOOP for a symbolic
            link that must not be followed), or is larger than the limit (EFBIG).
    """
    files = Files(enforced=False)
    if follow:
        return read(files.file(path), limit)
    above, name = os.path.split(os.path.abspath(path))
    directory = files.directory(above)
    try:
        return read(files.entry(directory, name), limit)
    finally:
        os.close(directory)


def read(descriptor: int, limit: int) -> bytes:
    """Read an open file from where it is to its end, and close it.

    Args:
        descriptor: The file; it is closed whatever happens.
        limit: The most bytes that there may be.

    Raises:
        OSError: It cannot be read, or there is more (EFBIG).
    """
    with open(descriptor, "rb", buffering=0) as file:
        data = bytearray()
        while len(data) <= limit:
            # Room is made for all that is asked for.
            chunk = file.read(min(limit + 1 - len(data), _CHUNK))
            if not chunk:
                return bytes(data)
            data += chunk
    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
