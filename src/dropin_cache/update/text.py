"""Text of unknown origin: made fit for a terminal, told whether it is a name."""

from __future__ import annotations

_MAX_NAME = 4096  # characters, PATH_MAX of limits.h: a longer one has no file


def one_line(text: str) -> str:
    """Escape whatever is not printable.

    What a drop-in says, or a file is called, must neither steer a terminal nor look like a line of
    ours.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def is_dotted(name: str) -> bool:
    """Tell whether a text can be the dotted name of a module."""
    return len(name) <= _MAX_NAME and all(part.isidentifier() for part in name.split("."))
