"""Note what a run was about, if nothing is left to do; `dropin_cache._quick` tells what for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from dropin_cache import _quick
from dropin_cache._scan import CACHE_NAME
from dropin_cache.errors import UntrustedError
from dropin_cache.update import report
from dropin_cache.update.discovery.dropin_files import possible_dropins
from dropin_cache.update.files.atomic import is_temporary, replace_file
from dropin_cache.update.report import Report, Request
from dropin_cache.update.session import Session
from dropin_cache.update.settings import configuration
from dropin_cache.update.state.ledger import TICK
from dropin_cache.update.targets import Targets

_MODE = 0o644


class _UnsettledError(Exception):
    """Something may have changed after the run had looked at it."""


def keep(session: Session, targets: Targets, result: Report, began: int) -> None:
    """Write the list of everything that this run was about, if it found all as it should be.

    Args:
        session: The run.
        targets: What it was about.
        result: What it found.
        began: When it had not looked at anything yet, nanoseconds since the epoch.
    """
    if not session.privileged or session.request != Request() or not _is_quiet(result):
        return
    with contextlib.suppress(_UnsettledError, OSError, UntrustedError):
        paths = sorted({os.fsencode(path) for path in _paths(targets, result)})
        entries = [_settled(path, began - TICK) for path in paths]
        # This run may have written it, but it is nothing that the run was about.
        entries.append(_quick.line_of(os.fsencode(session.ledger.path)))
        data = b"".join(b"%b\0" % line for line in (_quick.heading_of(len(entries)), *entries))
        if len(data) <= _quick.MAX_SIZE:
            descriptor = session.files.directory(_quick.PLACE)
            try:
                _remove_leftovers(descriptor)
                replace_file(descriptor, _quick.NAME, data, _MODE)
            finally:
                os.close(descriptor)


def _is_quiet(result: Report) -> bool:
    """Tell whether another run would say nothing, too."""
    return not result.problems and all(
        each.state == report.UNCHANGED and not any(broken.news for broken in each.broken)
        for each in result.directories
    )


def _paths(targets: Targets, result: Report) -> Iterator[str]:
    # With our own files, because another version may find something else to do.
    yield from (os.path.dirname(__file__), os.path.dirname(_quick.__file__))
    yield from configuration.paths()
    for probe in targets.probes:
        yield from probe.memory.paths()
    directories = {each.path for each in result.directories}
    for each in (target for package in targets.packages for target in package):
        directories.update(each.search_path or ())
        parts = each.package.split(".")
        directories.update(os.path.join(root, *parts) for root in each.probe.import_roots)
    for directory in directories:
        yield from (directory, os.path.join(directory, CACHE_NAME))
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield from (os.path.join(directory, name) for name in possible_dropins(directory))


def _remove_leftovers(directory: int) -> None:
    """Remove what killed runs have left; a run that loses its file so has no list, no more."""
    for name in os.listdir(directory):
        if is_temporary(name, _quick.NAME):
            os.unlink(name, dir_fd=directory)


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
