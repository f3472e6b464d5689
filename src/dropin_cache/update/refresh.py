"""Bring the caches of one plugin package up to date."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from typing import Any, Callable, NamedTuple

from dropin_cache import _scan
from dropin_cache._cachefile import read_cache_file
from dropin_cache._encoder import encode
from dropin_cache._model import CachedDropin, Fingerprint
from dropin_cache._wire import MAX_SIZE
from dropin_cache.errors import LockTimeoutError, NotWrittenError, UnstableError
from dropin_cache.update import report, write
from dropin_cache.update.answers import Description, Failure
from dropin_cache.update.report import Broken, DirectoryReport, Request
from dropin_cache.update.targets import Target

_ATTEMPTS = 3
_UNSTABLE = Failure("its file kept changing while it was being read")

Progress = Callable[[int, int, str], object]
_Known = dict[_scan.Dropin, tuple[Fingerprint, Any]]


class _Goal(NamedTuple):
    """What a directory's cache should be.

    Attributes:
        bucket: The directory and its drop-ins.
        data: The cache's bytes; None if there should be no cache.
        newest: The newest drop-in in the cache.
        report: The report so far.
    """

    bucket: _scan.Bucket
    data: bytes | None
    newest: _scan.Dropin | None
    report: DirectoryReport


def refresh(target: Target, request: Request, progress: Progress) -> list[DirectoryReport]:
    """Write, or only compare, the caches of a plugin package.

    Files may change at any time. A drop-in is described only if its file was the same before and
    after the import, and a cache is written only if, with the lock held, the directory is still
    what was described; otherwise everything that changed is done again, a few times.

    Args:
        target: The package and the interpreter.
        request: What to do.
        progress: Called before each import with its number, their count and the name.

    Returns:
        A report for each directory that has a cache or should have one.
    """
    known: _Known = {}
    written: dict[str, str] = {}
    attempt = 0
    while True:
        attempt += 1
        buckets = _buckets(target)
        _learn(target, buckets, known, progress)
        reports = []
        try:
            for bucket in buckets:
                settled = _settle(
                    target, _goal(target, bucket, known), request, last=attempt == _ATTEMPTS
                )
                if settled.state in {report.WRITTEN, report.REMOVED}:
                    written[settled.path] = settled.state
                reports.append(settled._replace(state=written.get(settled.path, settled.state)))
            break
        except UnstableError:
            target.probe.restart()  # a module that changed must be imported anew
    if request.write:
        _tidy({*target.search_path, *(bucket.directory for bucket in buckets)}, request)
    return reports


def _buckets(target: Target) -> list[_scan.Bucket]:
    """Find everything that has a cache or should have one."""
    buckets = [
        bucket
        for bucket in _scan.scan(target.package, target.search_path, _pass_over)
        if bucket.cacheable
    ]
    # One directory can have several names on the path.
    occupied = {os.path.realpath(bucket.directory) for bucket in buckets}
    for directory in _possible_orphans(target.search_path):
        real = os.path.realpath(directory)
        if real not in occupied and os.path.lexists(os.path.join(directory, _scan.CACHE_NAME)):
            occupied.add(real)
            buckets.append(_scan.Bucket(directory, ()))
    return buckets


def _pass_over(directory: str, error: OSError) -> None:
    """Ignore a directory that cannot be read: plugins cannot be imported from it either."""


def _possible_orphans(search_path: Sequence[str]) -> list[str]:
    """List where a cache may have outlived its drop-ins: the path, and what was a package there."""
    found = []
    for directory in search_path:
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            found.append(directory)
            found += sorted(entry.path for entry in entries if _holds_only_a_cache(entry))
    return found


def _holds_only_a_cache(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) and set(os.listdir(entry.path)) - {
            "__pycache__"
        } == {_scan.CACHE_NAME}
    except OSError:
        return False


def _learn(
    target: Target, buckets: Sequence[_scan.Bucket], known: _Known, progress: Progress
) -> None:
    """Describe the drop-ins that are not known, except those that change meanwhile."""
    new = [each for bucket in buckets for each in bucket.dropins if each not in known]
    fingerprints = [_scan.fingerprint(dropin) for dropin in new]
    outcomes = target.probe.describe([dropin.module for dropin in new], progress)
    for dropin, fingerprint in zip(new, fingerprints):
        if fingerprint is None and _scan.is_unchanged(dropin):
            known[dropin] = Fingerprint(0, 0, ""), Failure("its file cannot be read")
        elif fingerprint is not None and _scan.is_unchanged(dropin):
            known[dropin] = fingerprint, outcomes[dropin.module]


def _goal(target: Target, bucket: _scan.Bucket, known: _Known) -> _Goal:
    entries: list[CachedDropin] = []
    cached: list[_scan.Dropin] = []
    broken: list[Broken] = []
    warnings: list[str] = []
    for dropin in bucket.dropins:
        fingerprint, outcome = known.get(dropin, (None, _UNSTABLE))
        if isinstance(outcome, Description) and fingerprint is not None:
            entries.append(outcome.entry(dropin.module, fingerprint))
            cached.append(dropin)
            warnings += outcome.warnings
        else:
            broken.append(Broken(dropin.module, outcome.error, outcome.traceback))
    data = _encoded(entries, cached, broken)
    newest = write.newest_of(cached)
    return _Goal(
        bucket,
        data,
        newest,
        DirectoryReport(
            path=bucket.directory,
            package=target.package,
            python=target.probe.python,
            state="",
            found=_compare(bucket, data, newest),
            modules=len(entries),
            plugins=sum(len(entry.plugins) for entry in entries),
            broken=tuple(broken),
            warnings=tuple(warnings),
        ),
    )


def _encoded(
    entries: list[CachedDropin], cached: list[_scan.Dropin], broken: list[Broken]
) -> bytes | None:
    """Encode a cache; what makes it larger than readers accept goes from one list to the other."""
    while entries:
        data = encode(entries)
        if len(data) <= MAX_SIZE:
            return data
        largest = max(range(len(entries)), key=lambda index: len(encode([entries[index]])))
        cached.pop(largest)
        reason = f"with it the cache would be larger than {MAX_SIZE >> 20} MiB"
        broken.append(Broken(entries.pop(largest).moduleName, reason))
    return None


def _compare(bucket: _scan.Bucket, data: bytes | None, newest: _scan.Dropin | None) -> str:
    """Say what the cache on disk is, measured by what it should be."""
    path = os.path.join(bucket.directory, _scan.CACHE_NAME)
    if data is None:
        return report.STALE if os.path.lexists(path) else report.FRESH
    file = read_cache_file(bucket.directory)
    if file is None:
        return report.CORRUPT if os.path.lexists(path) else report.MISSING
    if file.data == data:
        right = write.is_canonical(file.mode, file.mtime_ns, newest)
        return report.FRESH if right else report.STALE
    return report.CORRUPT if file.dropins() is None else report.STALE


def _settle(target: Target, goal: _Goal, request: Request, *, last: bool) -> DirectoryReport:
    """Make the cache what it should be, if that is asked for and needed."""
    unstable = any(each.error == _UNSTABLE.error for each in goal.report.broken)
    if unstable and not last:
        raise UnstableError(goal.bucket.directory)
    found = goal.report.found
    if not request.write:
        return goal.report._replace(state=found)
    if found == report.FRESH and (goal.data is None or not request.force):
        return goal.report._replace(state=report.UNCHANGED)
    try:
        return goal.report._replace(state=_write(target, goal, request))
    except UnstableError as error:
        if not last:
            raise
        return goal.report._replace(state=report.FAILED, error=error)
    except (NotWrittenError, LockTimeoutError) as error:
        return goal.report._replace(state=report.FAILED, error=error)


def _tidy(directories: Iterable[str], request: Request) -> None:
    """Remove what killed runs left behind, if that can be done; the caches are right anyway."""
    for directory in directories:
        if write.leftovers(directory):
            with (
                contextlib.suppress(NotWrittenError, LockTimeoutError),
                write.open_locked(directory, request.lock_timeout) as locked,
            ):
                locked.remove_leftovers()


def _write(target: Target, goal: _Goal, request: Request) -> str:
    """Write or remove a cache and return the state it is then in."""
    with write.open_locked(goal.bucket.directory, request.lock_timeout) as directory:
        if not any(_is_same(goal, bucket) for bucket in _buckets(target)):
            raise UnstableError(goal.bucket.directory)
        if not request.force and _compare(*goal[:3]) == report.FRESH:
            return report.UNCHANGED  # somebody else was quicker
        if goal.data is None:
            directory.remove()
            return report.REMOVED
        directory.replace(goal.data, goal.newest)
        return report.WRITTEN


def _is_same(goal: _Goal, bucket: _scan.Bucket) -> bool:
    """Tell whether a directory still is what was described, but for what never stands still."""
    unstable = {each.module for each in goal.report.broken if each.error == _UNSTABLE.error}
    before, now = (
        [dropin for dropin in each.dropins if dropin.module not in unstable]
        for each in (goal.bucket, bucket)
    )
    return goal.bucket.directory == bucket.directory and before == now
