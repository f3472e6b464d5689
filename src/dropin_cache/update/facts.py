"""What is known of plugin modules: from the ledger where nothing has changed, else from imports."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dropin_cache._cachefile import CacheFile, read_cache_file
from dropin_cache._model import CachedDropin, Fingerprint
from dropin_cache._scan import Dropin, content_digest, fingerprint, is_fresh, is_unchanged
from dropin_cache.errors import NoSandboxError
from dropin_cache.update import references
from dropin_cache.update.discovery.directories import PluginDirectory
from dropin_cache.update.discovery.interpreters import Interpreter
from dropin_cache.update.discovery.owners import Owners, key_of
from dropin_cache.update.importing.importer import Importer, Progress
from dropin_cache.update.importing.records import Failure, Imported, Job, Outcome
from dropin_cache.update.merge import merged
from dropin_cache.update.state.ledger import DirectoryRecord, DropinRecord, Ledger, digest
from dropin_cache.update.state.observations import TICK
from dropin_cache.update.state.recorded import Recorded

UNSTABLE = Failure("its file kept changing while it was being read", passing=True)
_UNREADABLE = Failure("its file cannot be read")
_MAX_TRACEBACK = 2000  # characters kept in the ledger
_NEIGHBOUR = "another plugin module of its owner is imported again"


class Known(NamedTuple):
    """What is known of a plugin module.

    Attributes:
        fingerprint: Its file.
        stamp: The file as the ledger has it; None if it has just been written.
        entry: For the cache; None if there is none, or if the cache on disk has it.
        failure: Why it cannot be in the cache, or None.
        postponed: Why it could not be imported for the moment, though the cache still has what was
            known of it; empty if it could.
        warnings: Lines about what had to be left out.
        owner: Whose it is.
        tried: What its import was tried with, if that failed for lasting reasons.
        references: Modules of the interfaces that its plugins provide.
        why: Why it was imported; None if it was not.
    """

    fingerprint: Fingerprint
    stamp: list[int] | None
    entry: CachedDropin | None
    failure: Failure | None
    postponed: str
    warnings: tuple[str, ...]
    owner: str
    tried: str
    references: tuple[str, ...]
    why: str | None

    def record(self) -> DropinRecord:
        """Return it in the ledger's form."""
        failure = self.failure or Failure("")
        return DropinRecord(
            stamp=self.stamp,
            fingerprint=list(self.fingerprint),
            owner=self.owner,
            references=list(self.references),
            error=failure.error or self.postponed or None,
            traceback=failure.traceback[-_MAX_TRACEBACK:],
            tried=self.tried,
            warnings=list(self.warnings),
        )


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


class _Stale(NamedTuple):
    """A plugin module that has to be imported, and why."""

    directory: PluginDirectory
    dropin: Dropin
    owner: str
    why: str


