"""Colours, as today's tools have them: where somebody asks for them, else on terminals.

Those that can be read on light and on dark ground. What is printed is recognised by how a line
begins, so that lines that another process has made are like our own. This imports nothing that the
interpreter has not loaded by itself.
"""

from __future__ import annotations

import os

WHEN = AUTO, ALWAYS, NEVER = ("auto", "always", "never")
"""What `--color` can be."""

_TITLE, _GOOD, _ODD, _BAD = "1", "32", "35", "1;31"  # bold, green, magenta, bold red
_STYLES = {
    **dict.fromkeys(("error", "corrupt", "refused", "failed", "broken"), _BAD),
    **dict.fromkeys(("warning", "stale", "missing", "unseen", "outdated"), _ODD),
    **dict.fromkeys(("fresh", "unchanged", "written", "enabled"), _GOOD),
    **dict.fromkeys(("info", "removed", "disabled"), _TITLE),
}
_PROGRAM, _CONDITIONAL = "dropin-cache: ", "would be "
_chosen = [AUTO]


def choose(when: str) -> None:
    """Have colours from now on always, never, or where they are usual.

    Args:
        when: One of WHEN.
    """
    _chosen[:] = [when]


def wanted(*, terminal: bool) -> bool:
    """Tell whether what is printed is to have colours.

    Args:
        terminal: Whether it is printed on a terminal.
    """
    if _chosen != [AUTO]:
        return _chosen == [ALWAYS]
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (terminal and not is_dumb())


def is_dumb() -> bool:
    """Tell whether terminals are not to be expected to do anything but print lines."""
    return os.environ.get("TERM", "dumb") in {"", "dumb"}


def line(text: str) -> str:
    """Return a line with colours: what kind it is, or the state that it begins with.

    Args:
        text: The line.
    """
    program = _PROGRAM if text.startswith(_PROGRAM) else ""
    word, colon, rest = text[len(program) :].partition(":")
    style = _STYLES.get(word.removeprefix(_CONDITIONAL))
    return f"{program}{_painted(word + colon, style)}{rest}" if colon and style else text


def title(text: str) -> str:
    """Return what a part of a listing is about, with colours: a name, and its state if any.

    Args:
        text: It; a state stands behind a colon.
    """
    name, colon, state = text.partition(": ")
    style = _STYLES.get(state)
    return f"{_painted(name, _TITLE)}{colon}{_painted(state, style) if style else state}"


def _painted(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m"
