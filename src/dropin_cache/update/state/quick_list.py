"""Note what a run was about, if nothing is left to do; `dropin_cache._quick` tells what for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dropin_cache import _quick
from dropin_cache._scan import CACHE_NAME
from dropin_cache.errors import UntrustedError
from dropin_cache.update import report
from dropin_cache.update.discovery.dropin_files import possible_dropins
from dropin_cache.update.files.atomic import remove_leftovers, replace_file
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.report import Report, Said
from dropin_cache.update.state.ledgers import Ledgers
from dropin_cache.update.state.observations import TICK

Package = tuple[str, Sequence[str], Sequence[str]]
"""A plugin package: its dotted name, its `__path__`, and the import roots."""


class _UnsettledError(Exception):
    """Something may have changed after the run had looked at it."""


class Seen(NamedTuple):
    """Paths, and when a run had not looked at them yet, nanoseconds since the epoch."""

    since: int
    paths: Sequence[str]


def is_done(result: Report) -> bool:
    """Tell whether a run has met with nothing that another would have to do with, too."""
    return not result.problems and all(each.error is None for each in result.directories)


def is_settled(result: Report, checked: Report) -> bool:
    """Tell whether another run would do and say nothing.

    Args:
        result: What a run has done.
        checked: What a comparison has found afterwards.
    """
    as_before = {
        each.path
        for each in result.directories
        if each.state == report.UNCHANGED and not any(broken.news for broken in each.broken)
    }
    return all(
        each.path in as_before
        or (each.state == report.FRESH and not each.further and not each.remarks)
        for each in checked.directories
    )


def is_for_all(checked: Report) -> bool:
    """Tell whether a check finds all fresh, and has to say the same of it to every user."""
    return (
        not checked.problems
        and not checked.warnings
        and all(
            # Plugin modules that root refuses are named without their files; others take them.
            each.state == report.FRESH and all(broken.path for broken in each.broken)
            for each in checked.directories
        )
    )


def said(packages: Iterable[Package], check: Said) -> list[bytes]:
    """Return what tells a check what to print, and for whom.

    Args:
        packages: As for `paths_of`.
        check: What it says; nothing if it has to find that out.
    """
    told = (*check.lines, *check.warnings)
    if not check.lines or not all(line.isascii() and line.isprintable() for line in told):
        return []  # how that is printed, depends on the locale
    used = {path for _, *places in packages for path in (*places[0], *places[1])}
    return [
        _quick.ENDED + b"%d" % check.status,
        *(_quick.SAID + line.encode() for line in check.lines),
        *(_quick.WARNED + line.encode() for line in check.warnings),
        *(
            os.fsencode(path)
            for path in sorted(used)
            if os.path.isabs(path) and os.path.exists(path)
        ),
    ]


def keep(files: Files, ledgers: Ledgers, once: Seen, again: Seen, entries: Sequence[bytes]) -> None:
    """Write the list of everything that a run was about, if it has left nothing to do.

    Args:
        files: How to open the directory of the list.
        ledgers: The run's ledgers.
        once: What it was about.
        again: What it has compared once more since it wrote; of paths in both, that counts.
        entries: What else belongs into the list.
    """
    with contextlib.suppress(_UnsettledError, OSError, UntrustedError):
        # With our own files, because another version may find something else to do.
        package = os.path.dirname(_quick.__file__)
        ours = [place for place, _, names in os.walk(package) if "__init__.py" in names]
        since = {**dict.fromkeys((*ours, *once.paths), once.since)}
        since.update(dict.fromkeys(again.paths, again.since))
        lines = [_settled(os.fsencode(path), since[path] - TICK) for path in sorted(since)]
        # This run may have written them, but they are nothing that the run was about.
        lines += [_quick.line_of(os.fsencode(path)) for path in ledgers.paths()]
        lines = [*entries, *lines]
        data = b"".join(b"%b\0" % line for line in (_quick.heading_of(len(lines)), *lines))
        if len(data) <= _quick.MAX_SIZE:
            descriptor = files.directory(_quick.STATE_DIRECTORY)
            try:
                remove_leftovers(descriptor, _quick.list_name())
                replace_file(descriptor, _quick.list_name(), data)
            finally:
                os.close(descriptor)


def paths_of(packages: Iterable[Package], result: Report) -> Iterator[str]:
    """List what tells whether plugin directories are as a run has found them.

    Args:
        packages: For each plugin package, its dotted name, its `__path__`, and the import roots.
        result: What the run found.
    """
    directories = {each.path for each in result.directories}
    for package, search_path, import_roots in packages:
        directories.update(search_path)
        directories.update(os.path.join(root, *package.split(".")) for root in import_roots)
    for directory in directories:
        yield from (directory, os.path.join(directory, CACHE_NAME))
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield from (os.path.join(directory, name) for name in possible_dropins(directory))


def _settled(path: bytes, began: int) -> bytes:
    """Return the entry for a path.

    Raises:
        _UnsettledError: The run may have seen it when it was different.
    """
    entry = _quick.line_of(path)
    there = path
    while entry.startswith(b"-") and not os.path.exists(there):
        there = os.path.dirname(there)  # where it would have been removed from
    if os.stat(there).st_ctime_ns >= began:
        raise _UnsettledError
    return entry
