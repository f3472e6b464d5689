"""Read files that may turn out to be anything: whole, up to a limit, and without ever waiting.

Who relies on what it reads opens it with `files.trusted`, and reads it with `read`.
"""

from __future__ import annotations

import errno
import os
import stat

# A FIFO without a writer would block the open; a terminal would become the process's own.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def read_file(
    path: str | bytes, limit: int, *, directory: int | None = None, follow: bool = True
) -> bytes:
    """Read a regular file whole.

    Args:
        path: Its path; a relative one starts at the directory, or where the process is.
        limit: The most bytes that it may have.
        directory: Descriptor of a directory.
        follow: Whether the last component may be a symbolic link.

    Raises:
        OSError: It cannot be opened or read, is no regular file (EINVAL; ELOOP for a symbolic
            link that must not be followed), or is larger than the limit (EFBIG).
        ValueError: The path holds a null byte.
    """
    return read(_opened(path, directory, follow=follow), limit)


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
            chunk = file.read(limit + 1 - len(data))
            if not chunk:
                return bytes(data)
            data += chunk
    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))


def _opened(path: str | bytes, directory: int | None, *, follow: bool) -> int:
    """Open a regular file for reading.

    What it is is known before it is opened, because opening a device can do something by itself.
    """
    flags = _READ if follow else _READ | os.O_NOFOLLOW
    # Not from here through /proc, which need not be there. So the file can be another one in the
    # end: then it is looked at again, and none of these flags lets anything block.
    _require_regular(os.stat(path, dir_fd=directory, follow_symlinks=follow))
    descriptor = os.open(path, flags, dir_fd=directory)
    try:
        _require_regular(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
