"""What is known of plugin modules: from the ledger where nothing has changed, else from imports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from dropin_cache._cachefile import CacheFile
from dropin_cache._model import CachedDropin, Fingerprint
from dropin_cache._scan import Dropin, fingerprint, is_described, is_unchanged, recorded_time
from dropin_cache.update.discovery.directories import PluginDirectory
from dropin_cache.update.discovery.owners import Owners, key_of
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing.importer import Importer, Progress
from dropin_cache.update.importing.records import Failure, Job, Outcome
from dropin_cache.update.merge import judged
from dropin_cache.update.references import References
from dropin_cache.update.staleness import (
    Divided,
    Fresh,
    Stale,
    Staleness,
    Unknown,
    stamp_of_dropin,
)
from dropin_cache.update.state.cached import Cached
from dropin_cache.update.state.ledger import DropinRecord
from dropin_cache.update.state.ledgers import Ledgers
from dropin_cache.update.state.observations import TICK, Look, Observed
from dropin_cache.update.state.recorded import Recorded

UNSTABLE = Failure("its file kept changing while it was being read", passing=True)
_UNREADABLE = Failure("its file cannot be read")
_NO_FINGERPRINT = Fingerprint(0, 0, "")
_MAX_TRACEBACK = 2000  # characters kept in the ledger

_Key = tuple[Any, ...]  # of a plugin module and its file


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


class Facts:
    """Everything that a run knows of the modules of a plugin package.

    Attributes:
        staleness: What has to be imported.
    """

    def __init__(  # noqa: PLR0913 - what a run has found out, and with what it does so
        self,
        ledgers: Ledgers,
        recorded: dict[str, Recorded],
        owners: Owners,
        importer: Importer,
        *,
        force: bool,
        unchecked: Files,
    ) -> None:
        """Start with nothing.

        Args:
            ledgers: What earlier runs saw.
            recorded: What they have of each interpreter, by key.
            owners: Whose the files are.
            importer: Imports what is not known.
            force: Whether to import what has not changed, too.
            unchecked: How to look at what imports could not see.
        """
        self._ledgers, self._recorded, self._owners = ledgers, recorded, owners
        self._importer, self._unchecked = importer, unchecked
        # What each import looked at, by the keys of interpreters and the names of modules.
        self._looked: dict[tuple[str, str], Observed] = {}
        self.staleness = Staleness(recorded, owners, importer, force=force)
        self._known: dict[_Key, Known] = {}
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
        unknown = []
        on_disk: dict[str, CacheFile | None] = {}
        for directory in directories:
            if directory.refusal is None:
                cached = self.cached(directory)
                on_disk[directory.directory] = cached.file
                unknown += [
                    Unknown(directory, dropin, cached.record, cached.why)
                    for dropin in directory.dropins
                    if self.of(directory, dropin, cached) is None
                ]
        divided = self.staleness.divide(unknown, package_files)
        for kept in divided.fresh:
            self._known[_key(kept.directory, kept.dropin)] = _as_recorded(kept)
        if divided.stale:
            fingerprints = [fingerprint(each.dropin) for each in divided.stale]
            done = self._import(divided, progress)
            for each, taken in zip(divided.stale, fingerprints):
                file = on_disk[each.directory.directory]
                self._take(each, taken, self._still_right(file, each.dropin, taken), done, since)

    def decoded(self, file: CacheFile | None) -> dict[str, CachedDropin] | None:
        """Return what is in a cache; None if it is none."""
        if file is None:
            return None
        if file.data not in self._decoded:
            self._decoded[file.data] = file.dropins()
        return self._decoded[file.data]

    def cached(self, directory: PluginDirectory) -> Cached:
        """Read a directory's cache."""
        return Cached.of(directory, self._ledgers)

    def _import(self, divided: Divided, progress: Progress) -> dict[tuple[str, str], Outcome]:
        """Have the interpreters import modules; return what each of them found of each module."""
        interpreters = {
            one.key: one for each in divided.stale for one in each.directory.interpreters
        }
        modules: dict[tuple[str, str, str], dict[str, str]] = {}
        for each in divided.stale:
            if each.dropin.module not in each.directory.refused:
                for key in each.directory.seen_by[each.dropin.module]:
                    of = key, each.directory.package, each.owner
                    path = each.directory.paths[each.dropin.module]
                    modules.setdefault(of, {})[each.dropin.module] = path
        jobs = [
            (interpreters[of[0]], Job(*of, tuple(sorted(names)))) for of, names in modules.items()
        ]
        references = References(self._recorded, self._importer, self._owners)
        done = self._importer.import_all(
            jobs, divided.package_owners, progress, references.follow_up
        )
        look = Look()  # after all imports, and one for all: owners have much in common
        for job, imported in done.items():
            self._looked.update(
                {(job.interpreter, each): imported.observed for each in job.modules}
            )
            # Their own files are known by their content: the same may be installed once more.
            own = modules[job.interpreter, job.package, job.owner].values()
            observed = imported.observed._replace(files=imported.observed.files - set(own))
            self._recorded[job.interpreter].note_owner(job.package, job.owner, observed, look)
        return {
            (job.interpreter, module): references.only_reachable(job.interpreter, module, outcome)
            for job, imported in done.items()
            for module, outcome in imported.outcomes.items()
        }

    def _take(
        self,
        stale: Stale,
        taken: Fingerprint | None,
        kept: CachedDropin | None,
        done: dict[tuple[str, str], Outcome],
        since: int,
    ) -> None:
        """Keep what was found out about a module."""
        directory, dropin = stale.directory, stale.dropin
        found = _found(stale, taken, done)
        if found is None:
            return  # perhaps it is stable when this is tried again
        result = judged(
            dropin.module,
            taken or _NO_FINGERPRINT,
            found,
            kept,
            lambda: self._unseen(stale),
        )
        # A file that cannot be read can be another time without being another file.
        settled = taken is not None and dropin.ctime_ns < since - TICK
        owner = stale.owner
        if result.failure is not None and not owner:
            path = directory.paths[dropin.module]
            named = self._owners.owner_of(path, [directory.import_root])
            owner = key_of(named, path, directory.import_root)
        self._known[_key(directory, dropin)] = Known(
            fingerprint=taken or _NO_FINGERPRINT,
            stamp=stamp_of_dropin(dropin) if settled else None,
            entry=result.entry,
            failure=result.failure,
            postponed=result.postponed,
            warnings=result.warnings,
            owner=owner,
            tried=self._importer.setting if result.may_change else "",
            references=_modules_of(result.entry),
            why=stale.why,
        )

    def _unseen(self, stale: Stale) -> tuple[str, ...]:
        """Return what the imports of a module and its neighbours could not see."""
        module = stale.dropin.module
        found: set[str] = set()
        for interpreter in stale.directory.interpreters:
            observed = self._looked.get((interpreter.key, module))
            if observed is not None:
                found.update(self._importer.unseen(interpreter, observed, self._unchecked))
        return tuple(sorted(found))

    def _still_right(
        self, file: CacheFile | None, dropin: Dropin, taken: Fingerprint | None
    ) -> CachedDropin | None:
        """Return what the cache on disk says of a module, if that is about its file."""
        entry = (self.decoded(file) or {}).get(dropin.key)
        if file is None or taken is None or entry is None or entry.moduleName != dropin.module:
            return None
        if not is_described(entry, dropin, file.times):
            return None
        if entry.fingerprint is None:  # Twisted's
            entry.fingerprint = taken
        return entry


