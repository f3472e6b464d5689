"""What somebody may have meant by a name that means nothing."""

from __future__ import annotations

from collections.abc import Iterable

_MOST = 3
_ALIKE = 0.75  # of what difflib calls a ratio: one letter of four
_WORSE = 0.03  # what is less alike than the best by that is not meant


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that asks whether something else was meant; nothing if nothing is alike.

    Args:
        name: What was given.
        known: What there is.
    """
    found = alike(name, known)
    return f"Did you mean {' or '.join(found)}?" if found else ""


def alike(name: str, known: Iterable[str]) -> list[str]:
    """Return the names that one may have been meant for: misspelt, or a part of it.

    Args:
        name: What was given.
        known: What there is.
    """
    import difflib  # noqa: PLC0415 - for mistakes only

    # Neither case nor what stands between parts is what makes a difference.
    names = {_plain(each): each for each in reversed(list(known))}
    name = _plain(name)
    part = [each for each in names if each.endswith(f".{name}") or each.startswith(f"{name}.")]
    if part:
        return [names[each] for each in reversed(part[-_MOST:])]
    found = difflib.get_close_matches(name, names, _MOST, _ALIKE)
    likeness = [difflib.SequenceMatcher(None, each, name).ratio() for each in found]
    return [names[each] for each, ratio in zip(found, likeness) if ratio > max(likeness) - _WORSE]


def _plain(name: str) -> str:
    return name.casefold().replace(":", ".").replace("_", "-")
