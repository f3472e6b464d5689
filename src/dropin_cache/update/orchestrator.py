"""The write path: find plugin packages, import their drop-ins in a child, write their caches."""

from __future__ import annotations

import time

from dropin_cache.errors import UnreadableError
from dropin_cache.update.clean import clean, forget
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.facts import Progress
from dropin_cache.update.refresh import refresh
from dropin_cache.update.report import DirectoryReport, Report, Request
from dropin_cache.update.session import Session, open_session
from dropin_cache.update.state import quick_list
from dropin_cache.update.targets import Targets, open_targets

__all__ = ["Report", "Request", "clean", "update"]


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
    began = time.time_ns()
    directories: list[DirectoryReport] = []
    with open_session(request) as session:
        owners = Owners(session.request.root)
        with open_targets(session) as targets:
            for package in filter(None, targets.packages):
                try:
                    directories += refresh(session, package, owners, progress)
                except UnreadableError as error:  # what is there might hide what is elsewhere
                    targets.problems.append(error)
            if request.write and not request.packages and not request.root:
                directories += forget(session, {each.path for each in directories})
            _remember(session, targets)
        problems = (*session.settings.problems, *targets.problems)
        result = Report(session.ledger.sandbox, tuple(directories), problems)
        quick_list.keep(session, targets, result, began)
        return result


def _remember(session: Session, targets: Targets) -> None:
    """Hand on what this run has found out."""
    ledger = session.ledger
    ledger.sandbox = session.confinement.tier or ledger.sandbox
    if session.request.write:
        for probe in targets.probes:
            modules = [
                module
                for record in ledger.directories.values()
                if probe.memory.key in record.pythons
                for module in record.dropins
            ]
            probe.memory.keep(modules)
        ledger.save()
