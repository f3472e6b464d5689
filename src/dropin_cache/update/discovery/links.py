"""Where the symbolic links in a tree of packages lead.

Installers make trees of links to what they keep elsewhere: uv (`--link-mode symlink`) and conda one
for each file, stow and Nix one for a whole directory where they can.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Callable

from dropin_cache.errors import UntrustedError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_DEPTH = 40
"""How many directories deep links are looked for at most; each takes a descriptor."""

_MAX_DIRECTORIES = 50_000  # of a run; large sites have some thousands


class Links:
    """One look at the links in trees; none is looked at twice."""

    def __init__(
        self, opened: Callable[[str], int], is_reliable: Callable[[int, str | None], bool]
    ) -> None:
        """Look at nothing yet.

        Args:
            opened: Opens a directory.
            is_reliable: Tells of the descriptor of a directory, and of the name of a link in it if
                one is given, whether nobody else can change it. What others can change is passed
                over.
        """
        self._opened, self._is_reliable = opened, is_reliable
        # By the identity of directories: how deep the look went in which they were seen.
        self._seen: dict[tuple[int, int], int] = {}

    def targets(self, tree: str, depth: int = MAX_DEPTH) -> set[str]:
        """Find what the links in a tree lead to outside of it.

        Where a link and its target are called the same, and so are the directories above both, the
        topmost of these stands for all that is in it: `/site/twisted/web/http.py`, which leads to
        `/store/twisted/web/http.py`, stands for `/store/twisted`.

        Args:
            tree: The canonical path of a directory; a file has no links in it.
            depth: How many directories deep to look.

        Returns:
            Absolute paths. They may not exist, and may be links themselves.
        """
        found = set()
        with contextlib.suppress(OSError, UntrustedError):
            for inside, text in self._links(self._opened(tree), "", depth, depth):
                path = os.path.normpath(os.path.join(tree + os.path.dirname(inside), text))
                if not f"{path}/".startswith(f"{tree}/"):
                    found.add(_topmost(inside, path))
        return found

    def _links(
        self, descriptor: int, place: str, depth: int, left: int
    ) -> Iterator[tuple[str, str]]:
        """Yield the links in a directory and below it, and what they say; close the directory.

        Args:
            descriptor: Of the directory.
            place: Its path below the tree.
            depth: How many directories deep the whole look goes.
            left: How many are left of these.
        """
        try:
            status = os.fstat(descriptor)
            identity = status.st_dev, status.st_ino
            full = left < 0 or len(self._seen) >= _MAX_DIRECTORIES
            seen = self._seen.get(identity, -1) >= depth
            if full or seen or not self._is_reliable(descriptor, None):
                return
            self._seen[identity] = depth
            links, directories = _listed(descriptor)
            for name in links:
                with contextlib.suppress(OSError):  # it has just gone
                    if self._is_reliable(descriptor, name):
                        yield f"{place}/{name}", os.readlink(name, dir_fd=descriptor)
            for name in directories:
                with contextlib.suppress(OSError):  # likewise, or it is closed to this user
                    inner = os.open(name, _DIRECTORY, dir_fd=descriptor)
                    yield from self._links(inner, f"{place}/{name}", depth, left - 1)
        finally:
            os.close(descriptor)


def _listed(directory: int) -> tuple[list[str], list[str]]:
    """Return the names of the links and of the directories in a directory."""
    links, directories = [], []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                name = entry.name
                # What has a dot in front is not Python's: .git, .tox
                if not name.startswith(".") and name != "__pycache__":
                    directories.append(name)
            elif entry.is_symlink():
                links.append(entry.name)
    return links, directories


def gathered(paths: set[str], most: int, withheld: frozenset[str]) -> set[str]:
    """Return some directories in which all of some paths are, or as many as can be.

    Args:
        paths: Absolute paths.
        most: How many there may be.
        withheld: Directories that do not count; what lies right in them stays by itself.
    """
    depth = max((path.count("/") for path in paths), default=0)
    while len(paths) > most and depth > 1:
        above = {path: os.path.dirname(path) for path in paths if path.count("/") == depth}
        paths = {
            path if above.get(path, "/") in withheld else above.get(path, path) for path in paths
        }
        depth -= 1
    return paths


def _topmost(inside: str, path: str) -> str:
    """Return the topmost directory of a target that is called as the link's, inside of its tree."""
    ours, theirs = inside.strip("/").split("/"), path.split("/")
    same = 0
    while same < len(ours) and ours[-1 - same :][:1] == theirs[-1 - same :][:1]:
        same += 1
    return "/".join(theirs[: len(theirs) - same + 1]) if same else path
