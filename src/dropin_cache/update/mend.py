"""Undo what updates of packages wrote that are no plugin packages: around one, or Python's own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Sequence

from dropin_cache._cachefile import read_cache_file
from dropin_cache.errors import UntrustedError
from dropin_cache.update.clean import remove_cache
from dropin_cache.update.discovery.directories import Target
from dropin_cache.update.discovery.dropin_files import has_cache
from dropin_cache.update.files.cache_directory import is_writable
from dropin_cache.update.report import DirectoryReport
from dropin_cache.update.session import Session


def mend(
    session: Session, packages: Sequence[Sequence[Target]], seen: Collection[str]
) -> list[DirectoryReport]:
    """Remove caches around plugin packages, and in the standard library.

    Before such names were refused, an update of `twisted` took `twisted.plugins` for one of its
    plugin modules, and each other package in `twisted`, too; and one of `json` wrote there.

    Args:
        session: The run.
        packages: The plugin packages.
        seen: Directories that this run has seen to.

    Returns:
        What became of each directory where there was a cache.
    """
    reports: list[DirectoryReport] = []
    places = {
        (os.path.join(root, *parts[:length]), root, ".".join(parts[:length]))
        for targets in packages
        for each in targets
        for parts in [each.package.split(".")]
        for root in each.import_roots
        for length in range(1, len(parts))
    }
    roots = {root for targets in packages for each in targets for root in each.import_roots}
    for root in roots:
        if session.unchecked.kind(os.path.join(root, "os.py")):
            places |= {(each, root, os.path.basename(each)) for each in _directories_in(root)}
    for above, root, name in sorted(places):
        for path in (above, *_directories_in(above)):
            if path not in seen and _is_about(session, path, name):
                reports += remove_cache(session, path, name, root)
                for ledger in session.ledgers.each():
                    ledger.directories.pop(path, None)
    return reports


def _directories_in(directory: str) -> list[str]:
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        return sorted(each.path for each in entries if each.is_dir(follow_symlinks=False))
    return []


def _is_about(session: Session, path: str, package: str) -> bool:
    """Tell whether the cache in a directory is about modules right in a package.

    What this user cannot write is not his to undo.
    """
    if not has_cache(path) or not is_writable(path):
        return False
    try:
        descriptor = session.files.directory(path)
    except (OSError, UntrustedError):
        return False
    try:
        file = read_cache_file(descriptor)
    finally:
        os.close(descriptor)
    entries = (file.dropins() if file is not None else None) or {}
    return bool(entries) and all(
        each.moduleName.rpartition(".")[0] == package for each in entries.values()
    )
