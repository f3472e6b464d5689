"""Interpreters, and what decides how one starts: its own files, and some where packages are."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dropin_cache import _quick
from dropin_cache._scan import digest_of
from dropin_cache.update.files.failures import is_failure
from dropin_cache.update.files.reading import read_file

OLDEST_PYTHON = (3, 9)

ENTRY_POINTS = "dropin_cache.packages"
"""The group of entry points by which distributions declare plugin packages."""

_ENTRY_POINTS = "entry_points.txt"
_VENV = "pyvenv.cfg"
_PATHS = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "HOME")
_CUSTOM = {"sitecustomize", "usercustomize"}
_MAX_SIZE = 1 << 20  # bytes; more of a file is not looked at, and then it counts


class Start(NamedTuple):
    """What an interpreter is.

    Attributes:
        version: Major and minor version number.
        zope: Whether it has zope.interface.
        path: Its `sys.path`.
        files: What everything that it loads at its start has been loaded from.
        packages: Plugin packages that installed distributions declare, and may, dotted names; the
            interpreter itself has no say in that.
    """

    version: tuple[int, int]
    zope: bool
    path: tuple[str, ...]
    files: tuple[str, ...]
    packages: tuple[str, ...] = ()


class Interpreter(NamedTuple):
    """An interpreter whose plugin modules are looked after.

    Attributes:
        python: Its path; not resolved, because a virtual environment is known by it.
        paths: Directories to import from, in front of its own.
        more: Directories to import from, behind its own.
        key: What tells it from others.
        shown: Further directories that its children can see.
    """

    python: str
    paths: tuple[str, ...]
    more: tuple[str, ...]
    key: str
    shown: tuple[str, ...] = ()


def interpreter_of(
    python: str, paths: Sequence[str], more: Sequence[str], shown: Sequence[str] = ()
) -> Interpreter:
    """Return an interpreter with its key; see `Interpreter`."""
    key = key_of(python, [*paths, "", *more])
    return Interpreter(python, tuple(paths), tuple(more), key, tuple(shown))


def key_of(python: str, paths: Sequence[str]) -> str:
    """Return what tells interpreters apart: for users, also what their environment says."""
    environment = {}
    if not _quick.starts_plainly():
        relevant = ("HOME", "XDG_DATA_HOME", "VIRTUAL_ENV")
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("PYTHON") or name in relevant
        }
        # An empty part of PYTHONPATH is the working directory, as "." is.
        if any(not part.startswith("/") for name in _PATHS for part in _parts_of(name)):
            environment[""] = os.getcwd()
    told = json.dumps([python, list(paths), environment], sort_keys=True)
    return digest_of(told.encode())[:32]


def _parts_of(variable: str) -> list[str]:
    """Return the paths in an environment variable; one that is empty counts for nothing."""
    value = os.environ.get(variable)
    return value.split(":") if value else []


def environment_of(python: str) -> str:
    """Return the prefix of the environment that an interpreter belongs to, without links.

    Python takes a virtual environment for one only if pyvenv.cfg is where the path of the
    interpreter says, not where that path leads to.
    """
    programs = os.path.dirname(python)
    for place in (programs, os.path.dirname(programs)):
        if os.path.lexists(os.path.join(place, _VENV)):
            return os.path.realpath(place)
    return os.path.dirname(os.path.dirname(os.path.realpath(python)))


def chain(python: str) -> list[str]:
    """List the files that decide what an interpreter is, there or not.

    For each step of what its path leads to these are a program, and two places for `pyvenv.cfg`.
    """
    found = []
    for _ in range(40):  # as many links as the kernel follows, path_resolution(7)
        directory = os.path.dirname(python)
        found.append(python)
        found += [os.path.join(place, _VENV) for place in (directory, os.path.dirname(directory))]
        try:
            python = os.path.normpath(os.path.join(directory, os.readlink(python)))
        except OSError:
            break
    return found


def path_files(roots: Iterable[str]) -> list[str]:
    """List the .pth files of directories: they say what else is on the path."""
    found = []
    for root in roots:
        try:
            names = sorted(os.listdir(root))
        except (OSError, ValueError):  # a child may name what no path can be
            continue
        found += [os.path.join(root, name) for name in names if name.endswith(".pth")]
    return found


def candidates(root: str) -> Iterator[str]:
    """List the files in an import root that may decide what a child answers when it starts.

    These are what the module site reads and runs (`.pth`, PEP 829's `.start`, sitecustomize and
    usercustomize), and the entry points of distributions, there or not. Whatever else is installed
    or removed, the path and the plugin packages stay the same.

    Args:
        root: The directory; what is none has none of these files.
    """
    try:
        names = sorted(os.listdir(root))
    except (OSError, ValueError):
        return
    for name in names:
        path = os.path.join(root, name)
        if name.endswith((".pth", ".start")) or name.partition(".")[0] in _CUSTOM:
            yield path
        elif name.endswith((".dist-info", ".egg-info", "EGG-INFO")):
            yield os.path.join(path, _ENTRY_POINTS)


def is_decisive(file: str) -> bool:
    """Tell whether a candidate decides: of entry points, those that may declare a plugin package.

    Whether they do is for `declarations` to find out.
    """
    if os.path.basename(file) != _ENTRY_POINTS:
        return True
    try:
        return ENTRY_POINTS.encode() in read_file(file, _MAX_SIZE)
    except OSError as error:
        # What is no text of a usual size may be one later.
        return is_failure(error) or error.errno == errno.EINVAL
