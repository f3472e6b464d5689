"""What a directory's cache should be."""

from __future__ import annotations

import functools
from typing import Callable, NamedTuple, Optional

from dropin_cache._cachefile import CacheFile
from dropin_cache._decode import MAX_SIZE
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin
from dropin_cache._scan import Dropin
from dropin_cache.update import report
from dropin_cache.update.discovery.directories import Place
from dropin_cache.update.discovery.dropin_files import has_cache
from dropin_cache.update.facts import UNSTABLE, Cached, Knowledge, Known
from dropin_cache.update.files import cache_directory
from dropin_cache.update.importing.records import Failure
from dropin_cache.update.report import Broken, DirectoryReport
from dropin_cache.update.state.ledger import DirectoryRecord, digest

# Decodes the cache on disk, if nobody has yet.
_OnDisk = Callable[[], Optional["dict[str, CachedDropin]"]]


class Goal(NamedTuple):
    """What a directory's cache should be.

    Attributes:
        place: The directory and its drop-ins.
        data: The cache's bytes; None if there should be no cache.
        newest: The newest drop-in in the cache.
        unstable: Modules whose files kept changing.
        record: For the ledger, once the cache is so.
        report: The report so far.
    """

    place: Place
    data: bytes | None
    newest: Dropin | None
    unstable: frozenset[str]
    record: DirectoryRecord
    report: DirectoryReport


def goal_of(place: Place, knowledge: Knowledge, shown: str) -> Goal:
    """Make what is known of drop-ins into a cache.

    Args:
        place: The directory.
        knowledge: What is known of its drop-ins.
        shown: The directory's path for people.
    """
    cached = knowledge.cached(place)
    known = [(dropin, knowledge.of(place, dropin, cached)) for dropin in place.dropins]
    good = {each: one for each, one in known if one is not None and one.failure is None}
    on_disk: _OnDisk = functools.lru_cache(functools.partial(knowledge.decoded, cached.file))
    data, plugins, too_large = _encoded(good, cached, on_disk)
    for dropin in too_large:
        del good[dropin]
    broken = [
        _broken(place, dropin, one, too_large.get(dropin), cached)
        for dropin, one in known
        if dropin not in good
    ]
    record = DirectoryRecord(
        package=place.package,
        import_root=place.import_root,
        pythons=[probe.memory.key for probe in place.probes],
        cache=None if data is None else digest(data),
        modules=len(good),
        plugins=plugins,
        # What was left out for its size is tried again by the next run.
        dropins={
            dropin.module: list(one.record())
            for dropin, one in known
            if one is not None and dropin not in too_large
        },
    )
    newest = cache_directory.newest_of(good)
    return Goal(
        place,
        data,
        newest,
        frozenset(dropin.module for dropin, one in known if one is None),
        record,
        DirectoryReport(
            path=shown,
            package=place.package,
            python=place.probes[0].python,
            state="",
            found=_compare(place, cached.file, data, newest, on_disk),
            modules=record.modules,
            plugins=record.plugins,
            broken=tuple(broken),
            warnings=tuple(line for one in good.values() for line in one.warnings),
            changes=tuple(_changes(known, cached)),
        ),
    )


def is_fresh(
    place: Place, file: CacheFile | None, data: bytes | None, newest: Dropin | None
) -> bool:
    """Tell whether the cache on disk is what it should be."""
    if data is None or file is None:
        return data is None and not has_cache(place.handle)
    return file.data == data and cache_directory.is_canonical(file.mode, file.mtime_ns, newest)


def _compare(
    place: Place,
    file: CacheFile | None,
    data: bytes | None,
    newest: Dropin | None,
    on_disk: _OnDisk,
) -> str:
    """Say what the cache on disk is, measured by what it should be."""
    if is_fresh(place, file, data, newest):
        return report.FRESH
    if file is None and data is not None:
        return report.CORRUPT if has_cache(place.handle) else report.MISSING
    if file is None or data is None or file.data == data:
        return report.STALE
    return report.CORRUPT if on_disk() is None else report.STALE


def _encoded(
    good: dict[Dropin, Known], cached: Cached, on_disk: _OnDisk
) -> tuple[bytes | None, int, dict[Dropin, Failure]]:
    """Encode a cache.

    Returns:
        The cache, how many plugins are in it, and what is left out because it makes it too large.
    """
    unchanged = all(one.entry is None for one in good.values())
    if unchanged and cached.record is not None and cached.file is not None:
        recorded = {module for module, values in cached.record.dropins.items() if not values[2]}
        if recorded == {dropin.module for dropin in good}:
            return cached.file.data, cached.record.plugins, {}
    entries = _entries(good, on_disk)
    too_large: dict[Dropin, Failure] = {}
    while entries:
        data = encode(entries.values())
        if len(data) <= MAX_SIZE:
            return data, sum(len(entry.plugins) for entry in entries.values()), too_large
        largest = max(entries, key=lambda dropin: len(encode([entries[dropin]])))
        reason = f"with it the cache would be larger than {MAX_SIZE >> 20} MiB"
        too_large[largest] = Failure(reason)
        del entries[largest]
    return None, 0, too_large


def _entries(good: dict[Dropin, Known], on_disk: _OnDisk) -> dict[Dropin, CachedDropin]:
    """Return the entries of drop-ins; what is in the cache on disk is taken from there."""
    return {dropin: one.entry or (on_disk() or {})[dropin.key] for dropin, one in good.items()}


def _broken(
    place: Place, dropin: Dropin, one: Known | None, other: Failure | None, cached: Cached
) -> Broken:
    failure = other or (one.failure if one is not None else None) or UNSTABLE
    path = f"{place.directory}/{dropin.path.rpartition('/')[2]}"
    owner = None if one is None else one.owner
    news = one is None or (one.why is not None and not _known_as_broken(dropin, one, cached))
    return Broken(dropin.module, failure.error, failure.traceback, owner, path, news)


def _known_as_broken(dropin: Dropin, one: Known, cached: Cached) -> bool:
    """Whether it was tried again, since what it lacks may be there by now, to the same end."""
    before = cached.record.dropins.get(dropin.module) if cached.record is not None else None
    now = one.record()
    return before is not None and [now.fingerprint, now.error] == before[1:3]


def _changes(known: list[tuple[Dropin, Known | None]], cached: Cached) -> list[tuple[str, str]]:
    changes = [
        (dropin.module, one.why) for dropin, one in known if one is not None and one.why is not None
    ]
    if cached.record is not None:
        present = {dropin.module for dropin, _ in known}
        changes += [(name, "it is gone") for name in cached.record.dropins if name not in present]
    return changes
