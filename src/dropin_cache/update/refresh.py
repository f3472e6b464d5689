"""Bring the caches of one plugin package up to date."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from dropin_cache._decode import is_sealed
from dropin_cache._scan import is_unchanged
from dropin_cache.errors import (
    LockTimeoutError,
    NotWrittenError,
    UnstableError,
    UntrustedError,
)
from dropin_cache.update import report
from dropin_cache.update.desired import Goal, goal_of, is_fresh
from dropin_cache.update.discovery.directories import Place, Survey, Target
from dropin_cache.update.discovery.dropin_files import possible_dropins
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.facts import Knowledge, Progress
from dropin_cache.update.files import cache_directory
from dropin_cache.update.files.atomic import prune
from dropin_cache.update.report import DirectoryReport
from dropin_cache.update.session import Session

_ATTEMPTS = 3


def refresh(
    session: Session, targets: Sequence[Target], owners: Owners, progress: Progress
) -> list[DirectoryReport]:
    """Write, or only compare, the caches of a plugin package.

    Files may change at any time. A drop-in is described only if its file was the same before and
    after the import, and a cache is written only if, with the lock held, the directory is still
    what was described; otherwise everything that changed is done again, a few times.

    Args:
        session: What to do, and with what.
        targets: The package as each interpreter sees it.
        owners: Whose the files are.
        progress: Called before each import with its number, their count and the name.

    Returns:
        A report for each directory that has a cache or should have one.
    """
    package = _Package(
        session, Knowledge(session.ledger, owners, progress, force=session.request.force)
    )
    attempt = 0
    while True:
        attempt += 1  # the last attempt settles for what it finds
        with session.survey() as survey, contextlib.suppress(UnstableError):
            reports = package.settle_all(survey.places(targets), last=attempt == _ATTEMPTS)
            if session.request.write:
                package.tidy(survey, targets)
            return reports
        for target in targets:
            target.probe.restart()  # a module that changed must be imported anew


class _Package:
    """The work on one plugin package."""

    def __init__(self, session: Session, knowledge: Knowledge) -> None:
        self._session, self._knowledge = session, knowledge
        self._request = session.request
        # States that directories got into in attempts that failed elsewhere.
        self._reached: dict[str, DirectoryReport] = {}

    def settle_all(self, places: Sequence[Place], *, last: bool) -> list[DirectoryReport]:
        """Make all caches what they should be.

        Raises:
            UnstableError: Something changed meanwhile, and this is not the last attempt.
        """
        self._knowledge.learn(places, writing=self._request.write)
        reports = []
        for place in places:
            shown = self._session.shown(place.directory)
            if place.refusal is not None:
                reports.append(_refused(place, shown))
                continue
            goal = goal_of(place, self._knowledge, shown)
            settled = self._settle(goal, last=last)
            if settled.state in {report.WRITTEN, report.REMOVED}:
                self._reached[shown] = settled
            elif settled.state == report.UNCHANGED and shown in self._reached:
                settled = self._reached[shown]
            reports.append(settled)
        return reports

    def tidy(self, survey: Survey, targets: Sequence[Target]) -> None:
        """Remove what killed runs left behind, if that can be done; the caches are right anyway."""
        for directory, handle in survey.directories(targets):
            if cache_directory.leftovers(handle):
                with (
                    contextlib.suppress(NotWrittenError, LockTimeoutError, UntrustedError),
                    self._locked(directory) as locked,
                ):
                    locked.remove_leftovers()

    def _settle(self, goal: Goal, *, last: bool) -> DirectoryReport:
        """Make a cache what it should be, if that is asked for and needed."""
        if goal.unstable and not last:
            raise UnstableError(goal.place.directory)
        found = goal.report.found
        if not self._request.write:
            return goal.report._replace(state=found)
        try:
            if found == report.FRESH and (goal.data is None or not self._request.force):
                settled = goal.report._replace(state=report.UNCHANGED)
            else:
                settled = self._write(goal)
        except UnstableError as error:
            if not last:
                raise
            return goal.report._replace(state=report.FAILED, error=error)
        except (NotWrittenError, LockTimeoutError) as error:
            return goal.report._replace(state=report.FAILED, error=error)
        except UntrustedError as error:
            return goal.report._replace(state=report.REFUSED, error=error)
        self._note(goal)
        return settled

    def _note(self, goal: Goal) -> None:
        records = self._session.ledger.directories
        if goal.place.dropins:
            records[goal.place.directory] = goal.record
        else:
            records.pop(goal.place.directory, None)

    def _write(self, goal: Goal) -> DirectoryReport:
        """Write or remove a cache and return what became of it."""
        place = goal.place
        keep_time = self._request.root is not None  # so that equal images stay equal
        with self._locked(place.directory) as directory:
            if not directory.is_same(place.handle) or not _is_unchanged(goal):
                raise UnstableError(place.directory)
            file = directory.read()
            if not self._request.force and is_fresh(place, file, *goal[1:3]):
                return goal.report._replace(state=report.UNCHANGED)  # somebody else was quicker
            if goal.data is not None and goal.newest is not None:
                directory.replace(goal.data, goal.newest, keep_time=keep_time)
                return goal.report._replace(state=report.WRITTEN)
            directory.remove(keep_time=keep_time)
        pruned: list[str] = []
        if file is not None and is_sealed(file.data) and place.import_root:
            pruned = prune(
                self._session.files, place.import_root, place.directory, keep_time=keep_time
            )
        return goal.report._replace(
            state=report.REMOVED, pruned=tuple(map(self._session.shown, pruned))
        )

    def _locked(
        self, directory: str
    ) -> contextlib.AbstractContextManager[cache_directory.CacheDirectory]:
        return cache_directory.open_locked(
            directory, self._session.lock_timeout, self._session.files
        )


def _refused(place: Place, shown: str) -> DirectoryReport:
    return DirectoryReport(
        path=shown,
        package=place.package,
        python=place.probes[0].python,
        state=report.REFUSED,
        found=report.REFUSED,
        error=place.refusal,
    )


def _is_unchanged(goal: Goal) -> bool:
    """Tell whether a directory still is what was described, but for what never stands still."""
    place = goal.place
    ignored = {module.rpartition(".")[2] for module in goal.unstable}
    before, now = (
        [name for name in names if name.partition(".")[0] not in ignored]
        for names in (place.names, possible_dropins(place.handle))
    )
    return before == now and all(
        is_unchanged(dropin) for dropin in place.dropins if dropin.module not in goal.unstable
    )
