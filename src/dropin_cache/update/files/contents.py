"""What is in a directory and below it, without following links."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container, Iterator

from dropin_cache.update.files.trusted import Files

_MAX_DEPTH = 60  # each takes two descriptors; packages have less than ten
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def contents(
    files: Files, directory: str, left_out: Container[str]
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything but directories: the path, and what the system says of it.

    What goes away meanwhile, or is closed to this process, is passed over, and so is what lies
    very deep.

    Args:
        files: How to open the directory. What is in it may be anybody's.
        directory: Its path.
        left_out: Names of files and directories that do not count.

    Raises:
        OSError: It cannot be opened.
        UntrustedError: Others than root can change it.
    """
    yield from _below(files.directory(directory), directory, left_out, _MAX_DEPTH)


def _below(
    descriptor: int, path: str, left_out: Container[str], depth: int
) -> Iterator[tuple[str, os.stat_result]]:
    """Do so for an open directory, and close it."""
    try:
        # By descriptors: who can change what is in there could lead a path elsewhere.
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if entry.name in left_out:
                    continue
                with contextlib.suppress(OSError):
                    where = f"{path}/{entry.name}"
                    if not entry.is_dir(follow_symlinks=False):
                        yield where, entry.stat(follow_symlinks=False)
                    elif depth:
                        inner = os.open(entry.name, _DIRECTORY, dir_fd=descriptor)
                        yield from _below(inner, where, left_out, depth - 1)
    finally:
        os.close(descriptor)
