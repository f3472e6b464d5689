"""A directory's cache, and whether what the ledger says of the directory is about that."""

from __future__ import annotations

from typing import NamedTuple

from dropin_cache._cachefile import CacheFile
from dropin_cache._decode import decode, is_sealed
from dropin_cache._model import CachedDropin
from dropin_cache._scan import digest_of
from dropin_cache.update.discovery.directories import PluginDirectory
from dropin_cache.update.discovery.dropin_files import cache_in
from dropin_cache.update.state.ledger import DirectoryRecord
from dropin_cache.update.state.ledgers import Ledgers


class Cached(NamedTuple):
    """A directory's cache on disk, and what the ledger says of it.

    Attributes:
        file: The file, or None.
        record: What the ledger has, if that is about this very file, or about one that Twisted has
            replaced and that says as much.
        why: Why there is no such record.
        written: What the record is about.
    """

    file: CacheFile | None
    record: DirectoryRecord | None
    why: str
    written: CacheFile | None = None

    @classmethod
    def of(cls, directory: PluginDirectory, ledgers: Ledgers) -> Cached:
        """Read a directory's cache."""
        file = cache_in(directory.handle)
        record = ledgers.record(directory.directory, directory.interpreters)
        if record is None:
            return cls(file, None, "it is new")
        if record.pythons != [each.key for each in directory.interpreters]:
            return cls(file, None, "other interpreters import it now")
        if record.cache == (file and digest_of(file.data)):
            return cls(file, record, "", file)
        if file is not None and not is_sealed(file.data):
            data = record.written()
            if data is not None and _says_as_much(data, file.data):
                return cls(file, record, "", file._replace(data=data))
        return cls(file, None, "the cache is not what was written last")


def is_less(entry: CachedDropin | None, before: CachedDropin | None) -> bool:
    """Tell whether an entry, or none, lacks something that an earlier one of the same file has."""
    return before is not None and not _facts(before) <= _facts(entry)


def _says_as_much(ours: bytes, theirs: bytes) -> bool:
    """Tell whether Twisted, which has no sandbox, found nothing where we did not."""
    entries, others = decode(ours) or {}, decode(theirs)
    return others is not None and not any(
        is_less(entries.get(key), each) for key, each in others.items()
    )


def _facts(entry: CachedDropin | None) -> set[tuple[str, ...]]:
    """Return what an entry says: that it is there, its plugins, and what these provide."""
    if entry is None:
        return set()
    named = {(plugin.name,) for plugin in entry.plugins}
    return {(), *named} | {
        (plugin.name, *reference) for plugin in entry.plugins for reference in plugin.references
    }
