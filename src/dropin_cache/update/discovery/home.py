"""Which directories are a plugin package's own.

The package's code says what is on its path, and may say anything: `/etc`, or the directory of
another package. Root writes only in what is the package's own, or is allowed by the configuration.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from dropin_cache.update.files.trusted import Files


class Home:
    """Tells which directories are a plugin package's own."""

    def __init__(self, files: Files, allowed: Sequence[str]) -> None:
        """Look at nothing yet.

        Args:
            files: How to find out where links lead, whoever can change them.
            allowed: Directories that count as anybody's own, and so does what is below.
        """
        self._files, self._allowed = files, allowed

    def import_root(
        self, package: str, roots: Sequence[str], directory: str, *, links: bool
    ) -> str | None:
        """Return the import root that a directory of a plugin package belongs to; None for none.

        Its own is the directory in an import root that is called as the package is, and what is
        below that. Of what is allowed besides, the first import root with the package answers.

        Args:
            package: The package's dotted name.
            roots: The import roots.
            directory: The directory's path.
            links: Whether links below the package's directory may lead elsewhere.
        """
        bases = {os.path.normpath(os.path.join(root, *package.split("."))): root for root in roots}
        if directory in bases:
            return bases[directory]
        for base, root in bases.items():
            if links and _is_at_or_below(directory, base):
                return root
        place = self._canonical(directory)
        for base, root in bases.items():
            if _is_at_or_below(place, self._canonical(base)):
                return root
        if any(_is_at_or_below(place, self._canonical(path)) for path in self._allowed):
            return next((root for base, root in bases.items() if self._canonical(base)), None)
        return None

    def _canonical(self, path: str) -> str:
        """Return the canonical path of a directory; empty if there is none."""
        with contextlib.suppress(OSError):
            return self._files.host_path(path)
        return ""


def _is_at_or_below(path: str, directory: str) -> bool:
    return bool(path and directory) and f"{path}/".startswith(f"{directory}/")
