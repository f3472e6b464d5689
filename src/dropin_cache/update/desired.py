"""What a directory's cache should be."""

from __future__ import annotations

import functools
from typing import Callable, NamedTuple, Optional

from dropin_cache._cachefile import CacheFile
from dropin_cache._decode import ALWAYS_TOLD, MAX_GROWTH, MAX_SIZE, extent, is_bounded
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin
from dropin_cache._scan import Dropin, digest_of
from dropin_cache.update import report
from dropin_cache.update.comparison import with_origin
from dropin_cache.update.discovery.directories import PluginDirectory
from dropin_cache.update.discovery.dropin_files import has_cache
from dropin_cache.update.discovery.owners import name_in
from dropin_cache.update.facts import UNSTABLE, Facts, Known
from dropin_cache.update.files import cache_directory
from dropin_cache.update.files.atomic import FILE_MODE
from dropin_cache.update.importing.records import Failure
from dropin_cache.update.report import Broken, DirectoryReport
from dropin_cache.update.state.cached import Cached
from dropin_cache.update.state.ledger import DirectoryRecord, DropinRecord, packed

# Decodes a cache, if nobody has yet.
_Decoded = Callable[[], Optional["dict[str, CachedDropin]"]]


class DesiredCache(NamedTuple):
    """What a directory's cache should be.

    Attributes:
        directory: The directory and its plugin modules.
        data: The cache's bytes; None if there should be no cache.
        newest: The newest plugin module in the cache.
        unstable: Modules whose files kept changing.
        record: For the ledger, once the cache is so.
        report: The report so far.
    """

    directory: PluginDirectory
    data: bytes | None
    newest: Dropin | None
    unstable: frozenset[str]
    record: DirectoryRecord
    report: DirectoryReport

    def is_on_disk(self, file: CacheFile | None) -> bool:
        """Tell whether a cache on disk is what it should be."""
        if self.data is None or file is None:
            return self.data is None and not has_cache(self.directory.handle)
        return (file.data, file.mode) == (self.data, FILE_MODE)

    def is_dated(self, file: CacheFile | None) -> bool:
        """Tell whether the times of a cache on disk are those of one that is written now."""
        changed = max((dropin.ctime_ns for dropin in self.directory.dropins), default=0)
        return (
            file is None
            or self.newest is None
            or (
                changed < file.ctime_ns
                and cache_directory.is_dated_after(file.mtime_ns, self.newest)
            )
        )


class _Encoded(NamedTuple):
    """A cache's bytes, how many plugins are in it, and what was left out for its size."""

    data: bytes | None
    plugins: int
    too_large: dict[Dropin, Failure]


def desired_cache(directory: PluginDirectory, facts: Facts, shown: str) -> DesiredCache:
    """Make what is known of plugin modules into a cache.

    Args:
        directory: The directory.
        facts: What is known of its modules.
        shown: The directory's path for people.
    """
    cached = facts.cached(directory)
    known = [(dropin, facts.of(directory, dropin, cached)) for dropin in directory.dropins]
    good = {each: one for each, one in known if one is not None and one.failure is None}
    encoded = _encoded(good, cached, functools.partial(facts.decoded, cached.written))
    for dropin in encoded.too_large:
        del good[dropin]
    broken = [
        _broken(directory, dropin, one, encoded.too_large.get(dropin), cached)
        for dropin, one in known
        if dropin not in good
    ]
    written = None if encoded.data is None else digest_of(encoded.data)
    record = DirectoryRecord(
        package=directory.package,
        import_root=directory.import_root,
        pythons=[each.key for each in directory.interpreters],
        cache=written,
        modules=len(good),
        plugins=encoded.plugins,
        # What was left out for its size is tried again by the next run.
        dropins={
            dropin.module: list(one.record())
            for dropin, one in known
            if one is not None and dropin not in encoded.too_large
        },
        copy=_copy(encoded.data, written, cached),
    )
    cache = DesiredCache(
        directory,
        encoded.data,
        cache_directory.newest_of(good),
        frozenset(dropin.module for dropin, one in known if one is None),
        record,
        DirectoryReport(
            path=shown,
            package=directory.package,
            python=directory.interpreters[0].python,
            state="",
            found="",
            modules=record.modules,
            plugins=record.plugins,
            broken=tuple(broken),
            warnings=tuple(
                with_origin(dropin.module, name_in(one.owner), line)
                for dropin, one in good.items()
                for line in one.warnings
            ),
            changes=tuple(_changes(known, cached)),
        ),
    )
    found = _compare(cache, cached.file, functools.partial(facts.decoded, cached.file))
    return cache._replace(report=cache.report._replace(found=found))


def _copy(data: bytes | None, written: str | None, cached: Cached) -> str:
    """Return a cache as the ledger keeps it."""
    if data is None:
        return ""
    if cached.record is not None and cached.record.cache == written:
        return cached.record.copy
    return packed(data)


