"""Going to what a path leads to, one component after the other, each from the one before."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.rules import Rules

# A FIFO without a writer would block the open; a terminal would become the process's own.
FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Flags to open a regular file for reading, whatever comes into its place in that moment."""

# Where there is no O_PATH, symbolic links are refused: this does not open them.
PLACE: int = getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC
"""Flags to hold anything, without doing anything to it."""

ANYTHING = PLACE | os.O_NONBLOCK
"""The same, for what need not be a directory."""

_MAX_LINKS = 40  # as in the kernel


class Walk(contextlib.AbstractContextManager["Walk"]):
    """The way from the root to what a path leads to, with a descriptor for each directory on it.

    The descriptors make ".." right: it is the directory that this walk came from, whatever was
    moved meanwhile, and there is none above the first.
    """

    def __init__(self, rules: Rules | None, root: int | None, shown: str, prefix: str) -> None:
        """Start at the root.

        Args:
            rules: What to refuse, if anything.
            root: Descriptor of the directory to take for `/`; None for the machine's.
            shown: What people asked for, for refusals.
            prefix: The root's path, for the same.
        """
        self._rules = rules
        self._root = root
        self._shown = shown
        self._prefix = prefix
        self._way = [os.open("/", PLACE) if root is None else os.dup(root)]
        self._names: list[str] = []
        self._links = 0

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        for descriptor in self._way:
            os.close(descriptor)

    def to(self, path: str, flags: int) -> int:
        """Go there and return the descriptor of what is there, which is the caller's.

        Only a regular file is opened with `flags`; anything else comes as O_PATH, which does
        nothing to it.
        """
        if self._root is None and not path.startswith("/"):
            path = os.path.join(os.getcwd(), path)
        pending = _components(path)
        self._check(passing=True)
        while pending:
            name = pending.pop()
            if name == "..":
                self._leave()
            else:
                pending += self._enter(name, PLACE if pending else flags)
        self._check(passing=False)
        return self._way.pop()

    def _enter(self, name: str, flags: int) -> list[str]:
        """Go one step on; return the components to which that leads if it is a symbolic link."""
        directory = self._way[-1]
        # A link is opened itself.
        self._way.append(os.open(name, PLACE | os.O_NOFOLLOW, dir_fd=directory))
        self._names.append(name)
        status = os.fstat(self._way[-1])
        if self._rules is not None:
            self._refuse(self._rules.entry_problem(status, os.fstat(directory)))
        if stat.S_ISLNK(status.st_mode):
            return self._follow(self._way[-1])
        if flags == PLACE and not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if flags == FILE and stat.S_ISREG(status.st_mode):
            found = open_known(name, flags | os.O_NOFOLLOW, status, directory)
            os.close(self._way.pop())
            self._way.append(found)
        self._check(passing=True)
        return []

    def _follow(self, link: int) -> list[str]:
        self._links += 1
        if self._links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink("", dir_fd=link)  # that very link
        self._leave()
        while target.startswith("/") and self._names:
            self._leave()
        return _components(target)

    def _leave(self) -> None:
        if self._names:  # the root has no parent
            self._names.pop()
            os.close(self._way.pop())

    def _check(self, *, passing: bool) -> None:
        if self._rules is not None:
            self._refuse(self._rules.problem(self._way[-1], passing=passing))

    def _refuse(self, problem: str) -> None:
        if problem:
            component = "/".join((self._prefix, *self._names)) or "/"
            raise UntrustedError(self._shown, component, problem)


def open_known(path: str, flags: int, known: os.stat_result, directory: int | None = None) -> int:
    """Open what has been looked at.

    Opening a device can do something by itself, and a FIFO can block, so a file is looked at first.
    What comes into its place meanwhile cannot block either, and is not taken for it.

    Raises:
        OSError: It cannot be opened, or another one is there by now (ESTALE).
    """
    if not stat.S_ISREG(known.st_mode):
        flags = PLACE
    descriptor = os.open(path, flags, dir_fd=directory)
    if flags == PLACE or os.path.samestat(os.fstat(descriptor), known):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def _components(path: str) -> list[str]:
    """Split a path, last component first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
