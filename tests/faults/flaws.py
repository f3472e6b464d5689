"""Writers and readers as they must not be: what the harnesses have to notice."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from typing import Any

from dropin_cache import _plugins
from dropin_cache.update.files import atomic, cache_directory
from dropin_cache.update.state import ledger


def _in_place() -> None:
    """Write into the cache itself, as open(path, "w") does."""

    def replace_file(
        directory: int, name: str, data: bytes, mode: int = 0o644, finish: Any = lambda _: None
    ) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        descriptor = os.open(name, flags, mode, dir_fd=directory)
        for start in range(0, len(data), 64):
            # How often an update calls write is not the same in each run.
            os.pwrite(descriptor, data[start : start + 64], start)
        finish(descriptor)
        os.close(descriptor)
        atomic.sync(directory)

    cache_directory.replace_file = replace_file


def _absent() -> None:
    """Remove the cache before the new one is there, as a maintainer script would."""

    def replace_file(directory: int, name: str, *others: Any, **options: Any) -> None:
        if name in os.listdir(directory):
            os.unlink(name, dir_fd=directory)
        atomic.replace_file(directory, name, *others, **options)

    cache_directory.replace_file = replace_file


def _litter() -> None:
    """Leave temporary files, and never remove them."""

    def replace_file(
        directory: int, name: str, data: bytes, mode: int = 0o644, finish: Any = lambda _: None
    ) -> None:
        temporary = f".{name}.{os.urandom(8).hex()}.new"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT, mode, dir_fd=directory)
        os.write(descriptor, data)
        finish(descriptor)
        os.close(descriptor)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)

    cache_directory.replace_file = replace_file
    cache_directory.leftovers = lambda _: []
    ledger.remove_leftovers = lambda *_: None


def _child_left() -> None:
    """Leave a process running."""
    subprocess.Popen(["sleep", "600"], start_new_session=True)


def _silent() -> None:
    """Take a failure for success."""
    replace = cache_directory.CacheDirectory.replace

    def careless(self: cache_directory.CacheDirectory, *arguments: Any, **options: Any) -> None:
        with contextlib.suppress(cache_directory.NotWrittenError):
            replace(self, *arguments, **options)

    cache_directory.CacheDirectory.replace = careless


def _escape() -> None:
    """Let errors of the system through."""

    class Escaping(Exception):
        """Nobody catches this."""

        def __init__(self, *_: object) -> None:
            super().__init__("escaping")

    cache_directory.NotWrittenError = Escaping


def _short() -> None:
    """Take it that a write writes everything."""

    def replace_file(directory: int, name: str, data: bytes, *_: object) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with io.FileIO(os.open(name, flags, 0o644, dir_fd=directory), "wb") as file:
            file.write(data)

    cache_directory.replace_file = replace_file


def _reader_escape() -> None:
    """Let an error of a directory through, as Twisted's reader does."""

    def raising(_: str, error: OSError) -> None:
        raise error

    _plugins._Snapshot.unreadable = lambda self, path, error: raising(path, error)


FLAWS = {
    "in place": _in_place,
    "absent": _absent,
    "litter": _litter,
    "child left": _child_left,
    "silent": _silent,
    "escape": _escape,
    "short": _short,
    "reader escape": _reader_escape,
}
"""What each does to the process that it is called in, by name."""
