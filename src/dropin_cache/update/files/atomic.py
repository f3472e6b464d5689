"""Change what is in a directory: put a file in the place of another, remove what is empty."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Callable

from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.trusted import Files

FILE_MODE = 0o644
"""Of every file that this project writes: whatever the mode mask of its user, all may read it."""


class NotSyncedError(OSError):
    """A directory was changed, and the change may not be on disk."""


def replace_file(
    directory: int,
    name: str,
    data: bytes,
    mode: int = FILE_MODE,
    finish: Callable[[int], object] = lambda descriptor: None,  # noqa: ARG005
) -> None:
    """Put a file in the place of another, all or nothing, and not return before it is on disk.

    Args:
        directory: Descriptor of the directory.
        name: The file's name in it.
        data: Its content.
        mode: Its permissions.
        finish: Called with a descriptor of the new file before it gets its name; what it raises
            leaves the old file in place.

    Raises:
        OSError: The old file is still in place, unless only the directory cannot be synced.
    """
    temporary = f".{name}.{os.urandom(8).hex()}.new"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    # Not below "try": what somebody else put under this name is not ours to remove.
    descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
    try:
        with open(descriptor, "r+b", buffering=0) as file:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            os.fchmod(descriptor, mode)
            finish(descriptor)
            os.fsync(descriptor)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
    sync(directory)


def remove_file(directory: int, name: str) -> bool:
    """Remove a file, and tell whether there was one.

    Args:
        directory: Descriptor of the directory.
        name: The file's name in it.

    Raises:
        OSError: It is still there.
    """
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def remove_leftovers(directory: int, name: str) -> None:
    """Remove the temporary files that killed calls of `replace_file` have left.

    Args:
        directory: Descriptor of the directory. Nobody else may be writing there now.
        name: The name of the file in whose place they were to be put.

    Raises:
        OSError: One of them cannot be removed.
    """
    for entry in os.listdir(directory):
        if is_temporary(entry, name):
            remove_file(directory, entry)


def made_directory(files: Files, path: str) -> int:
    """Open a directory, made if need be, and return its descriptor, which is the caller's.

    Args:
        files: How to open it, and the one in which it is made.
        path: Its absolute path. For ordinary users, those above it are made, too.

    Raises:
        OSError: It cannot be opened, or not be made.
        UntrustedError: Others than root can change it.
    """
    with contextlib.suppress(FileNotFoundError):
        return files.directory(path)
    parent, name = os.path.split(path)
    if os.geteuid() != 0:
        os.makedirs(parent, exist_ok=True)
    descriptor = files.directory(parent)
    try:
        with contextlib.suppress(FileExistsError):  # another process has just made it
            os.mkdir(name, 0o755, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    return files.directory(path)


def remove_empty(files: Files, path: str) -> None:
    """Remove a directory, if there is nothing in it.

    Args:
        files: How to open the one in which it is.
        path: Its absolute path.

    Raises:
        OSError: It is still there.
        UntrustedError: Others than root can change where it is.
    """
    parent, name = os.path.split(path)
    descriptor = files.directory(parent)
    try:
        os.rmdir(name, dir_fd=descriptor)
    finally:
        os.close(descriptor)


def is_temporary(entry: str, name: str) -> bool:
    """Tell by its name whether a file is a temporary one that `replace_file` has made.

    Args:
        entry: Its name.
        name: The name of the file in whose place it was to be put.
    """
    return re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]{{16}}\.new", entry) is not None


def prune(files: Files, import_root: str, directory: str, *, keep_time: bool = False) -> list[str]:
    """Remove a directory and those above it, as long as there is nothing in them.

    Args:
        files: How to open them.
        import_root: Where to stop.
        directory: Where to begin.
        keep_time: Whether to give what stays its times back, as far as the system lets it.

    Returns:
        What was removed. Whatever is in the way of removing more is no error.
    """
    removed: list[str] = []
    top, directory = (os.path.normpath(path).rstrip("/") for path in (import_root, directory))
    while directory != "/" and directory.startswith(top + "/"):
        parent, name = os.path.split(directory)
        try:
            descriptor = files.directory(parent)
        except FileNotFoundError:
            directory = parent
            continue
        except (OSError, UntrustedError):
            break
        try:
            with kept_times(descriptor, wanted=keep_time):
                os.rmdir(name, dir_fd=descriptor)
            removed.append(directory)
        except FileNotFoundError:  # an earlier run was killed before it came to those above
            pass
        except OSError:
            break
        finally:
            os.close(descriptor)
        directory = parent
    return removed


def sync(directory: int) -> None:
    """Return when what was done to a directory is on disk.

    Raises:
        NotSyncedError: That could not be.
    """
    try:
        os.fsync(directory)
    except OSError as error:
        raise NotSyncedError(error.errno, error.strerror) from error


@contextlib.contextmanager
def kept_times(directory: int, *, wanted: bool) -> Iterator[None]:
    """Give a directory its times back in the end, if that is wanted and the system lets it."""
    status = os.fstat(directory)
    try:
        yield
    finally:
        if wanted:
            with contextlib.suppress(OSError):
                os.utime(directory, ns=(status.st_atime_ns, status.st_mtime_ns))
