"""How the drop-ins in a directory differ from what its cache says about them."""

from __future__ import annotations

import os
from typing import NamedTuple

from dropin_cache._cachefile import read_cache_file
from dropin_cache._model import CachedDropin
from dropin_cache._scan import Dropin, is_fresh, scan


class Difference(NamedTuple):
    """A directory and its cache.

    Attributes:
        files: The drop-ins, by module name.
        entries: What the cache has, by module name.
        mtime: Modification time of the cache, seconds since the epoch; 0 if there is none.
    """

    files: dict[str, Dropin]
    entries: dict[str, CachedDropin]
    mtime: float

    @classmethod
    def of(cls, package: str, directory: str) -> Difference:
        """Look at a directory of a plugin package, or at a drop-in of it that is a package."""
        above = os.path.dirname(directory)
        inner = above.endswith(os.path.join(os.sep, *package.split(".")))
        cache = read_cache_file(directory)
        entries = (cache.dropins() if cache is not None else None) or {}
        return cls(
            {
                dropin.module: dropin
                for bucket in scan(package, [above if inner else directory], _pass_over)
                for dropin in bucket.dropins
                if bucket.directory == directory
            },
            {entry.moduleName: entry for entry in entries.values()},
            0.0 if cache is None else cache.mtime,
        )

    def modules(self) -> list[str]:
        """Return the names of all drop-ins that either has."""
        return sorted({*self.files, *self.entries})

    def in_words(self, module: str) -> str | None:
        """Say how a drop-in's file and its entry differ; None if they do not."""
        file, entry = self.files.get(module), self.entries.get(module)
        if file is None:
            return "the cache has it, and its file is gone"
        if entry is None:
            return "it is not in the cache"
        if not is_fresh(entry.fingerprint, file, self.mtime):
            return "its file has changed since the cache was written"
        if entry.fingerprint is not None and entry.fingerprint.mtime_ns != file.mtime_ns:
            return "its file has another date than when the cache was written, and the same content"
        return None


def _pass_over(*_: object) -> None:
    """Ignore a directory that cannot be read."""
