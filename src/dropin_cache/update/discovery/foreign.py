"""Whose a plugin directory is: what a user cannot write is not his failure."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dropin_cache.update.discovery.directories import PluginDirectory, Target


def foreign_directories(
    directories: Sequence[PluginDirectory], targets: Sequence[Target]
) -> set[str]:
    """Return the paths of directories that are another user's, and are none of this one's business.

    That is so where this user has an import root of his own besides, such as that of a virtual
    environment with the system's packages, or what pip installs for him alone. Who has none, and
    updates or checks the system, means the system.

    Args:
        directories: Those of a plugin package.
        targets: The package as each interpreter sees it.
    """
    roots = {root for target in targets for root in target.import_roots}
    if not any(os.access(root, os.W_OK) for root in roots):
        return set()
    return {each.directory for each in directories if not _is_own(each.directory)}


def _is_own(directory: str) -> bool:
    """Tell whether a cache in a directory is this user's to write, be it impossible right now."""
    try:
        return os.access(directory, os.W_OK) or os.stat(directory).st_uid == os.geteuid()
    except OSError:  # it has just gone
        return True
