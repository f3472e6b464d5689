"""Find plugins: through the cache where it is fresh, by importing drop-ins where it is not."""

from __future__ import annotations

import os
import sys
import time

from dropin_cache import _conform as _conform  # noqa: PLC0414 - every plugin that is asked needs it
from dropin_cache import _scan
from dropin_cache._cachefile import read_cache_file
from dropin_cache._model import NO_CACHE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any

    from dropin_cache._model import CachedDropin, CacheTimes
    from dropin_cache._regenerate import Import

    Decoded = tuple[tuple[int, ...], CacheTimes, dict[str, CachedDropin]]


# The kernel's clock for files stands still for up to 10 ms, and a file can change twice meanwhile.
_TICK = 20_000_000

# What this process has imported, failures included, by path: a directory that is polled and whose
# cache cannot be written costs one import and one message, not one each time.
_imports: dict[str, Import] = {}
_unwritable: dict[str, _scan.Bucket] = {}
_reported: set[tuple[str, ...]] = set()
# What it has found, by package.
_snapshots: dict[str, _Snapshot] = {}


def getPlugins(interface: Any, package: ModuleType | None = None) -> Iterator[Any]:
    """Yield the plugins that provide an interface, or adapt to it.

    Only modules whose plugins are yielded are imported, as far as the cache is fresh. Where Twisted
    wrote it, the modules of the interfaces that it names may be, too.

    Args:
        interface: The zope.interface interface asked for.
        package: The plugin package to search; `dropin_cache.plugins` if not given.

    Raises:
        KeyboardInterrupt: While a module was imported; it is tried again by the next search.

    Yields:
        Plugins: along the package's `__path__`, by module name, in the order of definition.
    """
    if package is None:
        __import__("dropin_cache.plugins")
        package = sys.modules["dropin_cache.plugins"]
    for dropin in getCache(package).values():
        for plugin in dropin.plugins:
            try:
                found = interface(plugin, None)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - loading may raise anything
                _log_failure(f"Unable to load plugin {dropin.moduleName}.{plugin.name}", error)
                continue
            if found is not None:
                yield found


# Twisted's name from before it had a convention for names.
getPlugIns = getPlugins


def getCache(module: ModuleType) -> dict[str, CachedDropin]:
    """Return what is known about the drop-ins of a plugin package, importing as few as possible.

    Drop-ins that the cache lacks or that have changed are imported, and the cache is updated where
    this process may write it.

    Args:
        module: The plugin package, a module object.

    Returns:
        Drop-ins by the last component of their names. Those that fail to import are left out. The
        dictionary is new each time; as long as no file changes, its values are the same.
    """
    search_path = list(getattr(module, "__path__", ()))
    former = snapshot = _snapshots.get(module.__name__)
    if snapshot is None or snapshot.search_path != search_path or not snapshot.holds():
        snapshot = _Snapshot(search_path, {} if former is None else former.decoded)
        for bucket in _scan.scan(
            module.__name__, search_path, snapshot.unreadable, snapshot.status, snapshot.listing
        ):
            snapshot.dropins.update(_dropins_of(bucket, snapshot))
        _snapshots[module.__name__] = snapshot
    return dict(snapshot.dropins)


def _dropins_of(bucket: _scan.Bucket, snapshot: _Snapshot) -> dict[str, CachedDropin]:
    times, cached = _cache_of(bucket, snapshot)
    entries: dict[str, CachedDropin] = {}
    stale: list[_scan.Dropin] = []
    for dropin in bucket.dropins:
        entry = cached.get(dropin.key)
        if (
            entry is not None
            and entry.moduleName == dropin.module
            and _scan.is_described(entry, dropin, times)
        ):
            entries[dropin.key] = entry
        else:
            stale.append(dropin)
    imports = _import(stale) if stale else []
    entries.update((each.dropin.key, each.entry) for each in imports if each.entry is not None)
    new = any(each.cacheable for each in imports)
    # What cannot be looked at may be there, and be the same as ever, the next time.
    whole = bucket.directory not in snapshot.hiding
    if bucket.cacheable and whole and (new or not cached.keys() <= entries.keys()):
        if _unwritable.get(bucket.directory) != bucket:
            _write_back(bucket, entries, imports)
        snapshot.settled &= _unwritable.get(bucket.directory) == bucket
    snapshot.imports += imports
    snapshot.settled &= bucket.cacheable
    return {dropin.key: entries[dropin.key] for dropin in bucket.dropins if dropin.key in entries}


