"""Another user swaps names while root's commands run; nothing happens but where it should."""

from __future__ import annotations

import collections
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, NamedTuple

import pytest

import scenes
from areas import Area
from command_line import no_process_left
from programs import PATIENCE, finish, looping
from scenes import Scene
from swapping import Swapping, unprotected
from tally import LONG, tally

# They change settings of the machine, and so would wait for each other in two processes.
pytestmark = pytest.mark.xdist_group("races")

SWAPS, COMMANDS = (300_000, 50) if LONG else (3_000, 4)
SCENES: dict[str, Callable[[Area], Scene]] = {
    "import root": lambda area: scenes.component(area, "site"),
    "package": lambda area: scenes.component(area, "site/app"),
    "plugin directory": lambda area: scenes.component(area, "site/app/plugins"),
    "content": scenes.content,
    "unguarded": scenes.unguarded,
    "lent": scenes.lent,
    "sticky": scenes.sticky,
    "guarded": scenes.guarded,
    "configuration": scenes.configuration,
    "image": scenes.image,
    "whole image": scenes.whole_image,
}


@pytest.fixture(autouse=True)
def _unprotected() -> Iterator[None]:
    """Let the attacker do what kernels without protected_symlinks and the like let him."""
    with no_process_left(), unprotected():
        yield


@pytest.fixture
def area(public_path: Path) -> Iterator[Area]:
    """A place that both root and the attacker can reach."""
    area = Area(public_path)
    with area.mounts:
        yield area


class Race(NamedTuple):
    """What came of a race.

    Attributes:
        swaps: How many moves the others made.
        statuses: How often which command ended with which status.
        mishaps: The other ends of commands: tracebacks.
        effects: What has changed where nothing may.
    """

    swaps: int
    statuses: collections.Counter[str]
    mishaps: list[str]
    effects: dict[str, object]


def race(area: Area, scene: Scene, flaw: str = "none", *, until_hit: bool = False) -> Race:
    """Run the commands while names are swapped: often enough, or until there is an effect."""
    deadline = time.monotonic() + PATIENCE
    statuses: collections.Counter[str] = collections.Counter()
    mishaps: list[str] = []
    with Swapping() as swapping, looping(scene.commands, flaw) as process:
        for each in scene.processes:
            swapping.start(each.moves, user=each.user, pause=each.pause)
        for line in process.stdout or ():
            command, _, status = line.strip().partition(" ")
            statuses[f"{command} {status[:1]}"] += 1
            if not status.isdigit():
                mishaps.append(json.loads(status))
            enough = swapping.made >= SWAPS and statuses.total() >= COMMANDS * scene.weight
            late = time.monotonic() > deadline
            if (area.is_hit() or late) if until_hit else enough:
                break
        finish(process)
    area.mounts.close()
    for path in scene.swapped:
        shutil.rmtree(path)
    return Race(swapping.made, statuses, mishaps, area.effects())


class TestSwapping:
    """Swapped names at every place that somebody else than root can have a hand in."""

    @pytest.mark.parametrize("name", SCENES)
    def test_effects(self, area: Area, name: str) -> None:
        """There are no effects outside, and nothing is imported with privilege."""
        found = race(area, SCENES[name](area))
        assert {} == found.effects
        assert [] == found.mishaps
        assert ["of root, privileged: False"] == area.described()
        tally(
            f"names swapped by another user: {name}",
            swaps=found.swaps,
            commands=found.statuses.total(),
            effects_outside=len(found.effects),
            imported_with_privilege=len(os.listdir(area.marks)),
            failures=len(found.mishaps),
        )


class TestTheHarness:
    """The harness finds out about programs that do take harm."""

    @pytest.mark.parametrize(
        ("name", "flaw", "place"),
        [
            ("unguarded", "follows_links", "victims"),
            ("unguarded", "names_predictably", "victims"),
            ("lent", "imports_with_privilege", "marks"),
            ("guarded", "trusts_by_path", "victims"),
        ],
    )
    def test_flaws(self, area: Area, name: str, flaw: str, place: str) -> None:
        """A program with a well-known flaw is caught."""
        found = race(area, SCENES[name](area), flaw, until_hit=True)
        assert [] != [path for path in found.effects if path.startswith(str(area.path / place))]
