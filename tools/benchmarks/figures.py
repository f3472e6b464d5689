"""The arithmetic: samples of two sides, the ratio between them, and whether it is as wanted."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple

FASTER = "faster"
"""A ratio is how many times what ours takes the other side takes; more is better."""

COST = "cost"
"""A ratio is how many times what the other side takes ours takes; less is better."""

UNITS = {"ms": 1e6, "MiB": 1024.0}
"""The units that figures are shown in: how many nanoseconds, or KiB, one is."""


class Sample(NamedTuple):
    """One figure of one side.

    Attributes:
        value: What was measured, nanoseconds or KiB.
        cpu: Nanoseconds of processor time that it took, where that was measured too.
    """

    value: float
    cpu: float | None = None


class Spread(NamedTuple):
    """Where half of a number of figures lie.

    Attributes:
        low: A quarter is below.
        median: Half are below.
        high: A quarter is above.
    """

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """Return the quartiles of some figures, of one at least."""
        if len(figures) == 1:
            return cls(figures[0], figures[0], figures[0])
        return cls(*statistics.quantiles(figures, n=4, method="inclusive"))


class Task(NamedTuple):
    """Something to measure on two sides.

    Attributes:
        name: A short name to choose it by.
        work: What our side does.
        against: What the other side does.
        kind: How the ratio is to be read, FASTER or COST.
        reach: What its median has to be at least, or at most; None if nothing is asked for.
        unit: Of the figures, one of `UNITS`.
        ours: Takes a sample of our side.
        theirs: Takes one of the other side.
        runs: How many samples of each side are wanted if nobody says otherwise.
    """

    name: str
    work: str
    against: str
    kind: str
    reach: float | None
    unit: str
    ours: Callable[[], Sample]
    theirs: Callable[[], Sample]
    runs: int


class Row(NamedTuple):
    """What measuring a task came to.

    Attributes:
        task: The task.
        ours: The figures of our side.
        theirs: Those of the other side.
        ratio: Of the pairs: each figure and the one of the other side that was taken next to it.
        cpu: The ratio of processor times, where they were measured.
        runs: How many pairs.
    """

    task: Task
    ours: Spread
    theirs: Spread
    ratio: Spread
    cpu: Spread | None
    runs: int

    @property
    def reached(self) -> bool | None:
        """Whether the ratio is as wanted; None if nothing is."""
        if self.task.reach is None:
            return None
        if self.task.kind == FASTER:
            return self.ratio.median >= self.task.reach
        return self.ratio.median <= self.task.reach

    def record(self) -> dict[str, Any]:
        """Return it as plain values, figures in the unit of the task."""
        task, scale = self.task, UNITS[self.task.unit]
        return {
            **{name: getattr(task, name) for name in _RECORDED},
            "ours": _record(self.ours, scale),
            "theirs": _record(self.theirs, scale),
            "ratio": _record(self.ratio),
            "cpu_ratio": self.cpu and _record(self.cpu),
            "runs": self.runs,
            "reached": self.reached,
        }


_RECORDED = ("name", "work", "against", "kind", "reach", "unit")


def measure(task: Task, runs: int | None = None) -> Row:
    """Measure both sides in turn, as often as wanted, after one pair that does not count."""
    wanted = max(1, runs or task.runs)
    pairs = [(task.ours(), task.theirs()) for _ in range(wanted + 1)][1:]
    return compare(task, pairs)


def compare(task: Task, pairs: Sequence[tuple[Sample, Sample]]) -> Row:
    """Set the samples of our side against those of the other."""
    ratio = [_ratio(task.kind, ours.value, theirs.value) for ours, theirs in pairs]
    cpu = [
        _ratio(task.kind, ours.cpu, theirs.cpu) for ours, theirs in pairs if ours.cpu and theirs.cpu
    ]
    return Row(
        task,
        Spread.of([ours.value for ours, _ in pairs]),
        Spread.of([theirs.value for _, theirs in pairs]),
        Spread.of(ratio),
        Spread.of(cpu) if cpu else None,
        len(pairs),
    )


def _ratio(kind: str, ours: float, theirs: float) -> float:
    return theirs / ours if kind == FASTER else ours / theirs


def _record(spread: Spread, scale: float = 1.0) -> dict[str, float]:
    """Return a spread by its names, with as many digits as mean anything."""
    return {name: float(f"{value / scale:.4g}") for name, value in spread._asdict().items()}
