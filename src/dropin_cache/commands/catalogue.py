"""How a listing of plugins looks: grouped by module, within the width of the terminal."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from dropin_cache._scan import CACHE_NAME
from dropin_cache.commands.terminal import cells
from dropin_cache.update.text import one_line

if TYPE_CHECKING:
    from dropin_cache.commands.listing import Row

_MARKERS = frozenset(("dropin_cache.IPlugin", "twisted.plugin.IPlugin"))
_MAX_NAME = 200  # characters
_INDENT, _GAP = "  ", "  "

Group = tuple[str, list[str]]
"""A plugin module, and the lines about its plugins."""


def groups(rows: Sequence[Row], width: int | None) -> Iterator[Group]:
    """Yield what there is, briefly: without the marker, and interfaces without their modules.

    Args:
        rows: The plugins, those of a module one after the other.
        width: How many columns there are; None if any number is right.
    """
    short = _short_names(rows)
    column = _column([_cut(row.plugin) for row in rows], width)
    places = Counter(module for module, _ in {(row.module, row.path) for row in rows})
    for (module, path), plugins in groupby(rows, lambda row: (row.module, row.path)):
        lines = [_place(path)] if places[module] > 1 else []
        for row in plugins:
            names = [short[each] for each in row.provides if each not in _MARKERS]
            lines += _entry(_cut(row.plugin), _listed(names or ["IPlugin"]), column, width)
        yield _cut(module), lines


def groups_in_full(rows: Sequence[Row], width: int | None) -> Iterator[Group]:
    """Yield what there is, with all that is known; as for `groups`."""
    for (module, path), plugins in groupby(rows, lambda row: (row.module, row.path)):
        lines = [_place(path)]
        for row in plugins:
            lines.append(f"{_INDENT}{_cut(row.plugin)}")
            for what, words in (
                ("provides", _listed(row.provides)),
                ("inherits", _listed(row.inherits)),
                ("says", (row.description or "").split()),
            ):
                if words:
                    escaped = [one_line(word) for word in words]
                    lines += _entry(f"{_INDENT}{what}", escaped, len("  provides"), width)
        yield _cut(module), lines


def _entry(name: str, words: Sequence[str], column: int, width: int | None) -> list[str]:
    """Return a name with words in a column beside it, or below it where there is no room."""
    margin = len(_INDENT) + column + len(_GAP)
    beside = cells(name) <= column
    if width is not None and max(map(cells, words)) > width - margin:
        margin, beside = 2 * len(_INDENT), False
    lines = [" " * margin + text for text in _folded(words, width and width - margin)]
    if beside:
        room = " " * (column - cells(name))
        return [f"{_INDENT}{name}{room}{_GAP}{lines[0].lstrip()}", *lines[1:]]
    return [f"{_INDENT}{name}", *lines]


def _folded(words: Sequence[str], width: int | None) -> list[str]:
    """Return words in lines of a width, if they are not wider themselves."""
    lines = [words[0]]
    for word in words[1:]:
        longer = f"{lines[-1]} {word}"
        if width is None or cells(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _listed(names: Sequence[str]) -> list[str]:
    """Return names as they stand in a sentence."""
    return [*(f"{name}," for name in names[:-1]), *names[-1:]]


def _column(names: Sequence[str], width: int | None) -> int:
    """Return how wide a column for names is: as the widest that leaves room beside it."""
    room = _MAX_NAME if width is None else width // 2
    return max((cells(name) for name in names if cells(name) <= room), default=0)


def _place(path: str) -> str:
    return f"{_INDENT}in {one_line(os.path.join(path, CACHE_NAME))}"


def _cut(name: str) -> str:
    """Return a name, fit for a terminal and not so long that it hides others."""
    name = one_line(name)
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}..."


def _short_names(rows: Sequence[Row]) -> dict[str, str]:
    """Return what interfaces are called: by the last part of their names where that is enough."""
    last = {name: name.rpartition(".")[2] for row in rows for name in row.provides}
    alike = Counter(last.values())
    return {name: _cut(short if alike[short] == 1 else name) for name, short in last.items()}
