"""What is known of drop-ins: from the ledger where nothing has changed, else from an import."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from typing import Callable, NamedTuple

from dropin_cache._cachefile import CacheFile, read_cache_file
from dropin_cache._model import CachedDropin, Fingerprint
from dropin_cache._scan import Dropin, content_digest, fingerprint, is_unchanged
from dropin_cache.update.discovery.directories import Place
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.files import lock
from dropin_cache.update.importing.importer import Outcome
from dropin_cache.update.importing.multiplex import OTHERS_FIRST, Turn
from dropin_cache.update.importing.records import Failure
from dropin_cache.update.merge import agreed
from dropin_cache.update.state.ledger import (
    TICK,
    DirectoryRecord,
    DropinRecord,
    Ledger,
    Stamp,
    digest,
)

Progress = Callable[[int, int, str], object]

UNSTABLE = Failure("its file kept changing while it was being read")
_UNREADABLE = Failure("its file cannot be read")
_MAX_TRACEBACK = 2000  # characters kept in the ledger


class Known(NamedTuple):
    """What is known of a drop-in.

    Attributes:
        fingerprint: Its file.
        stamp: The file as the ledger has it; None if it has just been written.
        entry: For the cache; None if there is none, or if the cache on disk has it.
        failure: Why it cannot be in the cache, or None.
        warnings: Lines about what had to be left out.
        owner: The package that installed it, if it is broken and that is known.
        why: Why it was imported; None if it was not.
    """

    fingerprint: Fingerprint
    stamp: Stamp | None
    entry: CachedDropin | None
    failure: Failure | None
    warnings: tuple[str, ...]
    owner: str | None
    why: str | None

    def record(self) -> DropinRecord:
        """Return it in the ledger's form."""
        error, traceback = self.failure or (None, "")
        return DropinRecord(
            self.stamp,
            list(self.fingerprint),
            error,
            traceback[-_MAX_TRACEBACK:],
            self.owner,
            list(self.warnings),
        )


class Cached(NamedTuple):
    """A place's cache on disk, and what the ledger says of it.

    Attributes:
        file: The file, or None.
        record: What the ledger has, if that is about this very file.
        why: Why there is no such record.
    """

    file: CacheFile | None
    record: DirectoryRecord | None
    why: str


