"""Rows as a table for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.figures import FASTER, UNITS, Row, Spread

_HEAD = ("row", "ours", "theirs", "unit", "ratio", "by cpu", "reach", "runs", "")


def lines(rows: Iterable[Row]) -> list[str]:
    """Return a table: for each row the medians, and in brackets the quartiles."""
    cells = [_HEAD, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells
    ]


def reach(row: Row) -> str:
    """Say what is asked for, in a few characters."""
    if row.task.reach is None:
        return "-"
    return f"{'>=' if row.task.kind == FASTER else '<='} {row.task.reach:g}"


def missed(rows: Iterable[Row]) -> list[str]:
    """Say of each row that is not as wanted what it is and what it should be."""
    return [
        f"{row.task.name}: {figure(row.ratio.median)} is not {reach(row)}"
        for row in rows
        if row.reached is False
    ]


def figure(value: float) -> str:
    """Return a figure with three significant digits, and without an exponent."""
    for limit, digits in ((1, 3), (10, 2), (100, 1)):
        if abs(value) < limit:
            return f"{value:.{digits}f}"
    return f"{value:.0f}"


def _cells(row: Row) -> Sequence[str]:
    scale = UNITS[row.task.unit]
    return (
        row.task.name,
        _spread(row.ours, scale),
        _spread(row.theirs, scale),
        row.task.unit,
        _spread(row.ratio),
        figure(row.cpu.median) if row.cpu else "-",
        reach(row),
        str(row.runs),
        {True: "reached", False: "MISSED", None: ""}[row.reached],
    )


def _spread(spread: Spread, scale: float = 1.0) -> str:
    low, median, high = (figure(value / scale) for value in spread)
    return f"{median} ({low} to {high})"
