"""Directories of packages: where installers put things, and whether anything in them has changed.

This looks at whole directories, at some ten microseconds a file, because an installer may change
anything: `make install` overwrites a file without a trace in the directory's date.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterable

from dropin_cache._scan import CACHE_NAME
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.report import Request
from dropin_cache.update.settings import configuration
from dropin_cache.update.targets import python_paths

Snapshot = dict[str, tuple[int, int, int]]

_BYTECODE = "__pycache__"  # written by every import


def prefix_of(python: str) -> str:
    """Return the prefix of an interpreter; not resolved, so that of a virtual environment."""
    return os.path.dirname(os.path.dirname(os.path.abspath(python)))


def sites(prefix: str) -> list[str]:
    """Return the directories of packages below a prefix, whatever the versions of Python."""
    prefixes = [prefix, "/usr/local"] if prefix == "/usr" else [prefix]
    return sorted(
        path
        for each in prefixes
        for kind in ("site", "dist")
        for path in glob.glob(f"{glob.escape(each)}/lib*/python3*/{kind}-packages")
        # lib64 may be a link to lib.
        if not os.path.islink(os.path.dirname(os.path.dirname(path)))
    )


def configured_pythons() -> tuple[str, ...]:
    """Return the paths of the interpreters that the configuration names."""
    with Files(enforced=os.geteuid() == 0) as files:
        return configuration.load(files).interpreters


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
    write them.
    """
    found: Snapshot = {}
    pending = list(directories)
    while pending:
        # A directory that is not there, or goes away meanwhile, has nothing in it.
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.name in {_BYTECODE, CACHE_NAME}:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    found[entry.path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found
