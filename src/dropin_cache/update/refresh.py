"""Bring the caches of one plugin package up to date."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence

from dropin_cache._decode import is_sealed
from dropin_cache._scan import is_unchanged
from dropin_cache.errors import (
    LockTimeoutError,
    NotWrittenError,
    UnstableError,
    UntrustedError,
)
from dropin_cache.update import report
from dropin_cache.update.comparison import compared, refused
from dropin_cache.update.desired import DesiredCache, desired_cache
from dropin_cache.update.discovery.directories import PluginDirectory, Target
from dropin_cache.update.discovery.dropin_files import cache_in, possible_dropins
from dropin_cache.update.discovery.foreign import foreign_directories
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.environments import Environments
from dropin_cache.update.facts import Facts
from dropin_cache.update.files import cache_directory
from dropin_cache.update.files.atomic import prune
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing.importer import Importer, Progress
from dropin_cache.update.report import DirectoryReport
from dropin_cache.update.session import Session, survey

_ATTEMPTS = 3


def refresh(  # noqa: PLR0913, PLR0917 - what a run has found out, and with what it does so
    session: Session,
    environments: Environments,
    importer: Importer,
    owners: Owners,
    targets: Sequence[Target],
    progress: Progress,
) -> list[DirectoryReport]:
    """Write the caches of a plugin package.

    Files may change at any time. A module is described only if its file was the same before and
    after the import, and a cache is written only if, with the lock held, the directory is still
    what was described; otherwise everything that changed is done again, a few times.

    Args:
        session: What to do, and with what.
        environments: What is known of the interpreters.
        importer: Imports modules.
        owners: Whose the files are.
        targets: The package as each interpreter sees it.
        progress: Called before each import with its number, their count and the name.

    Returns:
        A report for each directory that has a cache or should have one.
    """
    facts = Facts(
        session.ledgers,
        environments.recorded,
        owners,
        importer,
        force=session.request.force,
        unchecked=session.unchecked,
    )
    package = _Package(session, facts)
    attempt = 0
    while True:
        attempt += 1  # the last attempt takes what it finds
        with survey(session) as found, contextlib.suppress(UnstableError):
            directories = found.plugin_directories(targets)
            foreign = set() if session.privileged else foreign_directories(directories, targets)
            # What cannot be written need not be known.
            directories = [each for each in directories if each.directory not in foreign]
            wanted = [each for each in directories if not package.leave(each)]
            files = _package_files(targets, session.unchecked)
            facts.learn(wanted, files, session.began, progress)
            reports = package.write_all(directories, last=attempt == _ATTEMPTS)
            package.tidy(found.trusted_directories(targets))
            return [*reports, *_unknown(foreign, targets)]
        importer.restart()  # a module that changed must be imported anew


def _unknown(foreign: Collection[str], targets: Sequence[Target]) -> Iterator[DirectoryReport]:
    """Name what was not looked at because it is not this user's."""
    package, python = targets[0].package, targets[0].interpreter.python
    for path in sorted(foreign):
        yield DirectoryReport(path, package, python, report.UNCHANGED, "", foreign=True)


