"""Updates for tests, in each tier, and what they have imported."""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import zope.interface

import dropin_cache
from command_line import unprivileged
from conftest import NOBODY, Tree, missing
from dropin_cache.update.discovery.interpreters import environment_of
from dropin_cache.update.files.locations import state_directory
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Report, Request
from dropin_cache.update.state import ledgers

if TYPE_CHECKING:
    import pytest

ROOT = os.geteuid() == 0

# Longer than the tick that the ledger allows for: what is newer is imported again.
SETTLED = 0.03

TIERS = ("namespace", "landlock", "none") if ROOT else ("none",)
"""The tiers in which these tests can update; without one it is as an ordinary user."""

_PYTHON = "/usr/bin/python3"
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


def run(tree: Tree, *further: Path, behind: tuple[str, ...] = (), **options: Any) -> Done:
    """Update the caches of the application in a tree, when all its files have settled.

    Args:
        tree: The tree, an import root.
        further: Import roots in front of it.
        behind: Import roots behind it.
        options: Of the request.
    """
    options.setdefault("packages", ("app.plugins",))
    paths = (*map(str, further), str(tree.path), *behind)
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


def ledger_file(python: str = sys.executable) -> Path:
    """Return where the ledger of an interpreter's environment is, for who runs this."""
    directory = state_directory()
    assert directory is not None
    return Path(directory, ledgers._name_of(environment_of(python)))


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
def tier_for(
    tier: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Done]]:
    """Be who updates in a tier, and yield what does so, which takes the arguments of `run`.

    Args:
        tier: The tier; `none` is for ordinary users.
        place: A directory that everybody can reach, with all that is updated.
        monkeypatch: Sets where that user keeps things.
    """
    options: dict[str, Any] = {"sandbox": tier}
    behind: tuple[str, ...] = ()
    if tier != "namespace" and ROOT:  # where the program must be one that others can run
        if not os.path.exists(_PYTHON):
            missing(_PYTHON)
        place.mkdir(exist_ok=True)
        site = place / "site"
        for package in (dropin_cache, zope.interface):
            target = site.joinpath(*package.__name__.split("."))
            ignored = shutil.ignore_patterns("tests", "__pycache__", "dropin.cache")
            shutil.copytree(next(iter(package.__path__)), target, ignore=ignored)
        options["pythons"], behind = (_PYTHON,), (str(site),)
    user: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if tier == "none" and ROOT:
        for name in ("home", "cache"):
            (place / name).mkdir()
        monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        monkeypatch.setenv("HOME", str(place / "home"))
        for path in (place, *place.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        user = unprivileged()
    with user:
        yield functools.partial(run, behind=behind, **options)