class Knowledge:
    """Everything that a run knows of the drop-ins of a package."""

    def __init__(self, ledger: Ledger, owners: Owners, progress: Progress, *, force: bool) -> None:
        """Start with nothing.

        Args:
            ledger: What earlier runs saw.
            owners: Whose the files are.
            progress: Called before each import with its number, their count and the name.
            force: Whether to import what has not changed, too.
        """
        self._ledger, self._owners, self._progress = ledger, owners, progress
        self._force = force
        self._known: dict[tuple[str, Dropin], Known] = {}
        self._decoded: dict[bytes, dict[str, CachedDropin] | None] = {}

    def of(self, place: Place, dropin: Dropin, cached: Cached) -> Known | None:
        """Return what is known of a drop-in; None if its file, or the cache, kept changing."""
        known = self._known.get(_key(place, dropin))
        if known is not None and known.entry is None and known.failure is None:
            # The cache has the entry, unless another process has replaced it since.
            return known if cached.record is not None else None
        return known

    def learn(self, places: Sequence[Place], *, writing: bool) -> None:
        """Find out about the drop-ins that are not known, except those that change meanwhile.

        Args:
            places: Where they are.
            writing: Whether caches will be written if they are not right.
        """
        new: list[tuple[Place, Dropin, str]] = []
        for place in places:
            if place.refusal is None:
                cached = self.cached(place)
                for dropin in place.dropins:
                    if self.of(place, dropin, cached) is None:
                        why = self._recall(place, dropin, cached)
                        if why is not None:
                            new.append((place, dropin, why))
        changed = {place.directory: place for place, _, _ in new}
        self._describe(new, self._prepared(changed.values(), writing=writing))

    def decoded(self, file: CacheFile | None) -> dict[str, CachedDropin] | None:
        """Return what is in a cache; None if it is none."""
        if file is None:
            return None
        if file.data not in self._decoded:
            self._decoded[file.data] = file.dropins()
        return self._decoded[file.data]

    def cached(self, place: Place) -> Cached:
        """Read a place's cache."""
        file = _cache_of(place)
        record = self._ledger.directories.get(place.directory)
        if record is None:
            return Cached(file, None, "it is new")
        if record.pythons != [probe.memory.key for probe in place.probes]:
            return Cached(file, None, "other interpreters import it now")
        if record.cache != (file and digest(file.data)):
            return Cached(file, None, "the cache is not what was written last")
        return Cached(file, record, "")

    def _recall(self, place: Place, dropin: Dropin, cached: Cached) -> str | None:
        """Take from the ledger what still holds; return why nothing does."""
        if self._force:
            return "this was asked for"
        if cached.record is None:
            return cached.why
        values = cached.record.dropins.get(dropin.module)
        if values is None:
            return "it is new"
        record = DropinRecord(*values)
        if not _is_same_file(record, dropin):
            return "its file has changed"
        for probe in place.seen_by[dropin.module]:
            why = probe.memory.why_stale(dropin.module, failed=record.error is not None)
            if why is not None:
                return why
        self._known[_key(place, dropin)] = Known(
            fingerprint=Fingerprint(*record.fingerprint),
            stamp=_stamp(dropin),
            entry=None,
            failure=None if record.error is None else Failure(record.error, record.traceback),
            warnings=tuple(record.warnings),
            owner=record.owner,
            why=None,
        )
        return None

    def _prepared(self, places: Iterable[Place], *, writing: bool) -> Turn[None]:
        """Do, while children import drop-ins, what else it takes to make new caches."""
        if writing:
            lock.load()
        for place in places:
            yield OTHERS_FIRST
            cached = self.cached(place)
            if cached.record is not None:  # else all of it is new
                self.decoded(cached.file)

    def _describe(self, new: Sequence[tuple[Place, Dropin, str]], meanwhile: Turn[None]) -> None:
        began = time.time_ns()
        fingerprints = [fingerprint(dropin) for _, dropin, _ in new]
        outcomes = self._imported(new, meanwhile)
        for (place, dropin, why), taken in zip(new, fingerprints):
            refusal = place.refused.get(dropin.module)
            if refusal is not None:
                found: list[tuple[str, Outcome]] = [("", Failure(str(refusal)))]
            elif taken is None and is_unchanged(dropin):
                found = [("", _UNREADABLE)]
            elif taken is None or not is_unchanged(dropin):
                continue  # perhaps it is stable when this is tried again
            else:
                # Interpreters can have different drop-ins of one name, in different places.
                found = [
                    outcomes[id(probe), dropin.module] for probe in place.seen_by[dropin.module]
                ]
            known = self._merged(place, dropin, taken or Fingerprint(0, 0, ""), found, why)
            # A file that cannot be read can be another time without being another file.
            settled = taken is not None and dropin.ctime_ns < began - TICK
            stamp = _stamp(dropin) if settled else None
            self._known[_key(place, dropin)] = known._replace(stamp=stamp)

    def _imported(
        self, new: Sequence[tuple[Place, Dropin, str]], meanwhile: Turn[None]
    ) -> dict[tuple[int, str], tuple[str, Outcome]]:
        """Have the interpreters import drop-ins; return what each of them found of each module."""
        outcomes: dict[tuple[int, str], tuple[str, Outcome]] = {}
        wanted: dict[int, list[str]] = {}
        probes = {id(probe): probe for place, _, _ in new for probe in place.probes}
        for place, dropin, _ in new:
            if dropin.module not in place.refused:
                for probe in place.seen_by[dropin.module]:
                    wanted.setdefault(id(probe), []).append(dropin.module)
        for identity, modules in wanted.items():
            probe = probes[identity]
            for module, outcome in probe.describe(modules, self._progress, [meanwhile]).items():
                outcomes[identity, module] = probe.python, outcome
        return outcomes

    def _merged(
        self,
        place: Place,
        dropin: Dropin,
        taken: Fingerprint,
        answers: Sequence[tuple[str, Outcome]],
        why: str,
    ) -> Known:
        """Make one of what several interpreters found."""
        entry, warnings = agreed(dropin.module, taken, answers)
        if entry is not None:
            return Known(taken, None, entry, None, warnings, None, why)
        failure = next(each for _, each in answers if isinstance(each, Failure))
        path = os.path.join(place.directory, os.path.basename(dropin.path))
        owner = self._owners.owner_of(path, [place.import_root])
        return Known(taken, None, None, failure, (), None if owner is None else owner.name, why)


def _cache_of(place: Place) -> CacheFile | None:
    """Read the cache of a place, without following a link that is there in its stead."""
    with contextlib.suppress(OSError):
        descriptor = os.open(place.handle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return read_cache_file(descriptor)
        finally:
            os.close(descriptor)
    return None


def _is_same_file(record: DropinRecord, dropin: Dropin) -> bool:
    if record.stamp == _stamp(dropin):
        return True
    size, mtime_ns, taken = record.fingerprint
    # A package that is installed again brings the same file under another inode. One that only
    # has another date is imported: that makes the new cache right in the simplest way.
    return (dropin.size, dropin.mtime_ns) == (size, mtime_ns) and (
        content_digest(dropin.path) == taken
    )


def _stamp(dropin: Dropin) -> Stamp:
    return [dropin.size, dropin.mtime_ns, dropin.ctime_ns, dropin.inode]


def _key(place: Place, dropin: Dropin) -> tuple[str, Dropin]:
    # The handle is another one in each survey.
    return place.directory, dropin._replace(path="")
