"""Find plugins: through the cache where it is fresh, by importing drop-ins where it is not."""

from __future__ import annotations

import os
import sys

from dropin_cache import _scan
from dropin_cache._cachefile import CacheFile, read_cache_file
from dropin_cache._snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any

    from dropin_cache._importing import Import
    from dropin_cache._model import CachedDropin


# What this process has imported, failures included, by path: a directory that is polled and whose
# cache cannot be written costs one import and one message, not one each time.
_imports: dict[str, Import] = {}
_unwritable: dict[str, _scan.Bucket] = {}
_reported: set[tuple[str, ...]] = set()
# What it has found, by package.
_snapshots: dict[str, Snapshot] = {}


def getPlugins(interface: Any, package: ModuleType | None = None) -> Iterator[Any]:
    """Yield the plugins that provide an interface, or adapt to it.

    Only modules whose plugins are yielded are imported, as far as the cache is fresh.

    Args:
        interface: The zope.interface interface asked for.
        package: The plugin package to search; `dropin_cache.plugins` if not given.

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
    snapshot = _snapshots.get(module.__name__)
    if snapshot is None or snapshot.search_path != search_path or not snapshot.holds():
        snapshot = Snapshot(search_path)
        for bucket in _scan.scan(
            module.__name__, search_path, _report_unreadable, snapshot.status, snapshot.listing
        ):
            snapshot.dropins.update(_dropins_of(bucket, snapshot))
        if snapshot.settled:
            _snapshots[module.__name__] = snapshot
    return dict(snapshot.dropins)


def _dropins_of(bucket: _scan.Bucket, snapshot: Snapshot) -> dict[str, CachedDropin]:
    file = _cache_of(bucket, snapshot)
    cached = (file.dropins() if file is not None else None) or {}
    entries: dict[str, CachedDropin] = {}
    stale: list[_scan.Dropin] = []
    for dropin in bucket.dropins:
        entry = cached.get(dropin.key)
        if (
            entry is not None
            and file is not None
            and entry.moduleName == dropin.module
            and _scan.is_fresh(entry.fingerprint, dropin, file.mtime)
        ):
            entries[dropin.key] = entry
        else:
            stale.append(dropin)
    imports = _import(stale) if stale else []
    entries.update((each.dropin.key, each.entry) for each in imports if each.entry is not None)
    new = any(each.cacheable for each in imports)
    if bucket.cacheable and (new or not cached.keys() <= entries.keys()):
        _write_back(bucket, entries, imports)
        snapshot.settled &= _unwritable.get(bucket.directory) == bucket
    snapshot.settled &= bucket.cacheable and not stale
    return {dropin.key: entries[dropin.key] for dropin in bucket.dropins if dropin.key in entries}


def _cache_of(bucket: _scan.Bucket, snapshot: Snapshot) -> CacheFile | None:
    if not bucket.cacheable:
        return None
    try:
        # Before it is read, so that it cannot pass for another one that takes its place.
        snapshot.status(os.path.join(bucket.directory, _scan.CACHE_NAME))
    except OSError:
        return None
    return read_cache_file(bucket.directory)


def _import(stale: list[_scan.Dropin]) -> list[Import]:
    # Only who imports drop-ins needs what it takes.
    from dropin_cache._importing import import_dropins  # noqa: PLC0415

    return import_dropins(stale, _imports, _log_failure)


def _write_back(
    bucket: _scan.Bucket, entries: dict[str, CachedDropin], imports: list[Import]
) -> None:
    """Update the cache of a directory, or log once that this process may not."""
    if _unwritable.get(bucket.directory) == bucket:
        return
    # Only who writes needs the write path.
    from dropin_cache.errors import LockTimeoutError, NotWrittenError  # noqa: PLC0415
    from dropin_cache.update import write  # noqa: PLC0415

    # Entries that may not describe the files are right for this process, and for no other.
    doubtful = {
        each.dropin for each in imports if not each.cacheable or not _scan.is_unchanged(each.dropin)
    }
    described = [
        dropin for dropin in bucket.dropins if dropin.key in entries and dropin not in doubtful
    ]
    try:
        write.write_cache(
            bucket.directory,
            [entries[dropin.key] for dropin in described],
            described,
            lock_timeout=0,
        )
    except LockTimeoutError:
        pass  # somebody else is writing it
    except NotWrittenError as error:
        _unwritable[bucket.directory] = bucket
        _report_once(
            "Unable to write to plugin cache %(path)s: error number %(errno)d",
            {"path": error.path, "errno": error.errno},
        )


def _report_unreadable(directory: str, error: OSError) -> None:
    _report_once(
        "Unable to read plugin directory %(path)s: error number %(errno)d",
        {"path": directory, "errno": error.errno},
    )


def _log_failure(message: str, error: BaseException) -> None:
    try:
        _logger().error("%s", message, exc_info=error)
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
