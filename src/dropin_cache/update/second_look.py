"""A look at what a run has left, so that the next update and every check can be quick.

Whatever was written is compared once more, as a check does it; what holds then is noted in a list.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from typing import Callable

from dropin_cache._scan import CACHE_NAME
from dropin_cache.errors import UnreadableError
from dropin_cache.update.comparison import compare
from dropin_cache.update.report import DirectoryReport, Report, Said
from dropin_cache.update.session import Session
from dropin_cache.update.settings import configuration
from dropin_cache.update.staleness import Staleness
from dropin_cache.update.state import quick_list
from dropin_cache.update.state.observations import TICK, stamp_of
from dropin_cache.update.state.quick_list import Seen
from dropin_cache.update.targets import Targets

Summary = Callable[[Report], Said]


def look_again(  # noqa: PLR0913, PLR0917 - all that a run had to do with
    session: Session,
    targets: Targets,
    staleness: Staleness,
    paths: Sequence[str],
    result: Report,
    summary: Summary,
) -> None:
    """Note what a run was about that was about everything, if it has left nothing to do.

    Args:
        session: The run.
        targets: What it was about.
        staleness: What the next run will know.
        paths: What tells whether what is known of interpreters holds.
        result: What the run has done.
        summary: Says what a check says.
    """
    if not quick_list.is_done(result):
        return
    # What changes from now on is to have another date than what was written.
    latest = max(map(_last_change, result.directories), default=0)
    time.sleep(max(0, latest + TICK - time.time_ns()) / 1e9)
    looked = time.time_ns()
    with contextlib.suppress(UnreadableError):
        directories = [
            each
            for package in filter(None, targets.packages)
            for each in compare(session, staleness, package)
        ]
        checked = result._replace(directories=tuple(directories))
        if not quick_list.is_settled(result, checked):
            return
        # Others than root have the running interpreter alone.
        alike = len(targets.interpreters) == 1 and quick_list.is_for_all(checked)
        packages = [
            (each.package, each.search_path or (), each.import_roots)
            for package in targets.packages
            for each in package
        ]
        quick_list.keep(
            session.files,
            session.ledgers,
            Seen(session.began, [*configuration.paths(), *paths]),
            Seen(looked, list(quick_list.paths_of(packages, result))),
            quick_list.said(packages, summary(checked)) if alike else (),
        )


def _last_change(directory: DirectoryReport) -> int:
    """Return when a directory or its cache was changed last, nanoseconds since the epoch."""
    stamps = map(stamp_of, (directory.path, os.path.join(directory.path, CACHE_NAME)))
    # What comes from a clock that is ahead is not waited for.
    now = time.time_ns()
    return max((stamp[2] for stamp in stamps if stamp is not None and stamp[2] <= now), default=0)
