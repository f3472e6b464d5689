"""How the plugin modules in a directory differ from what its cache says about them.

This is how readers see it: nothing is imported, and nothing counts but the files and the cache.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dropin_cache._cachefile import CacheFile, read_open_cache
from dropin_cache._model import CachedDropin
from dropin_cache._scan import (
    CACHE_NAME,
    Dropin,
    is_described,
    is_fresh,
    list_directory,
    recorded_time,
    scan,
)
from dropin_cache.update.files.trusted import Files

if TYPE_CHECKING:
    from dropin_cache._scan import Listing

BY_TWISTED = "Twisted wrote this cache, and readers can use it"


class Difference(NamedTuple):
    """A directory and its cache.

    Attributes:
        files: The plugin modules there, by their dotted names.
        entries: What the cache has, by the dotted names of modules.
        cache: The cache; None if there is none.
    """

    files: dict[str, Dropin]
    entries: dict[str, CachedDropin]
    cache: CacheFile | None

    @classmethod
    def of(cls, package: str, directory: str, root: str | None = None) -> Difference:
        """Look at a directory of a plugin package, or at a drop-in of it that is a package.

        Args:
            package: Dotted name of the plugin package.
            directory: Its path on this machine.
            root: The directory of the image that it is in, which nothing leads out of.
        """
        prefix = "" if root is None else os.path.abspath(root).rstrip("/")
        inside = directory[len(prefix) :]
        above = os.path.dirname(inside)
        inner = above.endswith(os.path.join(os.sep, *package.split(".")))
        with Files(enforced=False, root=root) as files:
            place = above if inner else inside
            buckets = scan(
                package, [place], _pass_over, files.status, lambda path: listed(files, path)
            )
            cache = _cache_in(files, inside)
        dropins = [
            dropin._replace(path=prefix + dropin.path)
            for bucket in buckets
            for dropin in bucket.dropins
            if bucket.directory == inside
        ]
        return cls.between(package, dropins, cache)

    @classmethod
    def between(
        cls, package: str, dropins: Sequence[Dropin], cache: CacheFile | None
    ) -> Difference:
        """Compare plugin modules with a cache.

        Args:
            package: Dotted name of the plugin package.
            dropins: The modules in its directory.
            cache: The cache there.
        """
        entries = (cache.dropins() if cache is not None else None) or {}
        return cls(
            {dropin.module: dropin for dropin in dropins},
            {f"{package}.{key}": entry for key, entry in entries.items()},
            cache,
        )

    def modules(self) -> list[str]:
        """Return the names of all plugin modules that either has."""
        return sorted({*self.files, *self.entries})

    def why_stale(self, module: str) -> str | None:
        """Say why readers cannot use what the cache has of a module; None if they can."""
        file, entry = self.files.get(module), self.entries.get(module)
        if file is None:
            return "the cache has it, and its file is gone"
        if entry is None or entry.moduleName != module or self.cache is None:
            return "it is not in the cache"
        if not is_fresh(entry.fingerprint, file, self.cache.times):
            return "its file has changed since the cache was written"
        if not is_described(entry, file, self.cache.times):
            return "Twisted wrote what the cache has of it, and passes over what only we find"
        return None

    def reasons(self) -> dict[str, str]:
        """Say why readers cannot use the cache, by the names of modules; nothing if they can."""
        reasons = ((module, self.why_stale(module)) for module in self.modules())
        return {module: why for module, why in reasons if why is not None}

    def remark(self, module: str) -> str | None:
        """Say what an update would write otherwise about a module that readers can use."""
        file, entry = self.files.get(module), self.entries.get(module)
        if file is None or entry is None or self.why_stale(module) is not None:
            return None
        if entry.fingerprint is None:
            return BY_TWISTED
        if entry.fingerprint.mtime_ns != recorded_time(file.mtime_ns):
            return "its file has another date than when the cache was written, and the same content"
        return None

    def remarks(self) -> dict[str, str]:
        """Say what an update would write otherwise though readers can use it, by modules."""
        remarks = ((module, self.remark(module)) for module in self.modules())
        return {module: text for module, text in remarks if text is not None}


def listed(files: Files, path: str) -> Listing:
    """List a directory as `list_directory` does."""
    descriptor = files.directory(path)
    try:
        return list_directory(descriptor)
    finally:
        os.close(descriptor)


def _cache_in(files: Files, directory: str) -> CacheFile | None:
    """Read a cache as readers do, through links."""
    with contextlib.suppress(OSError):
        return read_open_cache(files.file(os.path.join(directory, CACHE_NAME)))
    return None


def _pass_over(*_: object) -> None:
    """Ignore a directory that cannot be read."""
