"""What a confined child may read: an allow-list, the same for all tiers of the sandbox.

It is made of the system's programs and libraries, a few files below /etc without which libraries
behave oddly, what belongs to the interpreter, the import roots, and what symbolic links in there
lead to.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional, Protocol

from dropin_cache.errors import DirectoryError, InterpreterError, UntrustedError
from dropin_cache.update.discovery.links import MAX_DEPTH, Links, gathered
from dropin_cache.update.discovery.prefixes import belongings, resolved
from dropin_cache.update.files.failures import passing_over
from dropin_cache.update.sandbox.policy import ETC, KERNEL, STORES, SYSTEM, TOP_LEVEL, WITHHELD

# What `.pth` files name beyond that is left out: each costs some arguments and calls, and bwrap(1)
# takes 9,000 arguments. A path this deep would take a descriptor for each of its components.
_MAX_NAMED = 400  # with the directories above them
_MAX_DEPTH = 64
_LIBRARY_DEPTH = 2  # of links in the standard library, where those right in it stand for all
_MAX_LINKED = 64  # directories that links lead to; each costs every child some time
_MAX_ROUNDS = 8  # links that lead to trees with links in them


class Entry(NamedTuple):
    """A file or directory that the child can read.

    Attributes:
        source: Its canonical path on this machine.
        destination: Where the child finds it.
    """

    source: str
    destination: str


class Link(NamedTuple):
    """A symbolic link at the top of the file system.

    Attributes:
        target: What it says.
        destination: Where it is.
    """

    target: str
    destination: str


class HostPaths(Protocol):
    """What of `files.trusted.Files` is needed here."""

    def host_path(self, path: str) -> str:
        """Return a canonical path on this machine."""

    def directory(self, path: str) -> int:
        """Open a directory and return its descriptor."""

    def accepts(self, directory: int, link: str | None = None) -> bool:
        """Tell whether only root can change a directory, or a symbolic link in it."""


class View(NamedTuple):
    """What a child may read.

    Attributes:
        entries: The files and directories, sorted by destination; none is below another.
        links: The links.
        interpreter: Canonical paths on this machine that the interpreter cannot do without.
        roots: The import roots: as they were given, and their canonical paths on this machine.
        left_out: What is named by `.pth` files, or links lead to, and is too much or too deep.
    """

    entries: tuple[Entry, ...]
    links: tuple[Link, ...]
    interpreter: tuple[str, ...]
    roots: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        python: str | None,
        roots: Sequence[str] = (),
        *,
        root: str | None = None,
        files: Optional[HostPaths] = None,  # noqa: UP045 - evaluated on Python 3.9
    ) -> View:
        """Find out what a child needs.

        What is named by `.pth` files is part of it if it exists, is not withheld and, with
        `files`, can be relied on; otherwise it is left out, and cannot be imported.

        Args:
            python: Path of the interpreter; None for the system alone.
            roots: Directories to import from; those that do not exist are passed over.
            root: A directory to be taken for `/`. Symbolic links in it are followed as by a
                process that has it for its root, so that nothing of this machine is shown.
            files: Checks who can change what a path leads to, and takes the same root for `/`.
                Without that, whoever can write above a directory that the child is shown can have
                it shown another one, which nobody could reach otherwise.

        Raises:
            DirectoryError: A root is a directory that is never shown as a whole.
            InterpreterError: The interpreter lies in such a directory.
            UntrustedError: The interpreter or a root can be changed by others.
        """
        return _Collector(root, files).collect(python, roots)

    def covered(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Return those of some paths, as the child has them, that are part of the view."""
        shown = {entry.destination for entry in self.entries}
        shown |= {link.destination for link in self.links}
        return tuple(
            path
            for path in paths
            if not shown.isdisjoint((normal := os.path.normpath(path), *above(normal)))
        )

    def source_above(self, path: str) -> str | None:
        """Return the source of the entry that shows something of this machine; None if none does.

        Args:
            path: Its canonical path on this machine.
        """
        sources = {entry.source for entry in self.entries}
        return next((each for each in (path, *above(path)) if each in sources), None)


