"""Directories of packages: where installers put things, and whether anything in them has changed.

This looks at whole directories, at some ten microseconds a file, because an installer may change
anything: `make install` overwrites a file without a trace in the directory's date.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator

from dropin_cache._scan import CACHE_NAME
from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.contents import contents
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.report import Request
from dropin_cache.update.settings import configuration
from dropin_cache.update.settings.configuration import Settings
from dropin_cache.update.targets import python_paths

Snapshot = dict[str, tuple[int, int, int]]

CUT_SHORT = ""
"""A key of a snapshot in which there is more than could be looked at."""

_LEFT_OUT = frozenset(["__pycache__", CACHE_NAME])  # the former is written by every import
_MAX_FILES = 500_000  # some five seconds
_MAX_TIME = 20.0  # seconds; a file system may be slow, or another user's


@contextlib.contextmanager
def opening() -> Iterator[tuple[Files, Settings]]:
    """Open things by the rules of trust where there is privilege; read the configuration."""
    privileged = os.geteuid() == 0
    with Files(enforced=privileged) as strict:
        settings = configuration.load(strict)
    with Files(enforced=privileged, groups=settings.trusted_groups) as files:
        yield files, settings


def prefix_of(python: str) -> str:
    """Return the prefix of an interpreter; not resolved, so that of a virtual environment."""
    return os.path.dirname(os.path.dirname(os.path.abspath(python)))


def is_own(prefix: str) -> bool:
    """Tell whether an environment is this user's: nobody else has a hand in what it runs.

    Root has rules for that, and whoever can change the environment is looked at. Of others only
    the owner is: it has to be this user, or root.
    """
    # An interpreter is opened by its path, and that may lead elsewhere.
    return are_own(prefix, os.path.join(prefix, "bin"))


def are_own(*paths: str) -> bool:
    """Tell whether all of these are there, and this user's by the rules of `is_own`."""
    with opening() as (files, _), contextlib.suppress(OSError, UntrustedError):
        return all(files.status(path).st_uid in {0, os.geteuid()} for path in paths)
    return False


def sites(prefix: str) -> list[str]:
    """Return the directories of packages below a prefix, whatever the versions of Python."""
    found: dict[tuple[int, int], str] = {}
    with opening() as (files, _):
        for each in [prefix, "/usr/local"] if prefix == "/usr" else [prefix]:
            for library in _directories(files, each, "lib"):
                for version in _directories(files, library, "python3"):
                    for path in _directories(files, version, "dist-packages", "site-packages"):
                        # lib64 may be a link to lib.
                        status = files.status(path)
                        found.setdefault((status.st_dev, status.st_ino), path)
    return sorted(found.values())


def _directories(files: Files, directory: str, *starts: str) -> Iterator[str]:
    """Yield the directories in a directory whose names start with one of these."""
    with contextlib.suppress(OSError, UntrustedError):
        for name in files.names(directory):
            if name.startswith(starts):
                path = os.path.join(directory, name)
                if files.kind(path) == stat.S_IFDIR:
                    yield path


def configured_pythons() -> tuple[str, ...]:
    """Return the paths of the interpreters that the configuration names."""
    with opening() as (_, settings):
        return settings.interpreters


def everywhere(request: Request) -> list[str]:
    """Return the directories of packages that an update is about."""
    if request.root is not None:  # who builds an image knows when it is done
        return []
    pythons = python_paths(request.pythons)
    if os.geteuid() == 0 and not request.pythons:
        pythons += configured_pythons()
    found = [site for python in pythons for site in sites(prefix_of(python))]
    return list(dict.fromkeys([*found, *request.paths]))


def snapshot(directories: Iterable[str]) -> Snapshot:
    """Return what there is in directories and below: date, size and identity of each file.

    Links are not followed. Caches and compiled files are left out, because reading alone may
    write them. A directory that is not there has nothing in it, nor has one that is not looked at
    by the rules of trust.
    """
    found: Snapshot = {}
    deadline = time.monotonic() + _MAX_TIME
    with opening() as (files, _):
        for directory in directories:
            with contextlib.suppress(OSError, UntrustedError):
                for path, status in contents(files, directory, _LEFT_OUT):
                    if len(found) >= _MAX_FILES or time.monotonic() > deadline:
                        found[CUT_SHORT] = (0, 0, 0)
                        return found
                    found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found