def _compare(cache: DesiredCache, file: CacheFile | None, on_disk: _Decoded) -> str:
    """Say what the cache on disk is, measured by what it should be."""
    if cache.is_on_disk(file):
        return report.FRESH
    if file is None and cache.data is not None:
        return report.CORRUPT if has_cache(cache.directory.handle) else report.MISSING
    if file is None or cache.data is None or file.data == cache.data:
        return report.STALE
    return report.CORRUPT if on_disk() is None else report.STALE


def _encoded(good: dict[Dropin, Known], cached: Cached, decoded: _Decoded) -> _Encoded:
    """Encode a cache."""
    unchanged = all(one.entry is None for one in good.values())
    if unchanged and cached.record is not None and cached.written is not None:
        records = {name: DropinRecord(*each) for name, each in cached.record.dropins.items()}
        written = {name: each.fingerprint for name, each in records.items() if not each.error}
        if written == {dropin.module: list(one.fingerprint) for dropin, one in good.items()}:
            return _Encoded(cached.written.data, cached.record.plugins, {})
    entries = _entries(good, decoded)
    too_large = _too_large(entries)
    for dropin in too_large:
        del entries[dropin]
    if not entries:
        return _Encoded(None, 0, too_large)
    plugins = sum(len(entry.plugins) for entry in entries.values())
    return _Encoded(encode(entries.values()), plugins, too_large)


def _too_large(entries: dict[Dropin, CachedDropin]) -> dict[Dropin, Failure]:
    """Return what has to be left out so that readers take the cache: the worst, one by one."""
    extents = {dropin: extent(entry) for dropin, entry in entries.items()}
    told, least = (sum(each) for each in zip((0, 0), *extents.values()))
    plugins = sum(len(entry.plugins) for entry in entries.values())
    # A character takes four bytes at the most; the rest of an entry is some hundreds.
    if 4 * told + 1000 * (len(entries) + plugins) <= MAX_SIZE and is_bounded(told, least):
        return {}
    repeated = {each: told - MAX_GROWTH * least for each, (told, least) in extents.items()}
    wordy = _worst(repeated, ALWAYS_TOLD, "it repeats names that are too long")
    sizes = {
        dropin: max(len(encode([entry])), extents[dropin][0])
        for dropin, entry in entries.items()
        if dropin not in wordy
    }
    reason = f"with it the cache would be larger than {MAX_SIZE >> 20} MiB"
    return {**wordy, **_worst(sizes, MAX_SIZE, reason)}


def _worst(costs: dict[Dropin, int], limit: int, reason: str) -> dict[Dropin, Failure]:
    """Return the costliest of all, as many as it takes for the rest to be within a limit."""
    worst: dict[Dropin, Failure] = {}
    total = sum(costs.values())
    for dropin, cost in sorted(costs.items(), key=lambda item: (-item[1], item[0].module)):
        if total <= limit:
            break
        worst[dropin] = Failure(reason)
        total -= cost
    return worst


def _entries(good: dict[Dropin, Known], decoded: _Decoded) -> dict[Dropin, CachedDropin]:
    """Return the entries of modules; what is in the cache that was written is taken from there."""
    entries = {}
    for dropin, one in good.items():
        entries[dropin] = one.entry or (decoded() or {})[dropin.key]
        if one.entry is None:  # the file may have another date
            entries[dropin].fingerprint = one.fingerprint
    return entries


def _broken(
    directory: PluginDirectory,
    dropin: Dropin,
    one: Known | None,
    other: Failure | None,
    cached: Cached,
) -> Broken:
    failure = other or (one.failure if one is not None else None) or UNSTABLE
    owner = None if one is None else name_in(one.owner)
    news = one is None or (one.why is not None and not _known_as_broken(dropin, one, cached))
    path = directory.paths[dropin.module]
    return Broken(dropin.module, failure.error, failure.traceback, owner, path, news)


def _known_as_broken(dropin: Dropin, one: Known, cached: Cached) -> bool:
    """Whether it was tried again, since what it lacks may be there by now, to the same end."""
    values = None if cached.record is None else cached.record.dropins.get(dropin.module)
    if values is None:
        return False
    before, now = DropinRecord(*values), one.record()
    return (now.fingerprint, now.error) == (before.fingerprint, before.error)


def _changes(known: list[tuple[Dropin, Known | None]], cached: Cached) -> list[tuple[str, str]]:
    changes = [
        (dropin.module, one.why) for dropin, one in known if one is not None and one.why is not None
    ]
    if cached.record is not None:
        present = {dropin.module for dropin, _ in known}
        changes += [(name, "it is gone") for name in cached.record.dropins if name not in present]
    return changes
