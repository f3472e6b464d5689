"""Find plugins: through the cache where it is fresh, by importing drop-ins where it is not."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from dropin_cache import _describe, _scan
from dropin_cache._cachefile import read_cache_file
from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint, InterfaceName
from dropin_cache.errors import LockTimeoutError, NotWrittenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from types import ModuleType


class _Import(NamedTuple):
    """What importing a drop-in came to.

    Attributes:
        dropin: The drop-in, as it was before the import.
        module: The module, as far as there is one.
        entry: Its description; None if the import failed.
        cacheable: Whether the entry certainly describes the file: a module that something else
            had imported before may come from an older version of it.
    """

    dropin: _scan.Dropin
    module: ModuleType | None = None
    entry: CachedDropin | None = None
    cacheable: bool = False


# What this process has imported, failures included, by path: a directory that is polled and whose
# cache cannot be written costs one import and one message, not one each time.
_imports: dict[str, _Import] = {}
_unwritable: dict[str, _scan.Bucket] = {}
_reported: set[tuple[str, ...]] = set()


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
        package = importlib.import_module("dropin_cache.plugins")
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
        Drop-ins by the last component of their names. Those that fail to import are left out.
    """
    combined: dict[str, CachedDropin] = {}
    search_path = getattr(module, "__path__", ())
    for bucket in _scan.scan(module.__name__, search_path, _report_unreadable):
        combined.update(_dropins_of(bucket))
    return combined


def _dropins_of(bucket: _scan.Bucket) -> dict[str, CachedDropin]:
    file = read_cache_file(bucket.directory) if bucket.cacheable else None
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
    imports = _import(stale)
    entries.update((each.dropin.key, each.entry) for each in imports if each.entry is not None)
    new = any(each.cacheable for each in imports)
    if bucket.cacheable and (new or not cached.keys() <= entries.keys()):
        _write_back(bucket, entries, imports)
    return {dropin.key: entries[dropin.key] for dropin in bucket.dropins if dropin.key in entries}


def _import(stale: list[_scan.Dropin]) -> list[_Import]:
    """Import drop-ins and describe them, except those whose outcome this process knows."""
    unknown = [dropin for dropin in stale if not _is_known(dropin)]
    # Both before the first import, which may import further ones of them: so that a file that is
    # replaced meanwhile cannot pass for the one described, nor an old module for a new file.
    fingerprints = {dropin: _scan.fingerprint(dropin) for dropin in unknown}
    loaded = {dropin for dropin in unknown if dropin.module in sys.modules}
    if unknown:
        # The scan may have seen what the import system has not yet; foreign finders may raise.
        with contextlib.suppress(Exception):
            importlib.invalidate_caches()
    for dropin in unknown:
        try:
            module = importlib.import_module(dropin.module)
            entry = _entry(module, dropin.module, fingerprints[dropin])
        except BaseException as error:  # noqa: BLE001 - a drop-in may raise anything, SystemExit too
            _log_failure(f"Unable to import drop-in {dropin.module}", error)
            _imports[dropin.path] = _Import(dropin, sys.modules.get(dropin.module))
        else:
            cacheable = dropin not in loaded and entry.fingerprint is not None
            _imports[dropin.path] = _Import(dropin, module, entry, cacheable)
    # Another thread may have forgotten one just now, whose file is gone.
    outcomes = [_imports.get(dropin.path, _Import(dropin)) for dropin in stale]
    if unknown:
        _forget_gone()
    return outcomes


def _forget_gone() -> None:
    """Forget drop-ins whose files are gone: there is no end of them where names are ever new."""
    for path in list(_imports):
        # What is in an archive is not there as a file.
        if not os.path.lexists(path) and not os.path.isfile(os.path.dirname(path)):
            _imports.pop(path, None)


def _is_known(dropin: _scan.Dropin) -> bool:
    known = _imports.get(dropin.path)
    return (
        known is not None
        and known.dropin == dropin
        and known.module is sys.modules.get(dropin.module)
    )


def _entry(module: ModuleType, name: str, fingerprint: Fingerprint | None) -> CachedDropin:
    warnings: list[str] = []
    entry = CachedDropin(name, _describe.docstring(module.__doc__))
    entry.fingerprint = fingerprint
    for plugin_name, description, provided in _describe.find_plugins(module, warnings.append):
        plugin = CachedPlugin(entry, plugin_name, description, provided)
        references = _describe.references_to(provided, f"{name}.{plugin_name}", warnings.append)
        plugin.references = tuple(InterfaceName(*each) for each in references)
        plugin.interfaces = tuple(_describe.names_of(provided))
    for warning in warnings:
        _logger().warning("%s", warning)
    return entry


def _write_back(
    bucket: _scan.Bucket, entries: dict[str, CachedDropin], imports: list[_Import]
) -> None:
    """Update the cache of a directory, or log once that this process may not."""
    if _unwritable.get(bucket.directory) == bucket:
        return
    from dropin_cache.update import write  # noqa: PLC0415 - only who writes needs the write path

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
        _logger().error("%s: %s", message, _describe.one_line(error))


def _report_once(message: str, arguments: dict[str, Any]) -> None:
    key = (message, *map(str, arguments.values()))
    if key not in _reported:
        _reported.add(key)
        _logger().warning(message, arguments)


def _logger() -> logging.Logger:
    import logging  # noqa: PLC0415 - a reader that finds all well never needs it

    return logging.getLogger("dropin_cache")
