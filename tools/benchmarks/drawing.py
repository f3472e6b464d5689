"""Rows as a picture for the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import FASTER, Row
from benchmarks.table import figure

_TITLES = {
    True: "how many times faster (right is better)",
    False: "how many times the cost (left is better)",
}
_REACHED, _MISSED, _TARGET = "#1a7f37", "#cf222e", "#57606a"
_INCHES = 0.42  # of height for each row


def draw(rows: Sequence[Row], file: Path) -> None:
    """Draw the rows that something is asked of: median, quartiles, and what is asked.

    Args:
        rows: The rows.
        file: The SVG to write. The same rows make the same file.
    """
    # Only who draws needs it.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    panels = [
        (faster, [row for row in rows if row.task.reach and (row.task.kind == FASTER) is faster])
        for faster in (True, False)
    ]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        file.unlink(missing_ok=True)
        return
    heights = [len(chosen) for _, chosen in panels]
    style = {"svg.hashsalt": "dropin-cache", "svg.fonttype": "none", "font.size": 9}
    with mpl.rc_context(style):
        height = _INCHES * sum(heights) + 1.1 * len(panels)
        picture = Figure(figsize=(11, height), layout="constrained", facecolor="white")
        axes = picture.subplots(len(panels), squeeze=False, height_ratios=heights)
        for (faster, chosen), axis in zip(panels, axes[:, 0]):
            _panel(axis, _TITLES[faster], chosen)
        picture.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def _panel(axis: Any, title: str, rows: Sequence[Row]) -> None:
    axis.set_title(title, loc="left", fontweight="bold")
    axis.set_xscale("log")
    axis.set_yticks(
        range(len(rows)), [f"{row.task.work}\nagainst {row.task.against}" for row in rows]
    )
    axis.set_ylim(len(rows) - 0.5, -0.5)
    for place, row in enumerate(rows):
        colour = _REACHED if row.reached else _MISSED
        low, median, high = row.ratio
        axis.plot([low, high], [place, place], color=colour, linewidth=4, alpha=0.35)
        axis.plot([median], [place], "o", color=colour)
        axis.plot([row.task.reach], [place], "|", color=_TARGET, markersize=16)
        axis.annotate(
            f"{figure(median)} ({'≥' if row.task.kind == FASTER else '≤'} {row.task.reach:g})",
            (1.01, place),
            xycoords=("axes fraction", "data"),
            verticalalignment="center",
            color=colour,
        )
    axis.axvline(1, color=_TARGET, linewidth=0.8, linestyle=":")
    plain = lambda value, _: f"{value:g}"  # noqa: E731 - what the axis wants
    axis.xaxis.set_major_formatter(plain)
    axis.xaxis.set_minor_formatter("")
    axis.grid(visible=True, axis="x", alpha=0.25)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(axis="y", length=0, labelsize=8)
