"""Which package RPM says has a file.

Its database has several formats, so rpm(8) is asked. It writes where it only reads: as root, a lock
and what goes with SQLite's. So of an image it gets a copy, without what the image says to rpm. What
is in there may have been made to break rpm, so that is started as somebody who is not root.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Container, Sequence
from typing import NamedTuple

from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.copies import copied
from dropin_cache.update.files.trusted import Files

_RPM = "/usr/bin/rpm"
# Only where there is a database may rpm be asked: as root it would make one.
_DATABASES = ("/usr/lib/sysimage/rpm", "/usr/share/rpm", "/var/lib/rpm")
_FILES = ("rpmdb.sqlite", "Packages.db", "Packages")
# What they need beside them: a log of changes, and Berkeley DB's and ndb's indexes.
_MORE = ("rpmdb.sqlite-wal", "Index.db", "Basenames", "Dirnames", "Name", "Installtid")
_TIMEOUT = 10.0  # seconds; it answers in less than one
_BATCH = 256  # paths on a command line: far from its limit of some 2 MiB
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")


class Reader(NamedTuple):
    """Who asks rpm about an image.

    Attributes:
        command: The start of a command line that makes a process that user's; may be empty.
        uid: The number of the user.
        gid: The number of its group.
    """

    command: tuple[str, ...]
    uid: int
    gid: int


def owners(
    paths: Sequence[str], files: Files, *, image: bool, reader: Reader | None = None
) -> dict[str, str]:
    """Find the packages that have files.

    Args:
        paths: The files, as a package may have them.
        files: How to find the database, and to open it if it is an image's.
        image: Whether that is not this machine's.
        reader: Who asks about an image; without, rpm is not asked about it.

    Returns:
        The package of each path that has one; of several, all of them, separated by commas.
    """
    for directory in _DATABASES if paths else ():
        names: list[str] = []
        with contextlib.suppress(OSError, UntrustedError):
            names = files.names(directory)
        if not set(_FILES).isdisjoint(names):
            if not image:
                return _of_machine(paths, directory)
            if reader is None:
                return {}
            here = [name for name in (*_FILES, *_MORE) if name in names]
            with (
                contextlib.suppress(OSError, UntrustedError),
                copied(files, directory, here, (reader.uid, reader.gid)) as copy,
            ):
                return _of_image(paths, copy, reader)
            return {}
    return {}


def _of_machine(paths: Sequence[str], database: str) -> dict[str, str]:
    """Ask about files of this machine: a line for each, in order; more if it has several owners."""
    command = [_RPM, "--dbpath", database, "-q", "--qf", "%{NAME}\\n", "--file", "--"]
    lines = []
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        # The status is the number of files that belong to nobody.
        said = _run([*command, *batch], statuses=range(_BATCH + 1)).splitlines()
        if len(said) != len(batch):
            answers = [_run([*command, path]).splitlines() for path in batch]
            said = [", ".join(sorted(set(each))) for each in answers]
        lines += said
    return {
        path: names
        for path, names in zip(paths, lines)
        if all(_NAME.fullmatch(name) for name in names.split(", "))
    }


def _of_image(paths: Sequence[str], database: str, reader: Reader) -> dict[str, str]:
    """Have all files listed: rpm, asked about one, looks at its directories on this machine."""
    query = ["--dbpath", database, "-q", "--all", "--qf", "[%{=NAME}\\t%{FILENAMES}\\n]"]
    wanted = set(paths)
    found: dict[str, set[str]] = {}
    for line in _run([*reader.command, _RPM, *query]).split("\n"):
        name, _, path = line.partition("\t")
        if path in wanted and _NAME.fullmatch(name):
            found.setdefault(path, set()).add(name)
    return {path: ", ".join(sorted(names)) for path, names in found.items()}


def _run(command: list[str], statuses: Container[int] = (0,)) -> str:
    """Return what a command prints; nothing if it fails."""
    import subprocess  # noqa: PLC0415 - all is well in most runs, and nobody asks

    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(  # noqa: S603 - fixed programs, no shell
            command,
            input=b"",  # not DEVNULL: a chroot may have no such device
            capture_output=True,
            env=_ENVIRONMENT,
            cwd="/",
            timeout=_TIMEOUT,
            check=False,
        )
        if done.returncode in statuses:
            return os.fsdecode(done.stdout)
    return ""
