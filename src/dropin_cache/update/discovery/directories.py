"""The directories of a plugin package: which there are, what is in them, who imports from them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple

from dropin_cache import _decode, _scan
from dropin_cache.errors import ForeignDirectoryError, UnreadableError, UntrustedError
from dropin_cache.update.discovery.dropin_files import (
    cache_in,
    has_cache,
    possible_dropins,
    possible_orphans,
)
from dropin_cache.update.discovery.home import Home
from dropin_cache.update.discovery.interpreters import Interpreter
from dropin_cache.update.files.failures import is_failure
from dropin_cache.update.files.trusted import Files


class Target(NamedTuple):
    """A plugin package as one interpreter sees it.

    Attributes:
        package: Its dotted name.
        search_path: Its `__path__`; None where it is not installed.
        interpreter: The interpreter.
        import_roots: The directories that it imports from.
    """

    package: str
    search_path: tuple[str, ...] | None
    interpreter: Interpreter
    import_roots: tuple[str, ...]


class PluginDirectory(NamedTuple):
    """A directory that has a cache or should have one.

    Attributes:
        package: Dotted name of the plugin package.
        directory: Its path.
        import_root: The directory that the package's path starts from.
        handle: A path for use by this process: that of a descriptor where trust matters.
        dropins: The plugin modules, sorted by name; their paths begin with the handle.
        names: The names of files and directories in it that can be plugin modules.
        seen_by: The keys of the interpreters that import each of them, by module name.
        interpreters: All interpreters that have the package.
        refusal: Why nothing may be written there, or None.
        refused: Plugin modules whose files lead to something that is not trusted, and why.
        paths: The file of each plugin module, as people and package managers know it.
    """

    package: str
    directory: str
    import_root: str
    handle: str
    dropins: tuple[_scan.Dropin, ...]
    names: tuple[str, ...]
    seen_by: dict[str, tuple[str, ...]]
    interpreters: tuple[Interpreter, ...]
    refusal: UntrustedError | None
    refused: dict[str, UntrustedError]
    paths: dict[str, str]


class Survey:
    """One look at the directories of a package; it holds them open while it is in use.

    A privileged process must know that nobody can change what it has looked at, so it opens
    directories by the rules of trust and goes on from their descriptors. One that it refuses is
    only listed: what is in there can still hide drop-ins of the same name elsewhere.
    """

    def __init__(
        self,
        written: Mapping[str, Sequence[str]],
        *,
        trusted: bool,
        files: Files,
        unchecked: Files,
        allowed: Sequence[str] = (),
    ) -> None:
        """Prepare to look.

        Args:
            written: The directories in which caches were written earlier, and for each the keys of
                the interpreters that had to do with it.
            trusted: Whether `files` has rules to obey, or a root to stay in.
            files: How to open what is written to and read from.
            unchecked: How to open what is only listed.
            allowed: Directories, besides a plugin package's own, that it may have on its path.
        """
        self._written = written
        self._trusted, self._files, self._unchecked = trusted, files, unchecked
        self._home = Home(unchecked, allowed)
        self._open = contextlib.ExitStack()
        self._displays: dict[str, str] = {}
        self._refusals: dict[str, UntrustedError] = {}
        self._closed: set[str] = set()
        self._failure: UnreadableError | None = None

    def __enter__(self) -> Survey:  # noqa: PYI034 - typing has Self from Python 3.11
        """Return the survey itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the directories."""
        self._open.close()

    def plugin_directories(self, targets: Sequence[Target]) -> list[PluginDirectory]:
        """Find everything that has a cache or should have one.

        Args:
            targets: The same package as several interpreters see it.

        Raises:
            UnreadableError: What there is cannot be told.
        """
        found: dict[tuple[int, int], PluginDirectory] = {}
        for target in targets:
            for directory, handle, dropins in self._buckets(target):
                status = self._status(handle)
                # One directory can have several names on the path.
                identity = status.st_dev, status.st_ino
                known = found.get(identity) or self._new(target, directory, handle)
                found[identity] = self._joined(known, target.interpreter, dropins)
        return [each._replace(dropins=tuple(sorted(each.dropins))) for each in found.values()]

    def trusted_directories(self, targets: Sequence[Target]) -> list[tuple[str, str]]:
        """List the directories of a package that can be relied on: path and handle of each."""
        if self._trusted:
            found = [
                (path, handle)
                for handle, path in self._displays.items()
                if any(self._import_root(target, path) is not None for target in targets)
            ]
        else:
            found = [(path, path) for target in targets for path in target.search_path or ()]
        return [each for each in dict.fromkeys(found) if each[0] not in self._refusals]

    def _buckets(self, target: Target) -> Iterator[tuple[str, str, tuple[_scan.Dropin, ...]]]:
        """Yield directory, handle and drop-ins of each cache that there is or should be."""
        if target.search_path is None:
            yield from self._remains(target)
            return
        handles = [handle for path in target.search_path for handle in self._handles(path)]
        occupied = set()
        for bucket in self._scanned(target, handles):
            if bucket.cacheable:
                occupied.add(bucket.directory)
                yield self._display(bucket.directory), bucket.directory, bucket.dropins
        for handle in possible_orphans(handles):
            if handle not in occupied | self._closed and has_cache(handle):
                yield self._display(handle), handle, ()

    def _remains(self, target: Target) -> Iterator[tuple[str, str, tuple[()]]]:
        """Yield what is left of a package that is gone, as far as this project wrote it."""
        for root in target.import_roots:
            directory = os.path.join(root, *target.package.split("."))
            handles = list(self._handles(directory))
            for handle in possible_orphans(handles):
                file = cache_in(handle)
                if file is None or not _decode.is_sealed(file.data):
                    continue
                ours = self._written.get(self._display(handle)) == [target.interpreter.key]
                # Drop-ins that this interpreter has no use for may still be another's.
                if ours or not (self._scanned(target, [handle]) or handle in self._closed):
                    yield self._display(handle), handle, ()

    def _scanned(self, target: Target, handles: Sequence[str]) -> list[_scan.Bucket]:
        buckets = _scan.scan(target.package, handles, self._pass_over, self._status)
        if self._failure is not None:
            raise self._failure
        return buckets

    def _pass_over(self, directory: str, error: OSError) -> None:
        """Ignore a directory that is closed: plugins cannot be imported from it either."""
        self._closed.add(directory)
        self._note_failure(self._display(directory), error)

    def _handles(self, path: str) -> Iterator[str]:
        """Yield a path for this process to use in the place of `path`, if something is there."""
        if not self._trusted:
            yield path
            return
        try:
            try:
                descriptor = self._files.directory(path)
            except UntrustedError as refusal:
                self._refusals[path] = refusal
                descriptor = self._unchecked.directory(path)
        except OSError as error:  # not there, or an archive, which has no cache
            self._note_failure(path, error)
            return
        self._open.callback(os.close, descriptor)
        handle = f"/proc/self/fd/{descriptor}"
        self._displays[handle] = path
        yield handle

    def _display(self, handle: str) -> str:
        """Return the path that a handle stands for."""
        if handle in self._displays or not self._trusted:
            return self._displays.get(handle, handle)
        above, name = os.path.split(handle)
        return os.path.join(self._display(above), name)

    def _status(self, path: str) -> os.stat_result:
        """Do what `os.stat` does, without leaving the root and without any magic of links."""
        try:
            if path in self._displays or not self._trusted:
                return os.stat(path)
            # In a directory that is open nothing but the last component can be a link.
            if os.path.dirname(path) in self._displays:
                status = os.lstat(path)
                if not stat.S_ISLNK(status.st_mode):
                    return status
            return self._unchecked.status(self._display(path))
        except OSError as error:
            self._note_failure(self._display(path), error)
            raise

    def _note_failure(self, path: str, error: OSError) -> None:
        """Take note that something could not be looked at; it may be a drop-in, or hide one."""
        if is_failure(error):
            self._failure = UnreadableError(path, error.errno or errno.EIO)

    def _new(self, target: Target, directory: str, handle: str) -> PluginDirectory:
        refusal = self._refusals.get(directory)
        inner = self._trusted and handle not in self._displays  # a drop-in that is a package
        root = self._import_root(target, os.path.dirname(directory) if inner else directory)
        if self._trusted:
            if inner:
                # Nobody else can swap it if all above is trusted.
                handle, refusal = self._inner(directory, handle)
            if root is None and refusal is None:
                problem = f"is no directory of {target.package} in any import root"
                refusal = ForeignDirectoryError(directory, directory, problem)
        names = possible_dropins(handle)
        return PluginDirectory(
            target.package, directory, root or "", handle, (), names, {}, (), refusal, {}, {}
        )

    def _import_root(self, target: Target, directory: str) -> str | None:
        """Return the import root that a directory of a plugin package belongs to; None for none."""
        return self._home.import_root(
            target.package, target.import_roots, directory, links=not self._trusted
        )

    def _inner(self, directory: str, handle: str) -> tuple[str, UntrustedError | None]:
        refusal = self._refusals.get(os.path.dirname(directory))
        if refusal is not None or _is_roots_own(handle):
            return handle, refusal
        own = [*self._handles(directory), handle]
        return own[0], self._refusals.get(directory)

    def _joined(
        self, known: PluginDirectory, interpreter: Interpreter, dropins: Sequence[_scan.Dropin]
    ) -> PluginDirectory:
        """Add what an interpreter sees in a directory."""
        if known.seen_by and not dropins:
            return known  # only for this one it looks like an orphan
        modules = {dropin.module for dropin in known.dropins}
        seen_by = dict(known.seen_by)
        new, refused, paths = [], dict(known.refused), dict(known.paths)
        for dropin in dropins:
            seen_by[dropin.module] = (*seen_by.get(dropin.module, ()), interpreter.key)
            if dropin.module not in modules:
                name = os.path.basename(dropin.path)
                paths[dropin.module] = os.path.join(known.directory, name)
                moved = dropin._replace(path=os.path.join(known.handle, name))
                try:
                    new.append(self._resolved(known, moved))
                except UntrustedError as refusal:
                    new.append(moved)
                    refused[dropin.module] = refusal
                except OSError:  # it has just gone
                    continue
        return known._replace(
            dropins=(*known.dropins, *new),
            seen_by=seen_by,
            interpreters=(*(known.interpreters if known.seen_by else ()), interpreter),
            refused=refused,
            paths=paths,
        )

    def _resolved(self, known: PluginDirectory, dropin: _scan.Dropin) -> _scan.Dropin:
        """Follow the file of a plugin module, if it is a symbolic link, by the rules of trust."""
        if not self._trusted or not os.path.islink(dropin.path):
            return dropin
        name = os.path.basename(dropin.path)
        descriptor = self._files.file(os.path.join(known.directory, name))
        self._open.callback(os.close, descriptor)
        return dropin._replace(path=f"/proc/self/fd/{descriptor}")


def _is_roots_own(directory: str) -> bool:
    status = os.lstat(directory)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and not status.st_mode & 0o022
