"""Plugin packages that installed distributions declare, and which of them they may.

An entry point is a line of text that any distribution can have. So it counts only for a package
that the same distribution has installed, from the topmost regular package down.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import Callable, NamedTuple

from dropin_cache.errors import UntrustedError
from dropin_cache.update.discovery import distributions
from dropin_cache.update.discovery.interpreters import ENTRY_POINTS
from dropin_cache.update.discovery.owners import Owner, Owners
from dropin_cache.update.files.reading import read
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.text import is_dotted, one_line

_MAX_SIZE = 1 << 20  # bytes of a file
_MAX_NAMES = 100  # of packages that a distribution declares; the rest is left out
_MAX_TOLD = 200  # characters of a name
_MAX_LINES = 5
_FILE = "entry_points.txt"
_EGG = "EGG-INFO"
_INITS = ("__init__.py", "__init__.pyc")

# Says whether a path is a directory; None if there is nothing.
_Look = Callable[[str], "bool | None"]


class Place(NamedTuple):
    """Where a package is that an import would find.

    Attributes:
        root: The import root that it starts from.
        directories: Its directories; several of a package without a file of its own.
        files: The files of the packages above it that have one, and its own: `__init__.py`.
    """

    root: str
    directories: tuple[str, ...]
    files: tuple[str, ...]


class Declarations(NamedTuple):
    """What distributions declare.

    Attributes:
        packages: Dotted names of plugin packages, sorted.
        refused: Why others do not count, a line each.
    """

    packages: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def declarations(
    path: Sequence[str], owners: Owners, files: Files, unchecked: Files
) -> Declarations:
    """Find what distributions on a search path declare, and may.

    Args:
        path: The interpreter's `sys.path`.
        owners: Whose files are.
        files: How to open what decides.
        unchecked: How to look at what is there.
    """
    found = {
        metadata: names
        for root in path
        for metadata in distributions.metadata_directories(root, files)
        for names in [_declared_in(metadata, files)]
        if names
    }
    wanted = {name for names in found.values() for name in names if is_dotted(name)}
    places = {name: located(name, path, unchecked) for name in wanted}
    inits = [file for place in places.values() if place is not None for file in place.files]
    asked = [os.path.join(metadata, _FILE) for metadata in found]
    whose = owners.owners_of([*asked, *inits], path) if found else {}
    packages, refused = set(), {}
    for metadata, names in found.items():
        own_roots = set(_own_roots(metadata, path, files))
        mine = whose[os.path.join(metadata, _FILE)]
        for name in names:
            place = places.get(name)
            theirs = {whose[file] for file in place.files} if place is not None else set()
            # What is in a package without a file of its own is of many.
            if place is None or not theirs or is_standard(place, unchecked):
                refused[name] = metadata
            # What several claim nobody can answer for.
            elif place.root in own_roots or ({mine} == theirs and _is_one(mine)):
                packages.add(name)
            else:
                refused[name] = metadata
    lines = [
        f"{distributions.name_of(metadata, files)} declares {one_line(name[:_MAX_TOLD])}, which is "
        "no package that it has installed"
        for name, metadata in sorted(refused.items())
        if name not in packages
    ]
    more = [f"so do {len(lines) - _MAX_LINES} more"] if len(lines) > _MAX_LINES else []
    return Declarations(tuple(sorted(packages)), (*lines[:_MAX_LINES], *more))


def located(name: str, path: Sequence[str], unchecked: Files) -> Place | None:
    """Find a package as an import would, running nothing; None if there is none.

    Args:
        name: Its dotted name.
        path: The interpreter's `sys.path`.
        unchecked: How to look at what is there.
    """
    look = _looking(unchecked)
    search, files = list(path), []
    parts = name.split(".")
    for part in parts:
        portions = []
        for directory in search:
            here = os.path.join(directory, part)
            init = next((each for each in _files_in(here) if look(each) is False), None)
            if init is not None:
                portions = [here]
                files.append(init)
                break
            if look(f"{here}.py") is False:
                return None  # a module hides what comes later
            if look(here):
                portions.append(here)
        if not portions:
            return None
        search = portions
    root = search[0]
    for _ in parts:
        root = os.path.dirname(root)
    return Place(root, tuple(search), tuple(files))


def is_standard(place: Place, unchecked: Files) -> bool:
    """Tell whether a package is one of the standard library: beside the module os."""
    return _looking(unchecked)(os.path.join(place.root, "os.py")) is False


def plugin_package_in(name: str, place: Place, unchecked: Files) -> str | None:
    """Return the name of a plugin package that is right below a package which is none itself.

    What makes a plugin package can be told by its text: it extends its path.
    """
    if any(_extends_its_path(each, unchecked) for each in place.directories):
        return None
    for directory in place.directories:
        with contextlib.suppress(OSError, UntrustedError):
            for child in unchecked.names(directory):
                inner = os.path.join(directory, child)
                if child.isidentifier() and _extends_its_path(inner, unchecked):
                    return f"{name}.{child}"
    return None


def _extends_its_path(directory: str, unchecked: Files) -> bool:
    return any(b"pluginPackagePaths" in _content(file, unchecked) for file in _files_in(directory))


def _files_in(package: str) -> list[str]:
    return [os.path.join(package, name) for name in _INITS]


def _looking(unchecked: Files) -> _Look:
    def look(path: str) -> bool | None:
        try:
            return stat.S_ISDIR(unchecked.status(path).st_mode)
        except (OSError, ValueError):
            return None

    return look


def _content(file: str, files: Files) -> bytes:
    """Read a file; empty if it is missing, too large, or cannot be relied on."""
    with contextlib.suppress(OSError, ValueError, UntrustedError):
        return read(files.file(file), _MAX_SIZE)
    return b""


def _declared_in(metadata: str, files: Files) -> list[str]:
    """Return the packages that a distribution declares; PyPA's "Entry points" has the format."""
    text = os.fsdecode(_content(os.path.join(metadata, _FILE), files))
    return list(dict.fromkeys(entry_points_in(text)))[:_MAX_NAMES]


def entry_points_in(text: str) -> Iterator[str]:
    """Yield the modules that a file of entry points has in our group, line by line."""
    inside = False
    for line in map(str.strip, text.split("\n") if ENTRY_POINTS in text else ()):
        if line.startswith("["):
            inside = line == f"[{ENTRY_POINTS}]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            yield re.split(r"[:\[\s]", line.partition("=")[2].strip(), maxsplit=1)[0]


def _is_one(owner: Owner | None) -> bool:
    return owner is not None and "," not in owner.name


def _own_roots(metadata: str, path: Sequence[str], files: Files) -> Iterator[str]:
    """List the import roots that are a distribution's own: eggs, and those of editable installs.

    That of an egg holds nothing else. For an editable install the distribution has brought a `.pth`
    file that names the root, and no other distribution is there; in the old manner an `.egg-link`
    leads to it.
    """
    root, name = os.path.split(metadata)
    if name == _EGG:
        yield root
    for file in distributions.path_files_of(metadata, files):
        for line in _content(os.path.join(root, file), files).splitlines():
            named = os.path.normpath(os.path.join(root, os.fsdecode(line.strip())))
            others = distributions.metadata_directories(named, files) if named in path else ["any"]
            if all(each.endswith(".egg-info") for each in others):
                yield named
    link = f"{name.partition('.')[0]}.egg-link"
    for entry in path if name.endswith(".egg-info") else ():
        first = _content(os.path.join(entry, link), files).partition(b"\n")[0]
        if os.fsdecode(first.strip()) == root:
            yield root
