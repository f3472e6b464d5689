"""Remove what kept directories when an installer took zope.interface along with all plugins."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from dropin_cache.errors import UntrustedError
from dropin_cache.update.clean import remove_cache
from dropin_cache.update.discovery.differences import Difference
from dropin_cache.update.environments import BUILT_IN_PACKAGES
from dropin_cache.update.report import DirectoryReport
from dropin_cache.update.session import Session
from dropin_cache.update.targets import directories


def abandoned(session: Session, import_roots: Sequence[str]) -> list[DirectoryReport]:
    """Remove what was written for an interpreter that has lost zope.interface, and its plugins.

    Installers leave what they have not installed, and what is left of a package can be imported.
    Where there still are plugin modules, zope.interface may come back.

    Args:
        session: The run.
        import_roots: What the interpreter imports from.

    Returns:
        What became of each directory where there was a cache.
    """
    records = (each.directories.values() for each in session.ledgers.each())
    names = [
        *BUILT_IN_PACKAGES,
        *(line.package for line in session.settings.packages),
        *(record.package for each in records for record in each),
    ]
    reports: list[DirectoryReport] = []
    for package, path in directories(dict.fromkeys(names), import_roots, session.unchecked):
        with contextlib.suppress(OSError, UntrustedError):
            os.close(session.files.directory(path))
            if not Difference.of(package, path).files:
                root = path[: -len(os.path.join(os.sep, *package.split(".")))]
                reports += remove_cache(session, path, package, root)
    return reports
