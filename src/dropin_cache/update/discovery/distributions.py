"""Which distribution installed a file, by the metadata that Python's installers leave.

That is RECORD in `*.dist-info`
(https://packaging.python.org/en/latest/specifications/recording-installed-packages/) and
installed-files.txt in `*.egg-info`, pip's own for what setuptools installed.
"""

from __future__ import annotations

import contextlib
import csv
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.reading import read
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.text import one_line

_MAX_SIZE = 16 << 20  # bytes; the longest RECORDs have some 10,000 lines of 150
_MAX_LINE = 8192  # bytes, two paths of PATH_MAX; what is longer names no file
_MAX_HITS = 20_000  # lines of one RECORD about what is in directories of one name
_MANY = 16  # files in one directory
_MAX_NAME = 200  # characters
_MAX_PATH_FILES = 10
# https://packaging.python.org/en/latest/specifications/name-normalization/
_NAME = re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9]", re.IGNORECASE | re.ASCII)


class Distribution(NamedTuple):
    """What was installed.

    Attributes:
        name: What it calls itself; nothing keeps others from doing so, too.
        metadata: The directory that tells of it, which no other has.
    """

    name: str
    metadata: str


class _Layout(NamedTuple):
    suffix: str
    record: str
    metadata: str


_EGG = "EGG-INFO"
_LAYOUTS = {
    ".dist-info": _Layout(".dist-info", "RECORD", "METADATA"),
    ".egg-info": _Layout(".egg-info", "installed-files.txt", "PKG-INFO"),
    _EGG: _Layout(_EGG, "installed-files.txt", "PKG-INFO"),
}


def distributions(
    paths: Sequence[str], import_roots: Sequence[str], files: Files
) -> dict[str, list[Distribution]]:
    """Find the distributions that installed files.

    The work grows with the size of what is read, whatever is in it.

    Args:
        paths: The files, absolute.
        import_roots: Where distributions are installed, absolute; each is asked about all files,
            for installers also put some outside.
        files: How to open what is read; what others than root can change says nothing.

    Returns:
        All that claim a file, sorted, by its path; without the files that belong to none.
    """
    wanted = {path: os.path.normpath(path) for path in paths}
    places = set(wanted.values())
    found: dict[str, set[Distribution]] = {}
    for root in import_roots if wanted else ():
        words = _words(places, root)
        for directory in metadata_directories(root, files):
            layout = _layout(directory)
            # The lines of a RECORD are relative to the import root, the others to the metadata.
            inside = root if layout.suffix == ".dist-info" else directory
            lines = _files(directory, layout, words, files)
            mine = places & {os.path.normpath(os.path.join(inside, line)) for line in lines}
            name = _name(directory, layout, files) if mine else None
            for place in mine if name is not None else ():
                found.setdefault(place, set()).add(Distribution(str(name), directory))
    return {path: sorted(found[at]) for path, at in wanted.items() if at in found}


def metadata_directories(root: str, files: Files) -> list[str]:
    """List what tells of the distributions in an import root; an egg is one of its own."""
    with contextlib.suppress(OSError, ValueError, UntrustedError):
        return [
            os.path.join(root, name) for name in files.names(root) if name.endswith(tuple(_LAYOUTS))
        ]
    return []


def name_of(directory: str, files: Files) -> str:
    """Return what a distribution calls itself, or what its directory of metadata is called."""
    return _name(directory, _layout(directory), files) or one_line(os.path.basename(directory))


def path_files_of(directory: str, files: Files) -> list[str]:
    """List the `.pth` files that a distribution has brought into its import root."""
    layout = _layout(directory)
    data = _read(os.path.join(directory, layout.record), files)
    found = (line.partition(",")[0].strip() for line in _lines_with(data, b".pth"))
    names = [name for name in found if name.endswith(".pth") and "/" not in name]
    return names[:_MAX_PATH_FILES] if layout.suffix == ".dist-info" else []


def _layout(directory: str) -> _Layout:
    return _LAYOUTS[os.path.splitext(directory)[1] or _EGG]


def _words(places: set[str], root: str) -> set[str]:
    """Return what stands in lines about files: nearly all are about others, and a look is cheap."""
    names: dict[str, list[str]] = {}
    for above, name in map(os.path.split, places):
        # What is outside, right inside, or metadata, need not be recorded with the directory.
        inner = above.startswith(f"{root}/") and not above.endswith(tuple(_LAYOUTS))
        names.setdefault(f"{os.path.basename(above)}/" if inner else "", []).append(name)
    return {
        word
        for above, inside in names.items()
        # Each word is looked for by itself, so for many files it is the directory's.
        for word in ([above] if above and len(inside) > _MANY else inside)
    }


def _files(directory: str, layout: _Layout, words: set[str], files: Files) -> Iterator[str]:
    """Yield the recorded files whose lines hold one of some words, as they are recorded."""
    data = _read(os.path.join(directory, layout.record), files)
    for word in words:
        # In a field with quotes, these are doubled.
        written = word.replace('"', '""') if layout.suffix == ".dist-info" else word
        for line in _lines_with(data, os.fsencode(written)):
            file = line.rstrip("\r")
            if layout.suffix == ".dist-info":
                try:
                    (file, *_) = next(csv.reader([file]), [""])
                except (csv.Error, ValueError):  # one bad line says nothing about the others
                    continue
            yield file


def _lines_with(data: bytes, word: bytes) -> Iterator[str]:
    """Yield the lines that hold a word."""
    at = 0
    for _ in range(_MAX_HITS):
        at = data.find(word, at)
        if at < 0:
            return
        start = data.rfind(b"\n", max(0, at - _MAX_LINE), at) + 1
        end = data.find(b"\n", at, at + _MAX_LINE)
        if start or at < _MAX_LINE:
            yield os.fsdecode(data[start : end if end >= 0 else at + _MAX_LINE])
        at = (end if end >= 0 else at + _MAX_LINE) + 1


def _name(directory: str, layout: _Layout, files: Files) -> str | None:
    """Return the name of a distribution: from its metadata, else from that of the directory."""
    text = os.fsdecode(_read(os.path.join(directory, layout.metadata), files))
    head = text.replace("\r", "").partition("\n\n")[0]
    match = re.search(r"^Name:[ \t]*(\S+)[ \t]*$", head, re.MULTILINE | re.IGNORECASE)
    name = match[1] if match else os.path.basename(directory)[: -len(layout.suffix)].split("-")[0]
    return name if len(name) <= _MAX_NAME and _NAME.fullmatch(name) else None


def _read(path: str, files: Files) -> bytes:
    """Read a file; empty if it is missing, too large, or cannot be relied on."""
    with contextlib.suppress(OSError, UntrustedError):
        return read(files.file(path), _MAX_SIZE)
    return b""
