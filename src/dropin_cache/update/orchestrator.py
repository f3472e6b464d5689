"""Bring caches up to date: the steps, from the top down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dropin_cache.errors import DropinCacheError, UnreadableError, ZopeInterfaceMissingError
from dropin_cache.update import report
from dropin_cache.update.abandoned import abandoned
from dropin_cache.update.clean import forget
from dropin_cache.update.comparison import compare
from dropin_cache.update.environments import Environments
from dropin_cache.update.files import lock
from dropin_cache.update.importing.importer import Importer, Progress
from dropin_cache.update.refresh import refresh
from dropin_cache.update.report import DirectoryReport, Report, Request, Said
from dropin_cache.update.second_look import Summary, look_again
from dropin_cache.update.session import Session, open_session
from dropin_cache.update.staleness import Staleness
from dropin_cache.update.targets import find_targets

_MAX_WARNINGS = 2
_WITH_LOCK = frozenset([report.WRITTEN, report.REMOVED, report.FAILED])


def _no_summary(_: Report) -> Said:
    return Said()


def update(request: Request, progress: Progress, summary: Summary = _no_summary) -> Report:
    """Bring caches up to date, or find out whether they are.

    Args:
        request: Which, how, and whether to write.
        progress: Called before each import with its number, their count and the module's name.
        summary: Tells what `check` says of a report; that is kept for the next `check`.

    Returns:
        What became of each directory; failures of single directories are in there.

    Raises:
        DropinCacheError: The request cannot be met; nothing was written.
    """
    directories: list[DirectoryReport] = []
    problems: list[DropinCacheError] = []
    with (
        open_session(request) as session,
        Importer(
            session.confinement,
            session.files,
            session.request.root,
            session.timeout,
            # It takes as long to load as it takes to write a cache.
            meanwhile=lock.load if request.write else None,
        ) as importer,
    ):
        problems += session.settings.problems
        owners = session.owners()
        environments = Environments(session, importer, owners)
        staleness = Staleness(environments.recorded, owners, importer, force=request.force)
        try:
            targets = find_targets(session, environments)
        except ZopeInterfaceMissingError as error:
            return _without_zope(session, error)
        problems += targets.problems
        for package in filter(None, targets.packages):
            try:
                if request.write:
                    directories += refresh(
                        session, environments, importer, owners, package, progress
                    )
                else:
                    directories += compare(session, staleness, package)
            except UnreadableError as error:  # what is there might hide what is elsewhere
                problems.append(error)
        if request.write and not request.packages and not request.root:
            seen = {each.path for each in directories}
            directories += forget(session, environments, seen)
        if request.write:
            environments.save(session.confinement.tier)
        # Who only looks imports nothing, though he may have asked an interpreter how it starts.
        tiers = [session.confinement.tier, session.ledgers.sandbox]
        sandbox = next(filter(None, tiers if request.write else reversed(tiers)), None)
        warnings = [*environments.warnings, *_warnings(importer), *_obstacles(directories)]
        result = Report(sandbox, tuple(directories), tuple(problems), tuple(warnings))
        if session.privileged and session.ledgers.keeps and _is_about_everything(session):
            remembered = environments.remembered(targets.interpreters)
            anew = Staleness(remembered, owners, importer, force=False)
            look_again(session, targets, anew, list(environments.paths()), result, summary)
        return result


def _obstacles(directories: Iterable[DirectoryReport]) -> Iterator[str]:
    """Say what was in the way of the locks that a run has taken, if it has taken any."""
    if any(each.state in _WITH_LOCK for each in directories):
        yield from lock.obstacles()


def _without_zope(session: Session, error: ZopeInterfaceMissingError) -> Report:
    """Remove what was left behind when zope.interface went; if there is nothing, it is missing."""
    removed = abandoned(session, error.path) if session.request.write else []
    if not removed:
        raise error
    return Report(session.ledgers.sandbox, tuple(removed), session.settings.problems)


def _is_about_everything(session: Session) -> bool:
    # How long it may wait for others has no say in what there is to do.
    return session.request._replace(lock_timeout=None) == Request()


def _warnings(importer: Importer) -> tuple[str, ...]:
    """Say what children should have been able to see, and were not."""
    left_out = importer.left_out
    lines = [
        f"{path} is left out: .pth files and links lead to more, or deeper, than can be shown"
        for path in left_out[:_MAX_WARNINGS]
    ]
    if len(left_out) > _MAX_WARNINGS:
        lines.append(f"so are {len(left_out) - _MAX_WARNINGS} more, as far as {left_out[-1]}")
    return tuple(lines)
