"""A disk that writes down all that is written to it: a plugin of nbdkit's, for its own Python.

Usage: nbdkit python power_recorder.py image=FILE log=FILE

The log has a line `write OFFSET LENGTH` with the data behind it for each write, and a line `flush`
for each flush; power_log.py reads it. Requests are served one after the other, so the order of
the log is the order in which the disk had them.
"""

from __future__ import annotations

import os

API_VERSION = 2  # of nbdkit-python-plugin(3), which describes the functions below

_files: dict[str, int] = {}


def config(key: str, value: str) -> None:
    """Open what the command line names."""
    _files[key] = os.open(value, os.O_RDWR | os.O_APPEND * (key == "log") | os.O_CLOEXEC)


def open(readonly: bool) -> int:  # noqa: A001 - the name is nbdkit's
    """Serve the one disk that there is."""
    return _files["image"]


def get_size(image: int) -> int:
    """Return the size of the disk."""
    return os.fstat(image).st_size


def pread(image: int, buffer: bytearray, offset: int, flags: int) -> None:
    """Fill a buffer from the disk."""
    os.preadv(image, [buffer], offset)


def pwrite(image: int, buffer: bytes, offset: int, flags: int) -> None:
    """Write to the disk, and say so in the log."""
    os.writev(_files["log"], [b"write %d %d\n" % (offset, len(buffer)), buffer])
    os.pwrite(image, buffer, offset)


def flush(image: int, flags: int) -> None:
    """Promise that what has been written stays; having this, nbdkit adds it to writes that ask."""
    os.write(_files["log"], b"flush\n")
