"""Import drop-ins that no cache describes, and put them into one."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import sys
from types import ModuleType
from typing import Callable, NamedTuple

from dropin_cache import _describe, _scan
from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint, InterfaceName
from dropin_cache.errors import LockTimeoutError, NotWrittenError


class Import(NamedTuple):
    """What importing a drop-in came to.

    Attributes:
        dropin: The drop-in, as it was before the import.
        module: The module, as far as there is one.
        entry: Its description; None if the import failed.
        cacheable: Whether the entry certainly describes the file: a module that something else
            had imported before may come from an older version of it, and in a process that imports
            everything lazily less may have happened than in others.
    """

    dropin: _scan.Dropin
    module: ModuleType | None = None
    entry: CachedDropin | None = None
    cacheable: bool = False


def import_dropins(
    stale: list[_scan.Dropin],
    known: dict[str, Import],
    log_failure: Callable[[str, BaseException], object],
) -> list[Import]:
    """Import drop-ins and describe them, except those whose outcome is known.

    Args:
        stale: The drop-ins.
        known: What came of earlier imports, by path; the new ones are added.
        log_failure: Called with a message and an error.
    """
    unknown = [dropin for dropin in stale if not _is_known(known.get(dropin.path), dropin)]
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
        except KeyboardInterrupt:  # says nothing about the drop-in, and is not for us
            raise
        except BaseException as error:  # noqa: BLE001 - a drop-in may raise anything, SystemExit too
            log_failure(f"Unable to import drop-in {dropin.module}", error)
            known[dropin.path] = Import(dropin, sys.modules.get(dropin.module))
        else:
            certain = dropin not in loaded and not _imports_lazily()
            cacheable = certain and entry.fingerprint is not None
            known[dropin.path] = Import(dropin, module, entry, cacheable)
    # Another thread may have forgotten one just now, whose file is gone.
    outcomes = [known.get(dropin.path, Import(dropin)) for dropin in stale]
    if unknown:
        _forget_gone(known)
    return outcomes


def _imports_lazily() -> bool:
    """Tell whether this process imports lazily what does not ask for it: PEP 810, Python 3.15."""
    return getattr(sys, "get_lazy_imports", str)() == "all"


def _forget_gone(known: dict[str, Import]) -> None:
    """Forget drop-ins whose files are gone: there is no end of them where names are ever new."""
    for path in list(known):
        # What is in an archive is not there as a file.
        if not os.path.lexists(path) and not os.path.isfile(os.path.dirname(path)):
            known.pop(path, None)


def _is_known(known: Import | None, dropin: _scan.Dropin) -> bool:
    return (
        known is not None
        and known.dropin == dropin
        and known.module is sys.modules.get(dropin.module)
    )


def _entry(module: ModuleType, name: str, fingerprint: Fingerprint | None) -> CachedDropin:
    warnings: list[str] = []
    entry = CachedDropin(name, _describe.docstring(module.__doc__))
    entry.fingerprint = fingerprint
    found = _describe.find_plugins(module, warnings.append, KeyboardInterrupt)
    for plugin_name, description, provided in found:
        plugin = CachedPlugin(entry, plugin_name, description, provided)
        references = _describe.references_to(provided, f"{name}.{plugin_name}", warnings.append)
        plugin.references = tuple(InterfaceName(*each) for each in references)
        plugin.interfaces = tuple(_describe.names_of(provided))
    for warning in warnings:
        logging.getLogger("dropin_cache").warning("%s", warning)
    return entry


def write_back(
    bucket: _scan.Bucket, entries: dict[str, CachedDropin], imports: list[Import]
) -> NotWrittenError | None:
    """Update the cache of a directory, as far as this process may, and nobody else does.

    Args:
        bucket: The directory.
        entries: What is known of its drop-ins, by key.
        imports: Which of them have been imported for that.

    Returns:
        Why the cache could not be written.
    """
    from dropin_cache.update.files import cache_directory  # noqa: PLC0415 - only who writes needs the write path

    # Entries that may not describe the files are right for this process, and for no other.
    doubtful = {
        each.dropin for each in imports if not each.cacheable or not _scan.is_unchanged(each.dropin)
    }
    described = [
        dropin for dropin in bucket.dropins if dropin.key in entries and dropin not in doubtful
    ]
    try:
        cache_directory.write_cache(
            bucket.directory,
            [entries[dropin.key] for dropin in described],
            described,
            lock_timeout=0,
        )
    except LockTimeoutError:
        pass  # somebody else is writing it
    except NotWrittenError as error:
        return error
    except ImportError as error:  # readers need not have what locks need
        path = os.path.join(bucket.directory, _scan.CACHE_NAME)
        return NotWrittenError(path, errno.ENOSYS, str(error))
    return None
