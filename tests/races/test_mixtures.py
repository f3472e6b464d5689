"""Drop-ins, and what they import, are replaced while they are imported; no cache mixes them up."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from command_line import account, give_away, no_process_left
from conftest import NOBODY
from programs import PATIENCE, finish, looping
from swapping import Swapping
from tally import LONG, tally
from versions import Seen, Versions

ROUNDS = 80 if LONG else 3
UPDATES = 3  # while files change, in each round
# Seconds that a file stays what it is: from what an update takes to what an import takes.
RHYTHMS = (0.3, 0.1, 0.02)
HECTIC = 0.002
COARSE = "root, coarse times"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


class Place(NamedTuple):
    """Where files change, and who looks after them.

    Attributes:
        name: What to call it.
        versions: The files.
        user: Who changes them, and runs the updates.
        options: What `looping` takes besides.
    """

    name: str
    versions: Versions
    user: int
    options: dict[str, Any]


@pytest.fixture(params=["user", COARSE, *(["root"] if LONG else [])])
def place(request: pytest.FixtureRequest, public_path: Path) -> Iterator[Place]:
    """A place whose files are changed by a user, or by root on two kinds of file systems."""
    root = public_path / "root"
    if request.param == "user":
        versions = Versions(give_away(root))
        for path in root.rglob("*"):
            os.chown(path, *[NOBODY if os.geteuid() == 0 else -1] * 2)
        yield Place("user", versions, NOBODY, {"account": account(public_path)})
        return
    if os.geteuid() != 0:
        pytest.skip("needs root")
    root.mkdir()
    if request.param == COARSE:
        # Unlike newer ones, this has one time for all that happens within some milliseconds.
        subprocess.run(["mount", "-t", "ramfs", "-o", "mode=0755", "none", root], check=True)
    try:
        yield Place(request.param, Versions(root), 0, {})
    finally:
        if request.param == COARSE:
            subprocess.run(["umount", "--lazy", root], check=True)


class Following:
    """A program that updates the cache again and again, and what the caches were.

    Attributes:
        changes: How often the files were changed.
        updates: How often it has updated.
        described: The caches that described the drop-in.
        mixtures: Those that described no version of it.
        outdated: What was described instead of what was there, when nothing changed any more.
    """

    def __init__(self, place: Place, flaw: str = "none") -> None:
        """Start the program."""
        self.changes = self.updates = self.described = 0
        self.mixtures: list[str] = []
        self.outdated: list[tuple[Seen | str | None, Seen | None]] = []
        self._place, self._versions = place, place.versions
        root = self._versions.plugins.parent.parent
        command = ["update", "app.plugins", "--path", str(root)]
        self.program = looping([command], flaw, **place.options)

    def round(self, longest: float) -> None:
        """Update while the files change, and once more when they do not."""
        with Swapping() as swapping:
            swapping.start([lambda: self._versions.burst(longest)], user=self._place.user)
            for _ in range(UPDATES):
                self._update()
        self.changes += swapping.made
        self._update()  # it may have begun before
        found, there = self._update(), self._versions.there()
        if found != there:
            self.outdated.append((found, there))

    def _update(self) -> Seen | str | None:
        assert self.program.stdout is not None
        assert self.program.stdout.readline().strip() in {"update 0", "update 5"}
        self.updates += 1
        found = self._versions.cached()
        self.described += found is not None
        if isinstance(found, str):
            self.mixtures.append(found)
        return found


class TestChanging:
    """Files that change while they are imported."""

    def test_caches(self, place: Place) -> None:
        """Each cache describes one version, with its fingerprint; the last one what is there."""
        following = Following(place)
        with following.program:
            for longest in itertools.islice(itertools.cycle(RHYTHMS), ROUNDS):
                following.round(longest)
            finish(following.program)
        assert [] == following.mixtures
        assert [] == following.outdated
        assert following.described > ROUNDS
        tally(
            f"drop-ins replaced while they are imported: {place.name}",
            bursts_of_changes=following.changes,
            updates=following.updates,
            caches_that_describe_it=following.described,
            mixtures=len(following.mixtures),
            outdated_afterwards=len(following.outdated),
        )


class TestTheHarness:
    """The harness finds out about a writer that mixes versions up."""

    @pytest.mark.parametrize("place", ["user"], indirect=True)
    def test_flaw(self, place: Place) -> None:
        """One that takes the fingerprint behind the import is caught."""
        deadline = time.monotonic() + PATIENCE
        following = Following(place, "looks_afterwards")
        with following.program:
            while not following.mixtures and time.monotonic() < deadline:
                following.round(HECTIC)
            finish(following.program)
        assert [] != following.mixtures
