"""A directory's cache, and whether what the ledger says of the directory is about that."""

from __future__ import annotations

from typing import NamedTuple

from dropin_cache._cachefile import CacheFile
from dropin_cache.update.discovery.directories import PluginDirectory
from dropin_cache.update.discovery.dropin_files import cache_in
from dropin_cache.update.state.ledger import DirectoryRecord, digest
from dropin_cache.update.state.ledgers import Ledgers


class Cached(NamedTuple):
    """A directory's cache on disk, and what the ledger says of it.

    Attributes:
        file: The file, or None.
        record: What the ledger has, if that is about this very file.
        why: Why there is no such record.
    """

    file: CacheFile | None
    record: DirectoryRecord | None
    why: str

    @classmethod
    def of(cls, directory: PluginDirectory, ledgers: Ledgers) -> Cached:
        """Read a directory's cache."""
        file = cache_in(directory.handle)
        record = ledgers.record(directory.directory, directory.interpreters)
        if record is None:
            return cls(file, None, "it is new")
        if record.pythons != [each.key for each in directory.interpreters]:
            return cls(file, None, "other interpreters import it now")
        if record.cache != (file and digest(file.data)):
            return cls(file, None, "the cache is not what was written last")
        return cls(file, record, "")
