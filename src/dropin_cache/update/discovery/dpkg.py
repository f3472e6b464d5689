"""Which package dpkg says has a file: its lists of files, read as any other file is.

That is what dpkg-query(1) reads, too; it follows every link, also out of an image.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator

from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.reading import read
from dropin_cache.update.files.trusted import Files

_INFO = "/var/lib/dpkg/info"
_DIVERSIONS = "/var/lib/dpkg/diversions"
_FORMATS = ("", "0", "1")  # of that directory; the lists are the same in all
_MAX_SIZE = 16 << 20  # bytes of a list; the longest have 50,000 lines
# https://www.debian.org/doc/debian-policy/ch-controlfields.html, a little wider
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")


def owners(paths: Collection[str], files: Files) -> dict[str, str]:
    """Find the packages that have files; the work grows with the size of what dpkg knows.

    Of several packages with the same file only the one that diverted it has it in that place.

    Args:
        paths: The files, as a package may have them: dpkg compares text.
        files: How to open what dpkg knows. What cannot be relied on says nothing.

    Returns:
        The package of each path that has one; of several, all of them, separated by commas.
    """
    wanted = {os.fsencode(path): path for path in paths}
    directories = {os.path.dirname(path) for path in wanted}
    found: dict[str, set[str]] = {}
    for name, data in _lists(files) if wanted else ():
        # Few lists have anything in these directories, and this look is cheap.
        if any(directory in data for directory in directories):
            for line in wanted.keys() & data.split(b"\n"):
                found.setdefault(wanted[line], set()).add(name)
    diverters = _diverters(files) if found else {}
    return {
        path: diverters[path] if diverters.get(path) in names else ", ".join(sorted(names))
        for path, names in found.items()
    }


def has(package: str, path: str, files: Files) -> bool:
    """Tell whether a package has a file, without looking at all packages.

    Args:
        package: Its name.
        path: The file.
        files: As for `owners`.
    """
    for suffix in ("", ":amd64", ":arm64"):
        data = _read(f"{_INFO}/{package}{suffix}.list", files)
        if data:
            return os.fsencode(path) in data.split(b"\n")
    return False


def _lists(files: Files) -> Iterator[tuple[str, bytes]]:
    """Yield the name of each package, and the paths of its files, a line each."""
    if os.fsdecode(_read(f"{_INFO}/format", files)).strip() not in _FORMATS:
        return
    with contextlib.suppress(OSError, UntrustedError):
        directory = files.directory(_INFO)
        try:
            for entry in sorted(os.listdir(directory)):
                name, dot, kind = entry.rpartition(".")
                name = name.partition(":")[0]  # what follows is its architecture
                if dot and kind == "list" and _NAME.fullmatch(name):
                    with contextlib.suppress(OSError, UntrustedError):
                        yield name, read(files.entry(directory, entry), _MAX_SIZE)
        finally:
            os.close(directory)


def _diverters(files: Files) -> dict[str, str]:
    """Return who has diverted what: three lines for each, path, new path, and package."""
    lines = os.fsdecode(_read(_DIVERSIONS, files)).split("\n")
    return dict(zip(lines[::3], lines[2::3]))


def _read(path: str, files: Files) -> bytes:
    with contextlib.suppress(OSError, UntrustedError):
        return read(files.file(path), _MAX_SIZE)
    return b""
