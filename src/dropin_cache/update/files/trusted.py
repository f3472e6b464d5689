"""Open files and directories that a privileged process is going to rely on, or refuse to."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.rules import Rules

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A FIFO without a writer would block the open; a terminal would become the process's own.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# Where there is no O_PATH, symbolic links are refused: this does not open them.
_PLACE: int = getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC
_MAX_LINKS = 40  # as in the kernel


class Files(contextlib.AbstractContextManager["Files"]):
    """How the writer opens things that it is going to rely on.

    With `enforced`, a path is refused if others than root could change what it leads to: every
    directory on the way, every symbolic link and the thing itself must be root's, and closed to
    other writers. A sticky directory on the way may be open to all, as /tmp is.

    Each component is opened relative to the descriptor of the one before, and what is checked is
    what that descriptor holds, so nobody can swap a component between check and use. Only a
    regular file is opened a second time, to be read; it has to be the same one.
    """

    def __init__(
        self, *, enforced: bool, groups: frozenset[int] = frozenset(), root: str | None = None
    ) -> None:
        """Open the root, if there is one.

        Args:
            enforced: Whether to refuse. If not, the process relies on what its user relies on.
            groups: Numbers of the groups, besides 0, that may write.
            root: A directory to take for `/`; nothing leads out of it.

        Raises:
            OSError: The root cannot be opened.
            UntrustedError: Others than root can change it.
        """
        self._rules = Rules(groups) if enforced else None
        self._root: int | None = None
        self._prefix = ""
        if root is not None:
            self._root = self.directory(root)
            self._prefix = root.rstrip("/")

    def __exit__(self, *_: object) -> None:
        """Close the root."""
        self.close()

    def close(self) -> None:
        """Close the root, if there is one; below it nothing can be opened any more."""
        if self._root is not None and self._root >= 0:
            os.close(self._root)
            self._root = -1  # with None, the same paths would be those of the machine

    def directory(self, path: str) -> int:
        """Open a directory and return its descriptor, which is the caller's to close.

        Args:
            path: Its path; a relative one starts at the root, or else where the process is.

        Raises:
            OSError: It cannot be opened. The file name is the whole path, the root's included.
            UntrustedError: Others than root can change it.
        """
        with self._opened(path, _PLACE) as found:
            # Not a second look-up: this cannot be anything else than what was found.
            return os.open(".", _DIRECTORY, dir_fd=found)

    def file(self, path: str) -> int:
        """Open a regular file for reading and return its descriptor, which is the caller's.

        Args:
            path: As for `directory`.

        Raises:
            OSError: It cannot be opened, or is no regular file (EINVAL).
            UntrustedError: Others than root can change it.
        """
        with self._opened(path, _FILE) as found:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            return os.dup(found)

    def host_path(self, path: str) -> str:
        """Return the path of a directory or regular file without links, as this machine has it.

        Args:
            path: As for `directory`.

        Raises:
            OSError: It cannot be opened, is neither (EINVAL), or there is no /proc.
            UntrustedError: Others than root can change it.
        """
        with self._opened(path, _FILE) as found:
            if stat.S_IFMT(os.fstat(found).st_mode) not in (stat.S_IFDIR, stat.S_IFREG):
                raise OSError(errno.EINVAL, "neither a directory nor a regular file")
            return os.readlink(f"/proc/self/fd/{found}")

    @contextlib.contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        """Open what a path leads to, with `flags`; a directory may come as O_PATH all the same."""
        shown = path if self._root is None else f"{self._prefix}/{path.lstrip('/')}"
        try:
            _require_usable(path)
            if self._root is None and self._rules is None:
                found = _open_known(path, flags, os.stat(path))
            else:
                with _Walk(self._rules, self._root, shown, self._prefix) as walk:
                    found = walk.to(path, flags)
            try:
                yield found
            finally:
                os.close(found)
        except OSError as error:
            # People know the path they asked for, not the component that the kernel saw.
            raise OSError(error.errno, error.strerror, shown) from error


class _Walk(contextlib.AbstractContextManager["_Walk"]):
    """The way from the root to what a path leads to, with a descriptor for each directory on it.

    The descriptors make ".." right: it is the directory that this walk came from, whatever was
    moved meanwhile, and there is none above the first.
    """

    def __init__(self, rules: Rules | None, root: int | None, shown: str, prefix: str) -> None:
        self._rules = rules
        self._root = root
        self._shown = shown
        self._prefix = prefix
        self._way = [os.open("/", _PLACE) if root is None else os.dup(root)]
        self._names: list[str] = []
        self._links = 0

    def __exit__(self, *_: object) -> None:
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
                pending += self._enter(name, _PLACE if pending else flags)
        self._check(passing=False)
        return self._way.pop()

    def _enter(self, name: str, flags: int) -> list[str]:
        """Go one step on; return the components to which that leads if it is a symbolic link."""
        directory = self._way[-1]
        # A link is opened itself.
        self._way.append(os.open(name, _PLACE | os.O_NOFOLLOW, dir_fd=directory))
        self._names.append(name)
        status = os.fstat(self._way[-1])
        if self._rules is not None:
            self._refuse(self._rules.entry_problem(status, os.fstat(directory)))
        if stat.S_ISLNK(status.st_mode):
            return self._follow(self._way[-1])
        if flags == _PLACE and not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if flags == _FILE and stat.S_ISREG(status.st_mode):
            found = _open_known(name, flags | os.O_NOFOLLOW, status, directory)
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


def _open_known(path: str, flags: int, known: os.stat_result, directory: int | None = None) -> int:
    """Open what has been looked at.

    Opening a device can do something by itself, and a FIFO can block, so a file is looked at first.
    What comes into its place meanwhile cannot block either, and is not taken for it.

    Raises:
        OSError: It cannot be opened, or another one is there by now (ESTALE).
    """
    if not stat.S_ISREG(known.st_mode):
        flags = _PLACE
    descriptor = os.open(path, flags, dir_fd=directory)
    if flags == _PLACE or os.path.samestat(os.fstat(descriptor), known):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def _require_usable(path: str) -> None:
    """Raise OSError for what no path can be, as the system would if Python asked it."""
    if not path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    try:
        if b"\0" not in os.fsencode(path):
            return
    except UnicodeEncodeError:  # not made from any bytes
        pass
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _components(path: str) -> list[str]:
    """Split a path, last component first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
