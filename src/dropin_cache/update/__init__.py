"""The write path: find plugin packages, import their drop-ins in a child, write their caches."""

from __future__ import annotations

from dropin_cache.update.refresh import Progress, refresh
from dropin_cache.update.report import DirectoryReport, Report, Request
from dropin_cache.update.sandbox import Unconfined
from dropin_cache.update.targets import open_targets

__all__ = ["Report", "Request", "update"]


def update(request: Request, progress: Progress) -> Report:
    """Bring caches up to date, or find out whether they are.

    Args:
        request: Which, how, and whether to write.
        progress: Called before each import with its number, their count and the module's name.

    Returns:
        What became of each directory; failures of single directories are in there.

    Raises:
        DropinCacheError: The request cannot be met; nothing was written.
    """
    directories: list[DirectoryReport] = []
    with open_targets(request) as targets:
        for target in targets:
            directories += refresh(target, request, progress)
    return Report(Unconfined.tier, tuple(directories))
