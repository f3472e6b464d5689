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
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_MAX_SIZE = 16 << 20  # bytes; the longest RECORDs have some 10,000 lines of 150
# https://packaging.python.org/en/latest/specifications/name-normalization/
_NAME = re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9]", re.IGNORECASE | re.ASCII)


class _Layout(NamedTuple):
    suffix: str
    record: str
    metadata: str


_LAYOUTS = (
    _Layout(".dist-info", "RECORD", "METADATA"),
    _Layout(".egg-info", "installed-files.txt", "PKG-INFO"),
)


def distributions(
    paths: Sequence[str], import_roots: Sequence[str], image: str = ""
) -> dict[str, str]:
    """Find the names of the distributions that installed files.

    Args:
        paths: The files, absolute.
        import_roots: Where distributions are installed, absolute; each is asked about all files,
            for installers also put some outside.
        image: Directory that the others are in; empty for `/`.

    Returns:
        Names by path; without the files that belong to no distribution.
    """
    wanted = {path: os.path.normpath(path) for path in paths}
    places = set(wanted.values())
    # Nearly all lines are about other files, and a look at the name is cheap.
    names = {os.path.basename(place) for place in places}
    found: dict[str, str] = {}
    for root in import_roots if wanted else ():
        for directory, layout in _metadata_directories(image + root):
            # The lines of a RECORD are relative to the import root, the others to the metadata.
            inside = root if layout.suffix == ".dist-info" else directory[len(image) :]
            lines = _files(directory, layout, names)
            mine = places & {os.path.normpath(os.path.join(inside, line)) for line in lines}
            name = _name(directory, layout) if mine else None
            if name is not None:
                found = {**dict.fromkeys(mine, name), **found}
    return {path: found[place] for path, place in wanted.items() if place in found}


def _metadata_directories(root: str) -> Iterator[tuple[str, _Layout]]:
    with contextlib.suppress(OSError, ValueError):
        for name in sorted(os.listdir(root)):
            for layout in _LAYOUTS:
                if name.endswith(layout.suffix):
                    yield os.path.join(root, name), layout


def _files(directory: str, layout: _Layout, names: set[str]) -> Iterator[str]:
    """Yield the recorded files that have one of these names, as they are recorded."""
    for line in _text(os.path.join(directory, layout.record)).split("\n"):
        file = line.rstrip("\r")
        if layout.suffix == ".dist-info":
            try:
                (file, *_) = next(csv.reader([file]), [""])
            except (csv.Error, ValueError):  # one bad line says nothing about the others
                continue
        if os.path.basename(file) in names:
            yield file


def _name(directory: str, layout: _Layout) -> str | None:
    """Return the name of a distribution: from its metadata, else from that of the directory."""
    text = _text(os.path.join(directory, layout.metadata))
    head = text.replace("\r", "").partition("\n\n")[0]
    match = re.search(r"^Name:[ \t]*(\S+)[ \t]*$", head, re.MULTILINE | re.IGNORECASE)
    name = match[1] if match else os.path.basename(directory)[: -len(layout.suffix)].split("-")[0]
    return name if _NAME.fullmatch(name) else None


def _text(path: str) -> str:
    """Read a file; empty if it is missing, too large, or no regular file."""
    with contextlib.suppress(OSError):
        # A FIFO without a writer would block the open.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_SIZE:
                return file.read(_MAX_SIZE).decode("utf-8", "surrogateescape")
    return ""
