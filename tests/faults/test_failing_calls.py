"""Each system call of an update fails once: the cache stays or is the new one, and people know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pytest

from fault_points import (
    ABSENT,
    LEDGER,
    LEFT,
    LITTER,
    NEXT,
    SILENT,
    STATUS,
    TORN,
    TRACEBACK,
    WRONG,
    Count,
    Ended,
    Point,
    Problem,
    left,
    points,
    sample,
)
from fault_support import Site, made_site, without
from scenarios import OVERWRITE, SCENARIOS, Contents, Scenario, long_step
from tally import LONG

_SHARDS = 4 if LONG else 1  # several test processes share them
KINDS = (TORN, ABSENT, WRONG, LITTER, LEFT, NEXT, LEDGER, TRACEBACK, SILENT, STATUS)
# What the table in the manual has for an update that could not do what it should; 4 is for what
# is not safe.
_FAILED = {4, 5}
_LEFT_OUT = re.compile(
    r"^dropin-cache: warning: app\.plugins\.(\w+)\b.* is left out: ", re.MULTILINE
)
_ERROR = re.compile(r"^dropin-cache: error: \S", re.MULTILINE)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The site, for all tests of this module."""
    with made_site() as made:
        yield made


def judged(site: Site, contents: Contents, ended: Ended, *, trigger: bool) -> Iterator[Problem]:
    """Say what an update to which something happened has done that it must not do."""
    old, new = contents
    # What is closed to the update is closed to its children too: it is passed over.
    closed = "EACCES" in ended.injected
    told = [_LEFT_OUT.findall(ended.err)] + ([["hello"], ["loud"]] if closed else [])
    less = [without(new, *names) for names in told if names] if new is not None else []
    yield from site.damage(old, new, *less)
    yield from left(ended)
    if re.search("Traceback|Exception ignored|mistake in dropin-cache", ended.err):
        yield Problem(TRACEBACK, ended.err)
    mute = re.search(r"write\(2<", ended.injected)  # what strikes the message itself
    right = site.content() == new
    if not (right or ended.err or mute or closed):
        yield Problem(SILENT, f"it ends with {ended.status}: {ended.out}")
    allowed = _FAILED if _ERROR.search(ended.err) and not trigger else {0}
    if ended.status not in (allowed | ({2} if closed and not trigger else set())) and not mute:
        yield Problem(STATUS, f"it ends with {ended.status}: {ended.err}")


def fail_each(
    site: Site, scenario: Scenario, chosen: Iterable[tuple[Point, str]], flaw: str | None = None
) -> Count:
    """Have system calls of an update fail, one in each; return what was counted."""
    with Count(f"call of an update fails: {scenario.name}", *KINDS) as count:
        for number, (point, error) in enumerate(chosen):
            contents = scenario.prepare(site)
            trigger = number % 3 == 2
            arguments = ["--trigger"] if trigger else []
            ended = site.run(*arguments, tracer=point.fail(error), flaw=flaw)
            count.done["runs"] += 1
            count.done["calls_failed"] += bool(ended.injected)
            where = f"{scenario.name}, {error}: {point.line}"
            count.add(where, judged(site, contents, ended, trigger=trigger))
            if site.damage(contents[1]) or site.litter():
                count.done["followed_by_another_run"] += 1
                if point.name not in {"unlink", "unlinkat"}:
                    count.add(where, site.litter())
                count.add(f"after {where}", site.next_run(flaw=flaw))
                count.add(f"after {where}", site.damage(contents[1]))
    return count


def with_errors(chosen: Iterable[Point], *, all_of_them: bool) -> Iterator[tuple[Point, str]]:
    """Pair calls with errors: each with another one, those that change something with all."""
    for number, point in enumerate(chosen):
        if all_of_them and point.changes:
            yield from ((point, error) for error in point.errors)
        else:
            yield point, point.errors[number % len(point.errors)]


class TestFailing:
    """An error of the system in the place of a system call of the process that writes."""

    @pytest.mark.parametrize("shard", range(_SHARDS))
    @pytest.mark.parametrize(
        "scenario", SCENARIOS if LONG else [OVERWRITE], ids=lambda each: each.name
    )
    def test_each_call(self, site: Site, scenario: Scenario, shard: int) -> None:
        """The cache is the old or the new one and nothing is left; an error is told in a line."""
        scenario.prepare(site)
        called = points(site.run(tracer=["-e", "trace=all"]).log)
        found = [point for point in called if point.errors]
        step = long_step(scenario) if LONG else len(found) // 15
        chosen = with_errors(sample(found, step, shard, _SHARDS), all_of_them=LONG)
        count = fail_each(site, scenario, chosen)
        assert [] == count.problems, count.told
        assert count.done["calls_failed"] > count.done["runs"] * 0.9
