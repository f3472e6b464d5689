"""An update is killed at each of its system calls: every cache is the old one or the new one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fault_points import (
    ABSENT,
    LEDGER,
    LEFT,
    LITTER,
    NEXT,
    TORN,
    WRONG,
    Count,
    Point,
    left,
    points,
    sample,
)
from fault_support import Site, made_site
from scenarios import OVERWRITE, PRUNE, SCENARIOS, Scenario, long_step
from tally import LONG

_SHARDS = 4 if LONG else 1  # several test processes share them
_SCENARIOS = SCENARIOS if LONG else (OVERWRITE, PRUNE)
_EVERYTHING = ["-e", "trace=all"]
_KINDS = (TORN, ABSENT, WRONG, LITTER, LEFT, NEXT, LEDGER)
_RECHECKED = 10  # one in so many runs that have changed nothing is followed by another all the same


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The site, for all tests of this module."""
    with made_site() as made:
        yield made


def kill_each(
    site: Site, scenario: Scenario, chosen: list[Point], flaw: str | None = None
) -> Count:
    """Kill an update at each of some system calls; return what was counted."""
    with Count(f"update killed: {scenario.name}", *_KINDS) as count:
        for number, point in enumerate(chosen):
            old, new = scenario.prepare(site)
            before = site.state()
            ended = site.run(tracer=point.kill(), flaw=flaw)
            count.done["runs"] += 1
            count.done["killed"] += ended.status == -9
            where = f"{scenario.name}, {point.name} {point.number} {point.line}"
            count.add(where, [*left(ended), *site.damage(old, new)])
            if site.state() != before or number % _RECHECKED == 0:
                count.done["followed_by_another_run"] += 1
                count.add(f"after {where}", site.next_run(flaw=flaw))
                count.add(f"after {where}", [*site.damage(new), *scenario.finished(site)])
    return count


def recorded(site: Site, scenario: Scenario) -> list[Point]:
    """Return all system calls of an update to which nothing happens."""
    scenario.prepare(site)
    return points(site.run(tracer=_EVERYTHING).log)


class TestKilled:
    """SIGKILL in the place of a system call of the process that writes."""

    @pytest.mark.parametrize("shard", range(_SHARDS))
    @pytest.mark.parametrize("scenario", _SCENARIOS, ids=lambda each: each.name)
    def test_at_each_call(self, site: Site, scenario: Scenario, shard: int) -> None:
        """The cache is the old or the new one, and the next run leaves nothing of the killed."""
        found = recorded(site, scenario)
        step = long_step(scenario) if LONG else len(found) // 4
        count = kill_each(site, scenario, list(sample(found, step, shard, _SHARDS)))
        assert [] == count.problems, count.told
        assert count.done["killed"] > count.done["runs"] * 0.9
