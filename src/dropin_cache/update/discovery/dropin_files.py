"""What a directory holds, by the names in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from dropin_cache._cachefile import CacheFile, read_cache_file
from dropin_cache._scan import CACHE_NAME


def possible_dropins(directory: str | int) -> tuple[str, ...]:
    """List the names in a directory that can be those of drop-ins, sorted."""
    with os.scandir(directory) as entries:  # a list would hold the names of all other files, too
        names = (entry.name for entry in entries)
        return tuple(
            sorted(
                name
                for name in names
                if os.path.splitext(name)[1] in {".py", ".pyc", ""} and name != "__pycache__"
            )
        )


def has_cache(directory: str) -> bool:
    """Tell whether something of the name of a cache is in a directory."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        os.lstat(os.path.join(directory, CACHE_NAME))
        return True
    return False


def cache_in(directory: str) -> CacheFile | None:
    """Read the cache of a directory, without following a link that is there in its stead."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return read_cache_file(descriptor)
        finally:
            os.close(descriptor)
    return None


def possible_orphans(handles: Sequence[str]) -> list[str]:
    """List where a cache may have outlived its drop-ins: the path, and what was a package there."""
    found = []
    for handle in handles:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            with os.scandir(handle) as entries:
                inner = sorted(entry.path for entry in entries if _holds_only_a_cache(entry))
            found += [handle, *inner]
    return found


def _holds_only_a_cache(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) and set(os.listdir(entry.path)) - {
            "__pycache__"
        } == {CACHE_NAME}
    except OSError:
        return False