def _as_recorded(kept: Fresh) -> Known:
    """Return what the ledger has of a module."""
    record = kept.record
    return Known(
        fingerprint=Fingerprint(
            kept.dropin.size, recorded_time(kept.dropin.mtime_ns), record.fingerprint[2]
        ),
        stamp=stamp_of_dropin(kept.dropin),
        entry=None,
        failure=None if record.error is None else Failure(record.error, record.traceback),
        postponed="",
        warnings=tuple(record.warnings),
        owner=record.owner,
        tried=record.tried,
        references=tuple(record.references),
        why=None,
    )


def _found(
    stale: Stale, taken: Fingerprint | None, done: dict[tuple[str, str], Outcome]
) -> list[tuple[str, Outcome]] | None:
    """Return what each interpreter found of a module; None if its file has changed meanwhile."""
    directory, dropin = stale.directory, stale.dropin
    refusal = directory.refused.get(dropin.module)
    if refusal is not None:
        return [("", Failure(str(refusal)))]
    if not is_unchanged(dropin):
        return None
    if taken is None:
        return [("", _UNREADABLE)]
    pythons = {each.key: each.python for each in directory.interpreters}
    # Interpreters can have different modules of one name, in different places.
    keys = directory.seen_by[dropin.module]
    return [(pythons[key], done[key, dropin.module]) for key in keys]


def _modules_of(entry: CachedDropin | None) -> tuple[str, ...]:
    """Return the modules of the interfaces that an entry refers to."""
    plugins = [] if entry is None else entry.plugins
    return tuple(sorted({name.module for plugin in plugins for name in plugin.references}))


def _key(directory: PluginDirectory, dropin: Dropin) -> _Key:
    # The handle is another one in each survey.
    return directory.directory, dropin.module, *stamp_of_dropin(dropin)