class _Package:
    """The work on one plugin package."""

    def __init__(self, session: Session, facts: Facts) -> None:
        self._session, self._facts = session, facts
        self._request = session.request
        # States that directories got into in attempts that failed elsewhere.
        self._reached: dict[str, DirectoryReport] = {}
        # Those of which nothing has to be found out.
        self._left: dict[str, DirectoryReport] = {}

    def leave(self, directory: PluginDirectory) -> bool:
        """Decide whether to leave a cache alone that cannot be replaced and is what readers need.

        On a read-only system an update has nothing to do then, and what another user looks after
        is not this user's failure.
        """
        self._left.pop(directory.directory, None)
        writable = cache_directory.is_writable(directory.handle)
        if directory.refusal is None and not writable and not self._request.force:
            found = compared(directory, self._session, self._facts.staleness)
            if found.state == report.FRESH:
                done = found._replace(state=report.UNCHANGED, remarks=(), further=())
                self._left[directory.directory] = done
        return directory.directory in self._left

    def write_all(
        self, directories: Sequence[PluginDirectory], *, last: bool
    ) -> list[DirectoryReport]:
        """Make all caches what they should be.

        Raises:
            UnstableError: Something changed meanwhile, and this is not the last attempt.
        """
        reports = []
        for directory in directories:
            shown = self._session.shown(directory.directory)
            if directory.refusal is not None:
                reports.append(refused(directory, shown))
                continue
            if directory.directory in self._left:
                reports.append(self._left[directory.directory])
                continue
            done = self._make_so(desired_cache(directory, self._facts, shown), last=last)
            if done.state in {report.WRITTEN, report.REMOVED}:
                self._reached[shown] = done
            elif done.state == report.UNCHANGED and shown in self._reached:
                done = self._reached[shown]
            reports.append(done)
        return reports

    def tidy(self, directories: Sequence[tuple[str, str]]) -> None:
        """Remove what killed runs left behind, if that can be done; the caches are right anyway.

        Args:
            directories: Path and handle of each.
        """
        for directory, handle in directories:
            if cache_directory.leftovers(handle):
                with (
                    contextlib.suppress(NotWrittenError, LockTimeoutError, UntrustedError),
                    self._session.locked(directory, waits=False) as locked,
                ):
                    locked.remove_leftovers()

    def _make_so(self, cache: DesiredCache, *, last: bool) -> DirectoryReport:
        """Make a cache what it should be, if that is needed."""
        if cache.unstable and not last:
            raise UnstableError(cache.directory.directory)
        found = cache.report.found
        try:
            if found == report.FRESH and (cache.data is None or not self._request.force):
                done = cache.report._replace(state=report.UNCHANGED)
                self._date(cache)
            else:
                done = self._write(cache)
        except UnstableError as error:
            if not last:
                raise
            return cache.report._replace(state=report.FAILED, error=error)
        except (NotWrittenError, LockTimeoutError) as error:
            return cache.report._replace(state=report.FAILED, error=error)
        except UntrustedError as error:
            return cache.report._replace(state=report.REFUSED, error=error)
        self._note(cache)
        return done

    def _date(self, cache: DesiredCache) -> None:
        """Give a cache that is right the times of one that is written now, if that can be done.

        Readers take it in any case. They are quicker if no plugin module has been put there later,
        and Twisted wants it to be the newest.
        """
        known = cache.directory
        if cache.data is None or cache.newest is None or cache.is_dated(cache_in(known.handle)):
            return
        with (
            contextlib.suppress(NotWrittenError, LockTimeoutError, UntrustedError),
            self._session.locked(known.directory, waits=False) as directory,
        ):
            directory.date(cache.data, cache.newest)

    def _note(self, cache: DesiredCache) -> None:
        directory = cache.directory
        record = cache.record if directory.dropins else None
        self._session.ledgers.note(directory.directory, directory.interpreters, record)

    def _write(self, cache: DesiredCache) -> DirectoryReport:
        """Write or remove a cache and return what became of it."""
        known = cache.directory
        keep_time = self._request.root is not None  # so that equal images stay equal
        with self._session.locked(known.directory) as directory:
            if not directory.is_same(known.handle) or not _is_unchanged(cache):
                raise UnstableError(known.directory)
            file = directory.read()
            if not self._request.force and cache.is_on_disk(file):
                return cache.report._replace(state=report.UNCHANGED)  # somebody else was quicker
            if cache.data is not None and cache.newest is not None:
                directory.replace(cache.data, cache.newest, keep_time=keep_time)
                return cache.report._replace(state=report.WRITTEN)
            directory.remove(keep_time=keep_time)
        pruned: list[str] = []
        if file is not None and is_sealed(file.data) and known.import_root:
            pruned = prune(
                self._session.files, known.import_root, known.directory, keep_time=keep_time
            )
        return cache.report._replace(
            state=report.REMOVED, pruned=tuple(map(self._session.shown, pruned))
        )


def _package_files(targets: Sequence[Target], files: Files) -> dict[str, tuple[str, str]]:
    """Return the file of the plugin package itself and its import root, by interpreters' keys."""
    found: dict[str, tuple[str, str]] = {}
    for target in targets:
        for root in target.import_roots:
            file = os.path.join(root, *target.package.split("."), "__init__.py")
            if files.kind(file):
                found.setdefault(target.interpreter.key, (file, root))
    return found


def _is_unchanged(cache: DesiredCache) -> bool:
    """Tell whether a directory still is what was described, but for what never stands still."""
    known = cache.directory
    ignored = {module.rpartition(".")[2] for module in cache.unstable}
    before, now = (
        [name for name in names if name.partition(".")[0] not in ignored]
        for names in (known.names, possible_dropins(known.handle))
    )
    return before == now and all(
        is_unchanged(dropin) for dropin in known.dropins if dropin.module not in cache.unstable
    )
