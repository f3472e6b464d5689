"""Updates for tests, and what they have imported."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any, NamedTuple

from conftest import Tree
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Report, Request

# Longer than the tick that the ledger allows for: what is newer is imported again.
SETTLED = 0.03


class Done(NamedTuple):
    """What an update did.

    Attributes:
        report: Its report.
        imported: The modules that it imported, by their last components, sorted.
        alone: Whether it started no process at all.
    """

    report: Report
    imported: list[str]
    alone: bool

    @property
    def states(self) -> dict[str, str]:
        """The state of each directory, by its path."""
        return {each.path: each.state for each in self.report.directories}

    @property
    def changes(self) -> dict[str, str]:
        """Why what was imported had to be, by the last components of the modules."""
        return {
            module.rpartition(".")[2]: why
            for each in self.report.directories
            for module, why in each.changes
        }


def run(tree: Tree, *further: Path, **options: Any) -> Done:
    """Update the caches of the application in a tree, when all its files have settled."""
    options.setdefault("packages", ("app.plugins",))
    paths = (*map(str, further), str(tree.path))
    time.sleep(SETTLED)
    imported: list[str] = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = update(
        Request(paths=paths, **options),
        lambda _number, _count, module: imported.append(module.rpartition(".")[2]),
    )
    # A process that ran has used something, and is counted when it has been waited for.
    alone = before == resource.getrusage(resource.RUSAGE_CHILDREN)
    return Done(report, sorted(imported), alone)
