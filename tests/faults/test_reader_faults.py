"""Each system call of a reader fails once: it finds all plugins that can be found all the same."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from typing import Callable

import pytest

from conftest import NOBODY
from fault_points import (
    ABSENT,
    ANSWER,
    LEFT,
    LITTER,
    NEXT,
    TORN,
    TRACEBACK,
    WRONG,
    Count,
    Ended,
    Point,
    Problem,
    left,
    points,
)
from fault_support import Site, made_site, without
from tally import LONG
from updates import SETTLED

_KINDS = (ANSWER, TRACEBACK, TORN, ABSENT, WRONG, LITTER, LEFT, NEXT)
_STEP = 1 if LONG else 60
_TRUTH = {"hello", "loud"}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The site, for all tests of this module."""
    with made_site() as made:
        yield made


def _fresh(site: Site) -> None:
    site.install()
    site.put_cache()


def _stale(site: Site) -> None:
    site.install()
    site.put_cache("IOther")


def _without_cache(site: Site) -> None:
    site.install()
    site.cache.unlink(missing_ok=True)


def _damaged(site: Site) -> None:
    site.install()
    site.put_cache()
    site.cache.write_bytes(site.contents["IGreeter"][:-100])


STATES = {"fresh": _fresh, "stale": _stale, "missing": _without_cache, "damaged": _damaged}


def settled(site: Site, prepare: Callable[[Site], None]) -> None:
    """Prepare a site, and wait: what has just changed a reader looks at again, the second time."""
    prepare(site)
    time.sleep(SETTLED)


def judged(site: Site, before: bytes | None, ended: Ended, point: Point) -> Iterator[Problem]:
    """Say what a reader to which something happened has done that it must not do."""
    yield from left(ended)
    names: set[str] = set()
    for line in ended.out.splitlines():
        names = set(json.loads(line))
        lost = _TRUTH - names
        # What strikes the drop-in's own file, or the directory that has to be listed, keeps
        # anybody from finding it.
        own = {name for name in lost if f"/{name}.py" in point.line}
        own |= lost if "/app/plugins" in point.line and point.name != "read" else set()
        told = {name for name in lost if f"app.plugins.{name}" in ended.err}
        if names - _TRUTH or lost - own - told:
            yield Problem(ANSWER, f"{sorted(names)}, {ended.err}")
    if ended.status != 0 or len(ended.out.splitlines()) != 2:
        yield Problem(TRACEBACK, f"it ends with {ended.status}: {ended.out} {ended.err}")
    content = site.content()
    whole = site.contents["IGreeter"]
    allowed = (before, whole, *(without(whole, name) for name in _TRUTH))
    if content != before:
        yield from site.damage(*allowed)


def fail_each(
    site: Site,
    prepare: Callable[[Site], None],
    user: int,
    chosen: Iterable[tuple[Point, str]],
    flaw: str | None = None,
) -> Count:
    """Have system calls of a reader fail, one in each; return what was counted."""
    with Count("call of a reader fails", *_KINDS) as count:
        for point, error in chosen:
            settled(site, prepare)
            before = site.content()
            ended = site.read(tracer=point.fail(error), user=user, flaw=flaw)
            count.done["runs"] += 1
            count.done["calls_failed"] += bool(ended.injected)
            where = f"{error}: {point.line}"
            count.add(where, judged(site, before, ended, point))
            if user == 0:
                count.done["followed_by_another_run"] += 1
                after = site.read(flaw=flaw)
                if (0, "") != (after.status, after.err):
                    count.add(f"after {where}", [Problem(NEXT, after.err)])
                count.add(
                    f"after {where}", [*site.litter(), *site.damage(site.contents["IGreeter"])]
                )
    return count


def struck(site: Site, prepare: Callable[[Site], None], user: int) -> list[tuple[Point, str]]:
    """Pair the system calls of a reader with the errors that each can meet with."""
    settled(site, prepare)
    ended = site.read(tracer=["-e", "trace=all"], user=user)
    assert (0, "") == (ended.status, re.sub("Unable to write to .*\n", "", ended.err))
    assert [_TRUTH, _TRUTH] == [set(json.loads(line)) for line in ended.out.splitlines()]
    return [
        (point, error)
        for point in points(ended.log)
        if not re.match(r"write\([12]<", point.line)
        for error in point.errors
    ]


class TestReader:
    """An error of the system in the place of a system call."""

    @pytest.mark.parametrize("user", [0, NOBODY], ids=["root", "nobody"])
    @pytest.mark.parametrize("state", STATES)
    def test_each_call(self, site: Site, state: str, user: int) -> None:
        """The answer is right, nothing escapes, and a cache it writes is whole."""
        chosen = struck(site, STATES[state], user)[::_STEP]
        count = fail_each(site, STATES[state], user, chosen)
        assert [] == count.problems, count.told
        assert count.done["calls_failed"] > count.done["runs"] * 0.9
