"""The ledgers of a run: one for each environment, so that nothing of one gets about in another."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence

from dropin_cache import _quick
from dropin_cache._scan import digest_of
from dropin_cache.update.discovery.interpreters import Interpreter, environment_of
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.state.ledger import DirectoryRecord, Ledger

_EXTENSION = "ledger"
_MAX_NAME = 200  # bytes; with what a temporary file has besides, below NAME_MAX


class Ledgers:
    """What earlier runs saw and wrote.

    Attributes:
        keeps: Whether this run leaves anything for another.
    """

    def __init__(
        self,
        directory: str | None,
        files: Files,
        *,
        keeps: bool,
        beside: Ledgers | None = None,
    ) -> None:
        """Open none yet.

        Args:
            directory: Where they lie; None for nowhere.
            files: How to open them.
            keeps: Whether to write them.
            beside: Root's, to ask where these have nothing of an interpreter or a directory.
        """
        self._beside = beside
        self._directory, self._files = directory, files
        self.keeps = keeps and directory is not None
        self._open: dict[str, Ledger] = {}

    @property
    def sandbox(self) -> str | None:
        """The tier in which plugin modules were last imported, or None."""
        return next((each.sandbox for each in self._open.values() if each.sandbox), None)

    def of(self, interpreter: Interpreter) -> Ledger:
        """Return the ledger of an interpreter's environment.

        Of one that starts for this user as it does for root, root's knows everything; it has
        another key where it does not.
        """
        if self._directory is None and self._beside is None:
            return self._opened("")
        name = _name_of(environment_of(interpreter.python))
        ledger = self._opened(name)
        if self._beside is not None and interpreter.key not in ledger.interpreters:
            other = self._beside.of(interpreter)
            if interpreter.key in other.interpreters:
                self._open[name] = ledger = other
        return ledger

    def open_all(self) -> None:
        """Open those of all environments."""
        for name in self._names():
            self._opened(name)

    def open_abandoned(self) -> None:
        """Open those of environments of which no interpreter is left."""
        for name in self._names():
            if name not in self._open:
                ledger = Ledger(self._path_of(name), self._files)
                if ledger.directories and ledger.is_abandoned():
                    self._open[name] = ledger

    def each(self) -> Iterator[Ledger]:
        """Yield those that are open."""
        yield from self._open.values()

    def record(self, path: str, interpreters: Sequence[Interpreter]) -> DirectoryRecord | None:
        """Return what was written in a directory, best of all by the same interpreters.

        Args:
            path: The directory.
            interpreters: Those that import from it.
        """
        records = [self.of(each).directories.get(path) for each in interpreters]
        known = [record for record in records if record is not None]
        if not known and self._beside is not None:
            return self._beside.record(path, interpreters)
        keys = [each.key for each in interpreters]
        return next((record for record in known if record.pythons == keys), next(iter(known), None))

    def note(
        self, path: str, interpreters: Sequence[Interpreter], record: DirectoryRecord | None
    ) -> None:
        """Keep what was written in a directory, with each environment that imports from there.

        Args:
            path: The directory.
            interpreters: Those that import from it.
            record: What was written; None to forget it.
        """
        for ledger in map(self.of, interpreters):
            if record is not None:
                ledger.directories[path] = record
            else:
                ledger.directories.pop(path, None)

    def written(self) -> dict[str, list[str]]:
        """Return the keys of the interpreters that had to do with each directory."""
        found: dict[str, list[str]] = {}
        for ledger in self._open.values():
            for path, record in ledger.directories.items():
                known = found.setdefault(path, [])
                known += [key for key in record.pythons if key not in known]
        return found

    def elsewhere(self) -> set[str]:
        """Return the directories that environments have to do with whose ledgers are not open."""
        found: set[str] = set()
        for name in self._names():
            if name not in self._open:
                found.update(Ledger(self._path_of(name), self._files).directories)
        return found

    def paths(self) -> Iterator[str]:
        """Yield where those lie that are open, or would."""
        for ledger in self._open.values():
            if ledger.path is not None:
                yield ledger.path

    def save(self, sandbox: str | None) -> None:
        """Write those that have changed, if anything is to be kept.

        Args:
            sandbox: The tier in which this run has imported plugin modules, or None.
        """
        for ledger in self._open.values():
            ledger.sandbox = sandbox or ledger.sandbox
            if self.keeps and not ledger.directories and ledger.is_abandoned():
                ledger.remove()
            elif self.keeps:
                ledger.save()

    def forget(self, paths: Collection[str]) -> None:
        """Forget directories, and those environments of which nothing else is known.

        Args:
            paths: The directories.
        """
        for ledger in self._open.values():
            for path in paths:
                ledger.directories.pop(path, None)
            if not ledger.directories:
                ledger.remove()
            elif self.keeps:
                ledger.save()

    def _opened(self, name: str) -> Ledger:
        if name not in self._open:
            self._open[name] = Ledger(self._path_of(name), self._files)
        return self._open[name]

    def _path_of(self, name: str) -> str | None:
        return None if self._directory is None else os.path.join(self._directory, name)

    def _names(self) -> list[str]:
        names: list[str] = []
        if self._directory is not None:
            with contextlib.suppress(OSError):
                names = os.listdir(self._directory)
        return sorted(name for name in names if name.endswith(f".{_EXTENSION}"))


def _name_of(environment: str) -> str:
    """Return the name of the ledger of an environment: its path, for people who look for it."""
    name = _quick.name_of(environment, _EXTENSION)
    if len(os.fsencode(name)) > _MAX_NAME:
        return f"{digest_of(os.fsencode(environment))}.{_EXTENSION}"
    return name
