"""Look at directories and files in a way that tells later whether they are still the same."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Listing = tuple[list[str], dict[str, str]]

_SOURCES = (".py", ".pyc")
# The kernel's clock for files stands still for up to 10 ms, and a file can change twice meanwhile.
_TICK = 20_000_000


def list_directory(directory: str) -> Listing:
    """List the names in a directory that drop-ins can have, sorted, and what can be packages.

    Returns:
        The names; and of those without extension that are directories or symbolic links, which.
    """
    names, folders = [], {}
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if "." in name:
                # Other files are not kept in memory: there may be a million of them.
                if name.endswith(_SOURCES):
                    names.append(name)
                continue
            names.append(name)
            if entry.is_symlink():
                folders[name] = "link"
            elif entry.is_dir(follow_symlinks=False):
                folders[name] = "directory"
    return sorted(names), folders


class Snapshot:
    """What a plugin package and its caches were when its drop-ins were found.

    As long as every directory lists the same and every file is the same, the drop-ins are, too.

    Attributes:
        search_path: The package's `__path__`.
        dropins: What was found.
        settled: Whether all that it takes to find the same again is that `holds()`.
    """

    def __init__(self, search_path: list[Any]) -> None:
        """Start with nothing."""
        self.search_path = search_path
        self.dropins: dict[str, Any] = {}
        self.settled = True
        self._listings: dict[str, Listing | int | None] = {}
        self._files: dict[str, tuple[int, ...] | None] = {}
        self._recent = time.time_ns() - _TICK

    def listing(self, directory: str) -> Listing:
        """Do what `list_directory` does, and remember it."""
        try:
            listed = self._listings[directory] = list_directory(directory)
        except NotADirectoryError:  # an archive, and nobody looks into it again
            self.settled = False
            raise
        except OSError as error:
            self._listings[directory] = error.errno
            raise
        return listed

    def status(self, path: str) -> os.stat_result:
        """Do what `os.stat` does, and remember it."""
        try:
            found = os.stat(path)
        except OSError:
            self._files[path] = None
            raise
        self._files[path] = _identity(found)
        if found.st_ctime_ns >= self._recent:
            self.settled = False
        return found

    def holds(self) -> bool:
        """Look at everything again, and tell whether it is as it was."""
        return all(
            _listing_of(directory) == listed for directory, listed in self._listings.items()
        ) and all(_identity_of(path) == identity for path, identity in self._files.items())


def _listing_of(directory: str) -> Listing | int | None:
    try:
        return list_directory(directory)
    except OSError as error:
        return error.errno


def _identity_of(path: str) -> tuple[int, ...] | None:
    try:
        return _identity(os.stat(path))
    except OSError:
        return None


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Return what cannot all stay the same when a file is changed or replaced."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
