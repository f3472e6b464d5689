"""Whether everything is as it was when the last update found nothing to do.

Such an update leaves a list of all files and directories that it was about, with what stat(2) says
of each; `update.state.quick_list` writes it. As long as that holds, another update would find
nothing to do either, and what it takes to run one need not be loaded. For that reason this imports
nothing that the interpreter has not loaded by itself.
"""

from __future__ import annotations

import os
import sys

STATE_DIRECTORY = "/var/cache/dropin-cache"
"""The directory of the list; like the ledger it is root's."""

BYPASS = "DROPIN_CACHE_UPDATE_BYPASS"
"""The environment variable that turns triggers off, for one run of a package manager."""

MAX_SIZE = 32 << 20
"""Bytes of the largest list that is read or written."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO without a writer would block the open.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS_WRITE = 0o022


def name_of(path: str, extension: str) -> str:
    """Return the name of the file that is about something, in the directory of the list.

    Args:
        path: Absolute: an interpreter, or what it belongs to.
        extension: What the file is.
    """
    name = path.strip("/").replace("%", "%25").replace("/", "%2F")
    return f"{name}.{extension}"


def list_name() -> str:
    """Return the name of the list: each interpreter has its own."""
    return name_of(sys.executable, "stamps")


def hold() -> bool:
    """Tell whether an update of this system by this interpreter would find nothing to do."""
    if os.geteuid() != 0:  # what users import depends on their environment, too
        return False
    try:
        *lines, end = _read().split(b"\0")
        heading, *entries = lines
        if end or heading != heading_of(len(entries)):
            return False
        return all(entry == line_of(entry.partition(b"\t")[2]) for entry in entries)
    except (OSError, ValueError):
        return False


def line_of(path: bytes) -> bytes:
    """Return the list's entry for a path: what stat(2) says of what it leads to, and the path.

    Args:
        path: Absolute.

    Raises:
        OSError: It can be neither found nor found missing.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return b"-\t%b" % path
    # Of two files under one name, and of one at two times, these are not all the same. Even
    # who sets another date, or other permissions, leaves a trace in the time of that change.
    kept = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return b"%d %d %d %d %d\t%b" % (*kept, path)


def heading_of(entries: int) -> bytes:
    """Return the list's first entry: for which interpreter it holds, and how many others follow."""
    return os.fsencode(f"dropin-cache stamps 1 {entries} {sys.version} {sys.executable}")


def _read() -> bytes:
    """Read the list, if nobody but root can have written it."""
    directory = os.open(STATE_DIRECTORY, _DIRECTORY)
    try:
        descriptor = os.open(list_name(), _FILE, dir_fd=directory)
        try:
            for each in (directory, descriptor):
                status = os.fstat(each)
                if status.st_uid != 0 or status.st_mode & _OTHERS_WRITE:
                    raise PermissionError
            data = b""
            while len(data) <= MAX_SIZE:
                chunk = os.read(descriptor, MAX_SIZE)
                if not chunk:
                    return data
                data += chunk
            raise ValueError(MAX_SIZE)
        finally:
            os.close(descriptor)
    finally:
        os.close(directory)
