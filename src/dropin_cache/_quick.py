"""Whether everything is as it was when root's last update had left nothing to do.

Such an update leaves a list of all files and directories that it was about, with what stat(2) says
of each, and of what `check` would print; `update.state.quick_list` writes it. As long as that
holds, another update would find nothing to do either, nor would `check` find anything else, whoever
runs it. What it takes to run them need not be loaded. For that reason this imports nothing that the
interpreter has not loaded by itself.
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

SAID, WARNED, ENDED, USED = b"=", b"!", b"?", b"/"
"""How entries begin that are no stamps: a line that `check` prints; one on standard error; its exit
status; a directory that readers list, and that `check` counts among what somebody else looks after
unless its user can write there."""

# Variables that have a say in what an interpreter imports, and of Python's own those that have not.
_TOLD = ("VIRTUAL_ENV", "XDG_DATA_HOME")
_HARMLESS = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
_USER_SITES = "~/.local/lib"  # as the module site has it; PYTHONUSERBASE is one of the variables


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
    if os.geteuid() != 0:  # users update what is theirs
        return False
    return _entries() is not None


def checked(*, quiet: bool) -> int | None:
    """Print what `check` would, if nothing has changed since root's update found all of it fresh.

    Args:
        quiet: Whether to print nothing in that case.

    Returns:
        The exit status if that is so, and all of it is printed; else None.
    """
    if os.environ.get("SOURCE_DATE_EPOCH") or not starts_plainly():
        return None
    entries = _entries() or []
    status = [int(entry[1:]) for entry in entries if entry.startswith(ENDED)]
    directories = [entry for entry in entries if entry.startswith(USED)]
    if not status or not (os.geteuid() == 0 or all(map(_is_only_read, directories))):
        return None
    try:
        for descriptor, kind in () if quiet else ((2, WARNED), (1, SAID)):
            lines = [entry[1:] for entry in entries if entry.startswith(kind)]
            data = b"".join(line + b"\n" for line in _painted(lines, descriptor))
            if data and os.write(descriptor, data) != len(data):
                return None
    except OSError:  # the usual way says what there is to say about that
        return None
    return status[0]


def _painted(lines: list[bytes], descriptor: int) -> list[bytes]:
    """Give lines the colours that they are to have where they are printed."""
    if not (os.isatty(descriptor) or os.environ.get("FORCE_COLOR")):
        return lines
    from dropin_cache._colour import line, wanted  # noqa: PLC0415 - hooks have pipes, and no time

    if not wanted(terminal=os.isatty(descriptor)):
        return lines
    return [os.fsencode(line(os.fsdecode(each))) for each in lines]


def starts_plainly() -> bool:
    """Tell whether this user's interpreters start as root's do: nothing of the user has a say."""
    if os.geteuid() == 0:
        return True
    for name, value in os.environ.items():
        told = name in _TOLD or (name.startswith("PYTHON") and name not in _HARMLESS)
        if told and value:
            return False
    sites = os.path.expanduser(_USER_SITES)
    try:
        return sites.startswith("/") and not any(map(_is_pythons, os.listdir(sites)))
    except OSError:  # not there; or not to be listed, though what is in there may be found
        return not os.access(sites, os.X_OK)


def _is_pythons(name: str) -> bool:
    return name.startswith("python")


def _is_only_read(directory: bytes) -> bool:
    return os.access(directory, os.R_OK) and not os.access(directory, os.W_OK)


def _entries() -> list[bytes] | None:
    """Return what is in the list, None if it does not hold."""
    try:
        *lines, end = _read().split(b"\0")
        heading, *entries = lines
        whole = not end and heading == heading_of(len(entries))
        return entries if whole and all(map(_holds, entries)) else None
    except (OSError, ValueError):
        return None


def _holds(entry: bytes) -> bool:
    return entry.startswith((SAID, WARNED, ENDED, USED)) or entry == line_of(
        entry.partition(b"\t")[2]
    )


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
    return os.fsencode(f"dropin-cache stamps 3 {entries} {sys.version} {sys.executable}")


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