class _Collector:
    """Collects the entries of a view."""

    def __init__(self, root: str | None, files: HostPaths | None) -> None:
        self._prefix = "" if root is None else os.path.realpath(root).rstrip("/")
        self._files = files
        self._entries: dict[str, str] = {}  # sources by destination
        self._left_out: list[str] = []
        # Canonical paths of what may be full of links, and how deep to look.
        self._trees: dict[str, int] = {}

    def collect(self, python: str | None, roots: Sequence[str]) -> View:
        links = tuple(self._add_system())
        interpreter = () if python is None else tuple(self._add_interpreter(python))
        found = [(path, host) for path in roots if (host := self._add_root(path)) is not None]
        self._add_linked()
        tops = {link.destination for link in links}
        places = {*self._entries, *tops}
        entries = [
            Entry(source, place)
            for place, source in sorted(self._entries.items())
            # What is below another entry is there already, or at its canonical path.
            if place not in tops and not places.intersection(above(place))
        ]
        return View(tuple(entries), links, interpreter, tuple(found), tuple(self._left_out))

    def _add_system(self) -> Iterator[Link]:
        self._add_if_possible("/usr")
        for name in TOP_LEVEL:
            try:
                yield Link(os.readlink(f"{self._prefix}/{name}"), f"/{name}")
            except OSError:  # no link
                self._add_if_possible(f"/{name}")
        etc: list[str] = []
        with contextlib.suppress(OSError):
            etc = os.listdir(self._prefix + resolved("/etc", self._prefix))
        for name in (*ETC, *(name for name in etc if name.startswith("python3."))):
            self._add_if_possible(f"/etc/{name}")

    def _add_interpreter(self, python: str) -> Iterator[str]:
        """Add what belongs to an interpreter; yield what it cannot do without."""
        found = belongings(python, self._prefix, self._resolve)
        for directory in found.programs:
            # If it is not there, starting it will tell.
            with passing_over():
                host = self._add(directory)
                if host is None:
                    raise InterpreterError(python, f"{directory} is not shown to plugin modules")
                yield host
        for path in found.libraries:
            with passing_over():
                host = self._add(path)
                if host is not None:
                    yield host
        # All of /usr is too much to look for links in.
        own = (path for path in found.libraries if not path.startswith(SYSTEM))
        for tree in own:
            self._add_tree(tree, _LIBRARY_DEPTH)
        for tree in found.sites:
            self._add_tree(tree)
        places: set[str] = set()
        for path in found.named:
            more = {path, *above(path)} if path.count("/") <= _MAX_DEPTH else set()
            if more and len(places | more) <= _MAX_NAMED:
                places |= more
                self._add_tree(path)
            else:
                self._left_out.append(path)

    def _add_root(self, path: str) -> str | None:
        host: str | None = ""
        with passing_over():
            host = self._add(path)
        if host is None:
            raise DirectoryError(path, "it is not shown to plugin modules as a whole")
        if host:
            self._trees[host[len(self._prefix) :]] = MAX_DEPTH
        return host or None

    def _add_tree(self, path: str, depth: int = MAX_DEPTH) -> None:
        """Add a directory in which there may be links, or a file."""
        host = self._add_if_possible(path)
        if host:
            self._trees[host[len(self._prefix) :]] = depth

    def _add_linked(self) -> None:
        """Add what links lead to, as far as it is not too much."""
        links = Links(self._opened, self._accepts)
        linked: set[str] = set()
        for _ in range(_MAX_ROUNDS):
            trees, self._trees = self._trees, {}
            found = {
                path for tree, depth in sorted(trees.items()) for path in links.targets(tree, depth)
            }
            linked |= {each for path in found for each in self._hidden(path)}
            linked = gathered(linked, _MAX_LINKED, WITHHELD)
            for path in sorted(linked)[:_MAX_LINKED]:
                if path not in self._entries:
                    self._add_tree(path)
        self._left_out += sorted(linked)[_MAX_LINKED:]

    def _hidden(self, path: str) -> Iterator[str]:
        """Yield what of a path, and of the one without links, would not be shown so far."""
        with contextlib.suppress(UntrustedError), passing_over():
            for each in (path, self._resolve(path)):
                if self._entries.keys().isdisjoint((each, *above(each))):
                    yield each

    def _opened(self, path: str) -> int:
        if self._files is not None:
            return self._files.directory(path)
        return os.open(self._prefix + path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _accepts(self, directory: int, link: str | None) -> bool:
        return self._files is None or self._files.accepts(directory, link)

    def _add_if_possible(self, path: str) -> str | None:
        with contextlib.suppress(UntrustedError), passing_over():
            return self._add(path)
        return None

    def _add(self, path: str) -> str | None:
        """Add a path, and the canonical one if it is another; None if it is withheld.

        An interpreter may use the one or the other: it follows some links by itself.
        """
        path = os.path.normpath("/" + path.lstrip("/"))
        canonical = self._resolve(path)
        if any(place in WITHHELD or place.startswith(KERNEL) for place in (path, canonical)):
            return None
        source = self._prefix + canonical
        self._entries[path] = self._entries[canonical] = source
        for store in STORES:
            if canonical.startswith(f"{store}/"):
                self._entries[store] = self._prefix + store
        return source

    def _resolve(self, path: str) -> str:
        """Return the canonical path of something that exists, without the prefix."""
        if self._files is not None:
            return self._files.host_path(path)[len(self._prefix) :] or "/"
        canonical = resolved(path, self._prefix)
        os.stat(self._prefix + canonical)
        return canonical


def above(path: str) -> Iterator[str]:
    """Yield the directories above an absolute path, without the topmost."""
    while (path := os.path.dirname(path)) not in {"/", ""}:
        yield path
