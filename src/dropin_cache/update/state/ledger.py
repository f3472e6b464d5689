"""What earlier runs saw and wrote: so that what has not changed need not be imported again.

A ledger is about one environment. It is a cache. Without it, or where it says something else than
the files do, drop-ins are imported. Only two things are done because of what it says: `clean` and
removal look for caches where it has them, and a cache is written again where Twisted has replaced
it. Its first line has a version and a checksum of the rest, as JSON.
"""

from __future__ import annotations

import binascii
import contextlib
import json
import os
from typing import Any, NamedTuple

from dropin_cache._scan import digest_of
from dropin_cache.errors import LockTimeoutError, NotWrittenError, UntrustedError
from dropin_cache.update.files.atomic import (
    made_directory,
    remove_empty,
    remove_file,
    remove_leftovers,
    replace_file,
)
from dropin_cache.update.files.lock import lock
from dropin_cache.update.files.reading import read
from dropin_cache.update.files.trusted import Files

MAX_SIZE = 64 << 20
"""Bytes of the largest ledger that is read or written."""

_VERSION = 8
# Seconds. Another run has written its ledger by then; if it is stopped in that moment, this one
# does without, since a package manager may wait, and the next run finds out again.
_LOCK_TIMEOUT = 2.0


class DirectoryRecord(NamedTuple):
    """What was written in a plugin directory, and from what.

    Attributes:
        package: Dotted name of the plugin package.
        import_root: The directory that the package's path starts from.
        pythons: Keys of the interpreters that imported the drop-ins.
        cache: SHA-256 of the cache; None where there was nothing to cache.
        modules: How many drop-ins the cache holds.
        plugins: How many plugins.
        dropins: For each module, what was seen of it; see `DropinRecord`.
        copy: The cache itself, packed; empty where there was nothing to cache.
    """

    package: str
    import_root: str
    pythons: list[str]
    cache: str | None
    modules: int
    plugins: int
    dropins: dict[str, list[Any]]
    copy: str

    def written(self) -> bytes | None:
        """Return the cache that was written; None where there was nothing to cache."""
        import zlib  # noqa: PLC0415 - for what seldom happens

        return zlib.decompress(binascii.a2b_base64(self.copy)) if self.copy else None


class DropinRecord(NamedTuple):
    """What was seen of one plugin module.

    Attributes:
        stamp: The file, as `observations` has it; None where it had just been written.
        fingerprint: Size, modification time and digest.
        owner: Whose it is.
        references: Modules of the interfaces that its plugins provide.
        error: Why it is not in the cache, or why what is there is older; None if all is well.
        traceback: The end of the traceback; may be empty.
        tried: What the import was tried with if it failed, or could not see something so that
            what is in the cache is older; empty if the failure had reasons of the moment, so that
            it is tried again by the next run.
        warnings: Lines about what had to be left out.
    """

    stamp: list[int] | None
    fingerprint: list[Any]
    owner: str
    references: list[str]
    error: str | None
    traceback: str
    tried: str
    warnings: list[str]


class Ledger:
    """What there is to know about one environment.

    Attributes:
        sandbox: The tier in which drop-ins were last imported, or None.
        interpreters: What is known of interpreters, by their keys, as `recorded` has it.
        directories: What was written, by directory.
    """

    def __init__(self, path: str | None, files: Files) -> None:
        """Load it, or start an empty one.

        Args:
            path: Where it lies; None for nowhere.
            files: How to open it.
        """
        self.path, self._files = path, files
        self._loaded = b""
        self._current: set[str] = set()
        content = self._read(path) if path is not None else {}
        self.sandbox: str | None = content.get("sandbox")
        self.interpreters: dict[str, dict[str, Any]] = content.get("interpreters", {})
        self.directories: dict[str, DirectoryRecord] = {
            path: DirectoryRecord(*record)
            for path, record in content.get("directories", {}).items()
        }

    def note_interpreter(self, key: str, record: dict[str, Any]) -> None:
        """Keep what a run knows of an interpreter."""
        self.interpreters[key] = record
        self._current.add(key)

    def is_gone(self, key: str) -> bool:
        """Tell whether there is no interpreter any more that had a key."""
        record = self.interpreters.get(key)
        return record is None or not os.path.lexists(record["python"])

    def is_abandoned(self) -> bool:
        """Tell whether no interpreter is left of those that it knows."""
        return all(map(self.is_gone, self.interpreters))

    def save(self) -> None:
        """Write it, if it has changed and if that is possible."""
        # For users, each PYTHONPATH makes another interpreter.
        wanted = self._current.union(*(each.pythons for each in self.directories.values()))
        content = {
            "sandbox": self.sandbox,
            "interpreters": {
                key: record
                for key, record in self.interpreters.items()
                if key in wanted and not self.is_gone(key)
            },
            "directories": self.directories,
        }
        body = json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")
        data = b"%s\n%s\n" % (_heading(body), body)
        if self.path is None or data == self._loaded or len(data) > MAX_SIZE:
            return
        directory, name = os.path.split(self.path)
        # Read-only file systems are common (rpm-ostree, image builds), and a ledger is no must.
        with (
            contextlib.suppress(OSError, LockTimeoutError, UntrustedError),
            contextlib.ExitStack() as cleanup,
        ):
            descriptor = made_directory(self._files, directory)
            cleanup.callback(os.close, descriptor)
            # Where there is no place for a lock, a temporary file may be that of another run.
            with contextlib.suppress(NotWrittenError):
                cleanup.enter_context(lock(descriptor, self.path, _LOCK_TIMEOUT))
                remove_leftovers(descriptor, name)
            replace_file(descriptor, name, data)

    def remove(self) -> None:
        """Remove it, and its directory if nothing else is in there."""
        if self.path is not None:
            directory, name = os.path.split(self.path)
            with contextlib.suppress(OSError, UntrustedError):
                descriptor = self._files.directory(directory)
                try:
                    remove_leftovers(descriptor, name)
                    remove_file(descriptor, name)
                finally:
                    os.close(descriptor)
                remove_empty(self._files, directory)

    def _read(self, path: str) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError, UntrustedError, RecursionError):
            data = read(self._files.file(path), MAX_SIZE)
            heading, _, body = data.partition(b"\n")
            # The checksum makes sure that it is whole, and so of the form in which it was written.
            if heading == _heading(body[:-1]):
                self._loaded = data
                return json.loads(body)  # type: ignore[no-any-return]
        return {}


def packed(data: bytes) -> str:
    """Return a cache as `DirectoryRecord.copy` has it."""
    import zlib  # noqa: PLC0415 - most runs write nothing

    return binascii.b2a_base64(zlib.compress(data), newline=False).decode("ascii")


def _heading(body: bytes) -> bytes:
    return f"dropin-cache ledger {_VERSION} {digest_of(body)}".encode("ascii")