def _cache_of(
    bucket: _scan.Bucket, snapshot: _Snapshot
) -> tuple[CacheTimes, dict[str, CachedDropin]]:
    """Return the times of a directory's cache, and what is in it; decode it once for each file."""
    if not bucket.cacheable:
        return NO_CACHE, {}
    path = os.path.join(bucket.directory, _scan.CACHE_NAME)
    try:
        # Before it is read, so that it cannot pass for another one that takes its place.
        status = snapshot.status(path)
    except OSError:
        return NO_CACHE, {}
    known = snapshot.former.get(path)
    if known is None or known[0] != _identity(status):
        file = read_cache_file(bucket.directory)
        dropins = (file.dropins() if file is not None else None) or {}
        known = _identity(status), NO_CACHE if file is None else file.times, dropins
    if not snapshot.is_recent(status):
        snapshot.decoded[path] = known
    return known[1:]


def _import(stale: list[_scan.Dropin]) -> list[Import]:
    # Only who imports drop-ins needs what it takes.
    from dropin_cache._regenerate import import_dropins  # noqa: PLC0415

    return import_dropins(stale, _imports, _log_failure)


def _write_back(
    bucket: _scan.Bucket, entries: dict[str, CachedDropin], imports: list[Import]
) -> None:
    from dropin_cache._regenerate import write_back  # noqa: PLC0415

    error = write_back(bucket, entries, imports)
    if error is not None:
        _unwritable[bucket.directory] = bucket
        _report_once(
            "Unable to write to plugin cache %(path)s: error number %(errno)d",
            {"path": error.path, "errno": error.errno},
        )


def _log_failure(message: str, error: BaseException) -> None:
    try:
        _logger().error("%s", message, exc_info=error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - to show the traceback, methods of the error are called
        from dropin_cache._describe import one_line  # noqa: PLC0415

        _logger().error("%s: %s", message, one_line(error))


def _report_once(message: str, arguments: dict[str, Any]) -> None:
    key = (message, *map(str, arguments.values()))
    if key not in _reported:
        _reported.add(key)
        _logger().warning(message, arguments)


def _logger() -> logging.Logger:
    import logging  # noqa: PLC0415 - a reader that finds all well never needs it

    return logging.getLogger("dropin_cache")


class _Snapshot:
    """What a plugin package and its caches were when its drop-ins were found.

    As long as every directory lists the same and every file is the same, the drop-ins are, too.

    Attributes:
        search_path: The package's `__path__`.
        dropins: What was found.
        imports: What came of drop-ins that no cache describes.
        hiding: Directories of which it is not known whether something is a drop-in.
        settled: Whether anything can be told from it later.
        former: What had been decoded when it was taken: the identities of caches, their times and
            drop-ins, by path.
        decoded: The same, of caches that are there now.
    """

    def __init__(self, search_path: list[Any], former: dict[str, Decoded]) -> None:
        """Start with nothing but what was decoded before."""
        self.search_path = search_path
        self.dropins: dict[str, Any] = {}
        self.imports: list[Import] = []
        self.hiding: set[str] = set()
        self.settled = True
        self.former = former
        self.decoded: dict[str, Decoded] = {}
        self._listings: dict[str, _scan.Listing | int | None] = {}
        self._files: dict[str, tuple[int, ...] | None] = {}
        self._recent = time.time_ns() - _TICK

    def listing(self, directory: str) -> _scan.Listing:
        """Do what `_scan.list_directory` does, and remember it."""
        try:
            listed = self._listings[directory] = _scan.list_directory(directory)
        except NotADirectoryError:  # an archive, and nobody looks into it again
            self.settled = False
            raise
        except OSError as error:
            self._listings[directory] = error.errno
            raise
        return listed

    def status(self, path: str) -> os.stat_result:
        """Do what `os.stat` does, and remember it."""
        try:
            found = os.stat(path)
        except OSError:
            self._files[path] = None
            raise
        self._files[path] = _identity(found)
        if self.is_recent(found):
            self.settled = False
        return found

    def is_recent(self, status: os.stat_result) -> bool:
        """Tell whether a file may still change without showing it."""
        return status.st_ctime_ns >= self._recent

    def unreadable(self, path: str, error: OSError) -> None:
        """Tell people that a directory cannot be read, or a file not be looked at."""
        self.hiding.add(os.path.dirname(path))
        what = "read plugin directory" if path in self._listings else "look at"
        _report_once(
            f"Unable to {what} %(path)s: error number %(errno)d",
            {"path": path, "errno": error.errno},
        )

    def holds(self) -> bool:
        """Look at everything again, and tell whether the same would be found."""
        return (
            self.settled
            and all(each.module is sys.modules.get(each.dropin.module) for each in self.imports)
            and all(_listing_of(path) == listed for path, listed in self._listings.items())
            and all(_identity_of(path) == identity for path, identity in self._files.items())
        )


def _listing_of(directory: str) -> _scan.Listing | int | None:
    try:
        return _scan.list_directory(directory)
    except OSError as error:
        return error.errno


def _identity_of(path: str) -> tuple[int, ...] | None:
    try:
        return _identity(os.stat(path))
    except OSError:
        return None


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Return what cannot all stay the same when a file is changed or replaced."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