class Facts:
    """Everything that a run knows of the modules of a plugin package."""

    def __init__(
        self,
        ledger: Ledger,
        recorded: dict[str, Recorded],
        owners: Owners,
        importer: Importer,
        *,
        force: bool,
    ) -> None:
        """Start with nothing.

        Args:
            ledger: What earlier runs saw.
            recorded: What it has of each interpreter, by key.
            owners: Whose the files are.
            importer: Imports what is not known.
            force: Whether to import what has not changed, too.
        """
        self._ledger, self._recorded, self._owners = ledger, recorded, owners
        self._importer, self._force = importer, force
        self._package_files: dict[str, tuple[str, str]] = {}
        self._package_owners: dict[str, str] = {}
        self._known: dict[tuple[str, Dropin], Known] = {}
        self._decoded: dict[bytes, dict[str, CachedDropin] | None] = {}

    def of(self, directory: PluginDirectory, dropin: Dropin, cached: Cached) -> Known | None:
        """Return what is known of a module; None if its file, or the cache, kept changing."""
        known = self._known.get(_key(directory, dropin))
        if known is not None and known.entry is None and known.failure is None:
            # The cache has the entry, unless another process has replaced it since.
            return known if cached.record is not None else None
        return known

    def learn(
        self,
        directories: Sequence[PluginDirectory],
        package_files: dict[str, tuple[str, str]],
        since: int,
        progress: Progress,
    ) -> None:
        """Find out about the modules that are not known, except those that change meanwhile.

        Args:
            directories: Where they are.
            package_files: The file of the plugin package itself and its import root, by the keys of
                interpreters.
            since: When the run began, nanoseconds since the epoch.
            progress: Called before each import with its number, their count and the name.
        """
        usable = [each for each in directories if each.refusal is None]
        self._package_files = package_files
        stale = self._stale(usable)
        if not stale:
            return
        fingerprints = [fingerprint(each.dropin) for each in stale]
        done = self._import(stale, progress)
        for each, taken in zip(stale, fingerprints):
            self._take(each, taken, done, since)

    def decoded(self, file: CacheFile | None) -> dict[str, CachedDropin] | None:
        """Return what is in a cache; None if it is none."""
        if file is None:
            return None
        if file.data not in self._decoded:
            self._decoded[file.data] = file.dropins()
        return self._decoded[file.data]

    def cached(self, directory: PluginDirectory) -> Cached:
        """Read a directory's cache."""
        file = _cache_of(directory)
        record = self._ledger.directories.get(directory.directory)
        if record is None:
            return Cached(file, None, "it is new")
        if record.pythons != [each.key for each in directory.interpreters]:
            return Cached(file, None, "other interpreters import it now")
        if record.cache != (file and digest(file.data)):
            return Cached(file, None, "the cache is not what was written last")
        return Cached(file, record, "")

    def _stale(self, directories: Sequence[PluginDirectory]) -> list[_Stale]:
        """Take from the ledger what still holds, and return the rest with why it does not."""
        every: list[tuple[PluginDirectory, Dropin, DropinRecord | None, str | None]] = []
        for directory in directories:
            cached = self.cached(directory)
            for dropin in directory.dropins:
                if self.of(directory, dropin, cached) is None:
                    record, why = self._recall(directory, dropin, cached)
                    every.append((directory, dropin, record, why))
        if all(why is None for _, _, _, why in every):
            for directory, dropin, record, _ in every:
                self._keep(directory, dropin, record, "")
            return []
        owners = self._owners_of(every)
        again = {
            (key, owner)
            for (directory, dropin, _, why), owner in zip(every, owners)
            for key in directory.seen_by[dropin.module]
            if why is not None
        }
        stale = []
        for (directory, dropin, record, why), owner in zip(every, owners):
            keys = directory.seen_by[dropin.module]
            if why is None and not any((key, owner) in again for key in keys):
                self._keep(directory, dropin, record, owner)
            else:
                stale.append(_Stale(directory, dropin, owner, why or _NEIGHBOUR))
        return stale

    def _recall(
        self, directory: PluginDirectory, dropin: Dropin, cached: Cached
    ) -> tuple[DropinRecord | None, str | None]:
        """Return what the ledger has of a module, and why it does not hold; None if it does."""
        values = None if cached.record is None else cached.record.dropins.get(dropin.module)
        record = None if values is None else DropinRecord(*values)
        if self._force:
            return record, "this was asked for"
        if cached.record is None:
            return record, cached.why
        if record is None:
            return record, "it is new"
        if not _is_same_file(record, dropin):
            return record, "its file has changed"
        if record.error is not None and not record.tried:
            return record, "it failed before, for reasons of the moment"
        failed = record.tried if record.error is not None else None
        for key in directory.seen_by[dropin.module]:
            why = self._recorded[key].why_stale(
                directory.package, record.owner, failed, self._setting() if failed else ""
            )
            if why is not None:
                return record, why
        return record, None

    def _setting(self) -> str:
        """Return what imports would be tried with now."""
        try:
            return self._importer.setting
        except NoSandboxError:  # nothing would be tried
            return ""

    def _keep(
        self, directory: PluginDirectory, dropin: Dropin, record: DropinRecord | None, owner: str
    ) -> None:
        assert record is not None  # noqa: S101 - it holds; for the type checker
        failure = None if record.error is None else Failure(record.error, record.traceback)
        self._known[_key(directory, dropin)] = Known(
            fingerprint=Fingerprint(*record.fingerprint),
            stamp=_stamp(dropin),
            entry=None,
            failure=failure,
            postponed="",
            warnings=tuple(record.warnings),
            owner=owner or record.owner,
            tried=record.tried,
            references=tuple(record.references),
            why=None,
        )

    def _owners_of(
        self, every: Iterable[tuple[PluginDirectory, Dropin, DropinRecord | None, str | None]]
    ) -> list[str]:
        """Find out whose modules are, if owners are kept apart."""
        every = list(every)
        if not self._importer.keeps_apart:
            return [""] * len(every)
        found: dict[tuple[str, str], str] = {}
        unknown: dict[str, list[str]] = {}
        for directory, dropin, record, _ in every:
            path = directory.paths[dropin.module]
            same = record is not None and record.stamp == _stamp(dropin)
            if (
                record is not None
                and record.owner
                and (same or self._owners.still_owns(record.owner, path))
            ):
                found[directory.import_root, path] = record.owner
            else:
                unknown.setdefault(directory.import_root, []).append(path)
        # Where a package has just been imported, its owner's modules can go on.
        warm = self._importer.warm
        here = {key: each for key, each in self._package_files.items() if key in warm}
        for path, root in here.values():
            unknown.setdefault(root, []).append(path)
        for root, paths in unknown.items():
            for path, owner in self._owners.owners_of(paths, [root]).items():
                found[root, path] = key_of(owner, path, root)
        self._package_owners = {key: found[root, path] for key, (path, root) in here.items()}
        return [
            found[directory.import_root, directory.paths[dropin.module]]
            for directory, dropin, _, _ in every
        ]

    def _import(
        self, stale: Sequence[_Stale], progress: Progress
    ) -> dict[tuple[str, str], Outcome]:
        """Have the interpreters import modules; return what each of them found of each module."""
        interpreters: dict[str, Interpreter] = {}
        modules: dict[tuple[str, str, str], set[str]] = {}
        for each in stale:
            interpreters.update((one.key, one) for one in each.directory.interpreters)
            if each.dropin.module not in each.directory.refused:
                for key in each.directory.seen_by[each.dropin.module]:
                    of = key, each.directory.package, each.owner
                    modules.setdefault(of, set()).add(each.dropin.module)
        jobs = [Job(*of, tuple(sorted(names))) for of, names in modules.items()]
        done = self._importer.import_all(
            list(interpreters.values()), jobs, self._package_owners, progress
        )
        for job, imported in done.items():
            self._recorded[job.interpreter].note_owner(job.package, job.owner, imported.observed)
        return self._outcomes(done, interpreters)

    def _outcomes(
        self, done: dict[Job, Imported], interpreters: dict[str, Interpreter]
    ) -> dict[tuple[str, str], Outcome]:
        """Return what was found, without interfaces that no other process could reach."""
        reachable = references.reachable(
            {
                key: [each for job, each in done.items() if job.interpreter == key]
                for key in {job.interpreter for job in done}
            },
            interpreters,
            self._recorded,
            self._importer,
            self._owners,
        )
        return {
            (job.interpreter, module): references.without_unreachable(
                module, outcome, reachable[job.interpreter]
            )
            for job, imported in done.items()
            for module, outcome in imported.outcomes.items()
        }

    def _take(
        self,
        stale: _Stale,
        taken: Fingerprint | None,
        done: dict[tuple[str, str], Outcome],
        since: int,
    ) -> None:
        """Keep what was found out about a module."""
        directory, dropin = stale.directory, stale.dropin
        refusal = directory.refused.get(dropin.module)
        if refusal is not None:
            found: list[tuple[str, Outcome]] = [("", Failure(str(refusal)))]
        elif taken is None and is_unchanged(dropin):
            found = [("", _UNREADABLE)]
        elif taken is None or not is_unchanged(dropin):
            return  # perhaps it is stable when this is tried again
        else:
            pythons = {each.key: each.python for each in directory.interpreters}
            # Interpreters can have different modules of one name, in different places.
            found = [
                (pythons[key], done[key, dropin.module]) for key in directory.seen_by[dropin.module]
            ]
        entry, warnings = merged(dropin.module, taken or Fingerprint(0, 0, ""), found)
        failures = [each for _, each in found if isinstance(each, Failure)]
        failure = failures[0] if entry is None else None
        postponed = ""
        if failure is not None and failure.passing and taken is not None:
            entry = self._still_right(directory, dropin)
            if entry is not None:
                postponed, failure = failure.error, None
                warnings = (f"{dropin.module} keeps what its cache says: {postponed}",)
        # A module of which one interpreter could not tell for the moment is tried again, too.
        lasting = not any(each.passing for each in failures)
        # A file that cannot be read can be another time without being another file.
        settled = taken is not None and dropin.ctime_ns < since - TICK
        owner = stale.owner
        if failure is not None and not owner:
            path = directory.paths[dropin.module]
            named = self._owners.owner_of(path, [directory.import_root])
            owner = key_of(named, path, directory.import_root)
        self._known[_key(directory, dropin)] = Known(
            fingerprint=taken or Fingerprint(0, 0, ""),
            stamp=_stamp(dropin) if settled else None,
            entry=entry,
            failure=failure,
            postponed=postponed,
            warnings=warnings,
            owner=owner,
            tried=self._setting() if failures and lasting else "",
            references=tuple(
                sorted({name.module for each in entry.plugins for name in each.references})
            )
            if entry is not None
            else (),
            why=stale.why,
        )

    def _still_right(self, directory: PluginDirectory, dropin: Dropin) -> CachedDropin | None:
        """Return what the cache on disk says of a module, if that is about its file."""
        file = _cache_of(directory)
        entry = (self.decoded(file) or {}).get(dropin.key)
        if file is None or entry is None or entry.moduleName != dropin.module:
            return None
        return entry if is_fresh(entry.fingerprint, dropin, file.mtime) else None


def _cache_of(directory: PluginDirectory) -> CacheFile | None:
    """Read the cache of a directory, without following a link that is there in its stead."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory.handle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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


def _stamp(dropin: Dropin) -> list[int]:
    return [dropin.size, dropin.mtime_ns, dropin.ctime_ns, dropin.inode]


def _key(directory: PluginDirectory, dropin: Dropin) -> tuple[str, Dropin]:
    # The handle is another one in each survey.
    return directory.directory, dropin._replace(path="")
