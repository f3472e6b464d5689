"""What somebody may have meant by a name that means nothing."""

from __future__ import annotations

from collections.abc import Iterable

_MOST = 3
_ALIKE = 0.75  # of what difflib calls a ratio: one letter of four


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that asks whether something else was meant; nothing if nothing is alike.

    Args:
        name: What was given.
        known: What there is.
    """
    found = alike(name, known)
    return f"Did you mean {' or '.join(found)}?" if found else ""


def alike(name: str, known: Iterable[str]) -> list[str]:
    """Return the names that one may have been meant for: misspelt, or without what is before it.

    Args:
        name: What was given.
        known: What there is.
    """
    import difflib  # noqa: PLC0415 - for mistakes only

    names = list(dict.fromkeys(known))
    ends = [each for each in names if each.endswith(f".{name}")]
    return ends[:_MOST] or difflib.get_close_matches(name, names, _MOST, _ALIKE)
