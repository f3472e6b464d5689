"""The harnesses notice what they are for: each is run against a writer or a reader with a flaw."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import test_failing_calls
import test_killed
import test_reader_faults
from fault_points import (
    ABSENT,
    LITTER,
    SILENT,
    TORN,
    TRACEBACK,
    Count,
    Point,
    points,
)
from fault_support import Site, made_site
from scenarios import FIRST, OVERWRITE, Scenario


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The site, for all tests of this module."""
    with made_site() as made:
        yield made


@pytest.fixture(autouse=True)
def _uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what goes wrong here out of the table."""
    monkeypatch.setattr("fault_points.tally", lambda *_, **__: None)


def kinds(count: Count) -> set[str]:
    """Return what went wrong."""
    return {problem.kind for problem in count.problems}


def calls(site: Site, scenario: Scenario, flaw: str, words: str) -> list[Point]:
    """Return the calls of a flawed update that change something, and have words in what is seen."""
    scenario.prepare(site)
    found = points(site.run(tracer=["-e", "trace=all"], flaw=flaw).log)
    chosen = [point for point in found if point.changes and words in point.line]
    assert chosen
    return chosen


class TestKilled:
    """The harness that kills updates."""

    @pytest.mark.parametrize(
        ("flaw", "words", "kind"),
        [
            ("in place", "dropin.cache", TORN),
            ("absent", "dropin.cache", ABSENT),
            ("litter", ".new", LITTER),
        ],
    )
    def test_flaw(self, site: Site, flaw: str, words: str, kind: str) -> None:
        """Half a cache, none at all, and temporary files are noticed."""
        chosen = calls(site, OVERWRITE, flaw, words)
        assert kind in kinds(test_killed.kill_each(site, OVERWRITE, chosen[:8], flaw))
        site.clear()


class TestFailing:
    """The harness that has calls of updates fail."""

    @pytest.mark.parametrize(
        ("flaw", "words", "error", "kind"),
        [
            ("in place", "dropin.cache", "EIO", TORN),
            ("silent", "fsync", "EIO", SILENT),
            ("escape", "rename", "ENOSPC", TRACEBACK),
            ("litter", "rename", "EROFS", LITTER),
        ],
    )
    def test_flaw(self, site: Site, flaw: str, words: str, error: str, kind: str) -> None:
        """Half a cache, a failure that is not told, a traceback, and litter are noticed."""
        chosen = [(point, error) for point in calls(site, OVERWRITE, flaw, words)]
        count = test_failing_calls.fail_each(site, OVERWRITE, chosen[:12], flaw)
        assert kind in kinds(count)
        site.clear()

    def test_short_writes(self, site: Site) -> None:
        """A writer that takes part of a write for all of it is noticed."""
        FIRST.prepare(site)
        site.run(piece=100, flaw="short")
        assert {TORN} <= {problem.kind for problem in site.damage()}
        site.clear()


class TestReader:
    """The harness that has calls of readers fail."""

    def test_flaw(self, site: Site) -> None:
        """An error that escapes is noticed."""
        chosen = test_reader_faults.struck(site, test_reader_faults.STATES["fresh"], 0)
        chosen = [each for each in chosen if each[0].name == "getdents64"]
        state = test_reader_faults.STATES["fresh"]
        count = test_reader_faults.fail_each(site, state, 0, chosen, "reader escape")
        assert TRACEBACK in kinds(count)


class TestLeft:
    """What looks for processes."""

    def test_process(self, site: Site) -> None:
        """A process that an update leaves running is noticed, and ended."""
        FIRST.prepare(site)
        ended = site.run(flaw="child left")
        assert ["sleep 600 "] == ended.left
        assert [] == site.run().left
