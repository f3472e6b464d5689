"""Open files and directories that a privileged process is going to rely on, or refuse to."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.rules import Rules
from dropin_cache.update.files.walk import ANYTHING, FILE, PLACE, Walk, open_known

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


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
        # The kernel follows links of /proc that lead to what a process has open. Users can only
        # lead themselves there; a privileged process goes by the text of links.
        self._walks = enforced or os.geteuid() == 0
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
        with self._opened(path, PLACE) as found:
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
        with self._opened(path, FILE) as found:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            return os.dup(found)

    def entry(self, directory: int, name: str) -> int:
        """Open a regular file that is in an open directory; return its descriptor, the caller's.

        Args:
            directory: Descriptor of the directory, opened with `directory`.
            name: The file's name. A symbolic link is none.

        Raises:
            OSError: It cannot be opened, or is no regular file (EINVAL; ELOOP for a link).
            UntrustedError: Others than root can change it.
        """
        known = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(known.st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        if not stat.S_ISREG(known.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        found = open_known(name, FILE | os.O_NOFOLLOW, known, directory)
        problem = self._rules.problem(found, passing=False) if self._rules is not None else ""
        if problem:
            os.close(found)
            raise UntrustedError(name, name, problem)
        return found

    def names(self, path: str) -> list[str]:
        """List what is in a directory, sorted.

        Args:
            path: As for `directory`.

        Raises:
            OSError: It cannot be opened.
            UntrustedError: Others than root can change it.
        """
        descriptor = self.directory(path)
        try:
            return sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    def status(self, path: str) -> os.stat_result:
        """Return what the system says of what a path leads to, which may be anything.

        Args:
            path: As for `directory`.

        Raises:
            OSError: There is nothing.
            UntrustedError: Others than root can change it.
        """
        with self._opened(path, ANYTHING) as found:
            return os.fstat(found)

    def kind(self, path: str) -> int:
        """Return the type of what a path leads to, as `stat.S_IFMT` has it; 0 for nothing.

        Args:
            path: As for `directory`. What is refused is nothing.
        """
        with contextlib.suppress(OSError, UntrustedError):
            return stat.S_IFMT(self.status(path).st_mode)
        return 0

    def host_path(self, path: str) -> str:
        """Return the path of a directory or regular file without links, as this machine has it.

        Args:
            path: As for `directory`.

        Raises:
            OSError: It cannot be opened, is neither (EINVAL), or there is no /proc.
            UntrustedError: Others than root can change it.
        """
        with self._opened(path, FILE) as found:
            if stat.S_IFMT(os.fstat(found).st_mode) not in (stat.S_IFDIR, stat.S_IFREG):
                raise OSError(errno.EINVAL, "neither a directory nor a regular file")
            return os.readlink(f"/proc/self/fd/{found}")

    def accepts(self, directory: int, link: str | None = None) -> bool:
        """Tell whether only root can change a directory, as far as it tells itself.

        Args:
            directory: Its descriptor.
            link: The name of a symbolic link in it; then the question is about that.

        Raises:
            OSError: It cannot be looked at.
        """
        if self._rules is None:
            return True
        if link is None:
            return not self._rules.problem(directory, passing=False)
        status = os.stat(link, dir_fd=directory, follow_symlinks=False)
        return not self._rules.entry_problem(status, os.fstat(directory))

    @contextlib.contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        """Open what a path leads to, with `flags`; a directory may come as O_PATH all the same."""
        shown = path if self._root is None else f"{self._prefix}/{path.lstrip('/')}"
        try:
            _require_usable(path)
            if self._root is None and not self._walks:
                found = open_known(path, flags, os.stat(path))
            else:
                with Walk(self._rules, self._root, shown, self._prefix) as walk:
                    found = walk.to(path, flags)
            try:
                yield found
            finally:
                os.close(found)
        except OSError as error:
            # People know the path they asked for, not the component that the kernel saw.
            raise OSError(error.errno, error.strerror, shown) from error


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
