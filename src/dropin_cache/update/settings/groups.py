"""Groups by name or number, as the system's own file has them, which may be that of an image."""

from __future__ import annotations

import re

from dropin_cache.errors import DropinCacheError
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.settings import syntax

FILE = "/etc/group"

_MAX_SIZE = 16 << 20  # bytes; it is not ours, and some sites' are long
_MAX_NUMBER = (1 << 32) - 2  # the next one means "no change" to chown(2)


def numbers_of(files: Files, text: str) -> frozenset[int]:
    """Look groups up.

    Args:
        files: Opens the file, if there are names.
        text: Names and numbers, separated by spaces.

    Returns:
        Their numbers.

    Raises:
        ValueError: There is no such group, or the file cannot be read.
    """
    words = text.split()
    known = {} if all(word.isdecimal() for word in words) else _known(files)
    return frozenset(_number_of(word, known) for word in words)


def _number_of(word: str, known: dict[str, int]) -> int:
    if word in known:
        return known[word]
    if not re.fullmatch(r"[0-9]{1,10}", word):
        raise ValueError(f'there is no group "{word}" in {FILE}')
    if int(word) > _MAX_NUMBER:
        raise ValueError(f'"{word}" is not the number of a group')
    return int(word)


def _known(files: Files) -> dict[str, int]:
    """Read group(5)."""
    try:
        data = syntax.read(files, FILE, _MAX_SIZE)
    except (OSError, DropinCacheError) as error:
        raise ValueError(f"names cannot be looked up: {error}") from error
    entries = (line.split(":") for line in data.decode("utf-8", "surrogateescape").splitlines())
    # group(5) has four fields. The first entry of a name counts, as for getgrnam(3).
    numbers: dict[str, int] = {}
    for entry in entries:
        if len(entry) == 4 and entry[2].isdecimal():  # noqa: PLR2004 - see above
            numbers.setdefault(entry[0], int(entry[2]))
    return numbers
