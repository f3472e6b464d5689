"""Note what a run was about, if nothing is left to do; `dropin_cache._quick` tells what for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence

from dropin_cache import _quick
from dropin_cache._scan import CACHE_NAME
from dropin_cache.errors import UntrustedError
from dropin_cache.update import report
from dropin_cache.update.discovery.dropin_files import possible_dropins
from dropin_cache.update.files.atomic import remove_leftovers, replace_file
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.report import Report
from dropin_cache.update.state.ledgers import Ledgers
from dropin_cache.update.state.observations import TICK


class _UnsettledError(Exception):
    """Something may have changed after the run had looked at it."""


def keep(files: Files, ledgers: Ledgers, result: Report, began: int, paths: Iterable[str]) -> None:
    """Write the list of everything that a run was about, if it found all as it should be.

    Args:
        files: How to open the directory of the list.
        ledgers: The run's ledgers.
        result: What it found.
        began: When it had not looked at anything yet, nanoseconds since the epoch.
        paths: What it was about.
    """
    if not (ledgers.keeps and _is_quiet(result)):
        return
    with contextlib.suppress(_UnsettledError, OSError, UntrustedError):
        # With our own files, because another version may find something else to do.
        package = os.path.dirname(_quick.__file__)
        ours = [place for place, _, names in os.walk(package) if "__init__.py" in names]
        every = sorted({os.fsencode(path) for path in (*ours, *paths)})
        entries = [_settled(path, began - TICK) for path in every]
        # This run may have written them, but they are nothing that the run was about.
        entries += [_quick.line_of(os.fsencode(path)) for path in ledgers.paths()]
        data = b"".join(b"%b\0" % line for line in (_quick.heading_of(len(entries)), *entries))
        if len(data) <= _quick.MAX_SIZE:
            descriptor = files.directory(_quick.STATE_DIRECTORY)
            try:
                remove_leftovers(descriptor, _quick.list_name())
                replace_file(descriptor, _quick.list_name(), data)
            finally:
                os.close(descriptor)


def paths_of(
    packages: Iterable[tuple[str, Sequence[str], Sequence[str]]], result: Report
) -> Iterator[str]:
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


def _is_quiet(result: Report) -> bool:
    """Tell whether another run would say nothing, too."""
    return not result.problems and all(
        each.state == report.UNCHANGED and not any(broken.news for broken in each.broken)
        for each in result.directories
    )


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
