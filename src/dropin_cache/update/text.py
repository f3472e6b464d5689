"""Text of unknown origin, made fit for a terminal."""

from __future__ import annotations


def one_line(text: str) -> str:
    """Escape whatever is not printable.

    What a drop-in says, or a file is called, must neither steer a terminal nor look like a line of
    ours.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
