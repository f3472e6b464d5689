"""Updates for tests, in each tier, and what they have imported."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from command_line import unprivileged
from conftest import NOBODY, Tree
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Report, Request

ROOT = os.geteuid() == 0

# Longer than the tick that the ledger allows for: what is newer is imported again.
SETTLED = 0.03

TIERS = ("namespace", "landlock", "none") if ROOT else ("none",)
"""The tiers in which these tests can update; without one it is as an ordinary user."""

_NEIGHBOUR = "another plugin module of its owner is imported again"


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

    @property
    def reasons(self) -> dict[str, str]:
        """The same without those that had to be only for the sake of others."""
        return {module: why for module, why in self.changes.items() if why != _NEIGHBOUR}


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


def own(tree: Tree, *names: str, root: str = "") -> None:
    """Have each of some plugin modules be brought by a distribution of its own."""
    for name in names:
        tree.write(f"{root}/{name}_owner-1.dist-info/RECORD".lstrip("/"), f"app/plugins/{name}.py")


def modules(tree: Tree) -> list[str]:
    """Return the names of all plugin modules that are files, sorted."""
    found = (path.stem for path in tree.path.glob("**/plugins/*.py"))
    return sorted({name for name in found if name != "__init__"})


def affected(tree: Tree, *names: str) -> list[str]:
    """Return what is imported if some modules have to be, each of which has an owner of its own.

    Where owners are not kept apart, that is all.
    """
    return sorted(names) if ROOT else modules(tree)


@contextlib.contextmanager
def tier_for(tier: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Be who updates in a tier, and yield the options for `run`.

    Args:
        tier: The tier; `none` is for ordinary users.
        place: A directory that everybody can reach, with all that is updated.
        monkeypatch: Sets where that user keeps things.
    """
    if not (ROOT and tier == "none"):
        yield {"sandbox": tier}
        return
    monkeypatch.setenv("HOME", str(place / "home"))
    for name in ("home", "cache", "state"):
        (place / name).mkdir(exist_ok=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))
    for path in (place, *place.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    with unprivileged():
        yield {"sandbox": tier}
