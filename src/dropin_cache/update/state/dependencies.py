"""What is known of an interpreter from earlier runs, and whether it still holds."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dropin_cache.update.discovery.interpreters import chain, decisive, key_of, path_files
from dropin_cache.update.importing.records import Module, Start
from dropin_cache.update.state.ledger import TICK, Ledger, Stamp, stamp_of

IMPORTS = "what it imports"
"""How a reason begins that is not about the drop-in's own file."""

_NO_PACKAGE, _PORTION, _PACKAGE = range(3)  # what a directory of the plugin package's path is
_Node = list[Any]  # file, stamp, imports


class Memory:
    """What the ledger knows of one interpreter.

    Attributes:
        start: What it answered at its last start; None if that does not hold any more.
        recent: Whether the directories on its path are as they were.
    """

    def __init__(self, ledger: Ledger, python: str, paths: Sequence[str]) -> None:
        """Find out what still holds.

        Args:
            ledger: The ledger.
            python: Path of the interpreter.
            paths: Directories to import from, in front of its own.
        """
        self.key = key_of(python, paths)
        self._ledger, self._python = ledger, python
        # When the running child was started, or this look begins: nanoseconds.
        self._since = time.time_ns()
        self._asked = False  # whether there has been a child
        self._stamps: dict[str, Stamp | None] = {}
        self._listed: dict[str, set[str]] = {}
        record = ledger.interpreters.get(self.key)
        if record is None or not self._hold(record["files"]):
            parts = ("files", "roots", "decisive", "packages", "modules")
            record = {"start": None, **{part: {} for part in parts}}
        self._record: dict[str, Any] = {**record, "python": python}
        self._known = record["start"] is not None
        self.recent = self._known and self._hold(record["roots"])
        # Most of what comes and goes in the directories changes nothing about the start.
        self._startable = self._known and self._starts_as_before()
        self._new: dict[str, _Node] = {}
        self._changed: set[str] = set()
        self._culprits = self._find_culprits()

    @property
    def start(self) -> Start | None:
        """What it answered at its last start, if that still holds."""
        if not self._startable:
            return None
        path, packages = self._record["start"]
        return Start((0, 0), True, tuple(path), (), tuple(packages))  # noqa: FBT003

    def starting(self) -> None:
        """Take note that a child is about to start: from now on changes can go unseen."""
        self._since, self._asked = time.time_ns(), True

    def note_start(self, start: Start) -> None:
        """Keep what a child answered at its start."""
        own = [*chain(self._python), *path_files(start.path), *start.files]
        self._record["files"] = {file: self._settled(file) for file in dict.fromkeys(own)}
        self._record["roots"] = {root: self._settled(root) for root in start.path}
        self._record["decisive"] = {
            file: self._settled(file) for root in start.path for file in decisive(root)
        }
        self._record["start"] = [list(start.path), list(start.packages)]

    def note_imports(self, graph: dict[str, Module]) -> None:
        """Keep what a child told about who imports whom."""
        for name, module in graph.items():
            file, imports = module
            old = self._new.get(name)
            if old is None and name not in self._changed:
                old = self._record["modules"].get(name)
            if name in self._new and old is not None and old[0] != file:
                # Drop-ins disagree, so one is wrong: what depends on this is looked at again.
                self._new[name] = [old[0], [-1, -1, -1, -1], sorted({*old[2], *imports})]
            elif old is not None and old[0] == file:
                # What a module imports when it is called need not happen in every child.
                self._new[name] = [file, old[1], sorted({*old[2], *imports})]
            else:
                place = self._would_be_in(name, graph) if file is False else file
                stamp = self._settled(place) if isinstance(place, str) else None
                self._new[name] = [file, stamp, list(imports)]

    def package(self, name: str) -> Any:
        """Return the search path of a plugin package, None if it is not there; `...` if unknown."""
        found = self._record["packages"].get(name)
        if not self._startable or found is None or self._culprits.keys() & set(_lineage(name)):
            return ...
        path, layout = found
        if layout != self._layout(name):
            return ...
        return None if path is None else tuple(path)

    def note_package(self, name: str, path: Sequence[str] | None) -> None:
        """Keep where a plugin package is."""
        self._record["packages"][name] = [path and list(path), self._layout(name)]

    def forget_package(self, name: str) -> None:
        """Forget where a plugin package was: it cannot be imported any more."""
        self._record["packages"].pop(name, None)

    def why_stale(self, module: str, *, failed: bool = False) -> str | None:
        """Say why a module has to be imported again though its own file is the same.

        Args:
            module: Dotted name.
            failed: Whether the import failed; then whatever is installed or removed may mend it.

        Returns:
            A phrase, or None if there is no reason.
        """
        if not self._known:
            return "the interpreter is new, or has changed"
        if failed and not self.recent:
            return "it failed before, and something was installed or removed since"
        # Its own file is not looked at: who asks knows more about that.
        _, _, imports = self._record["modules"].get(module, (None, None, ()))
        names = (*_lineage(module)[:-1], *imports)
        return next((self._culprits[name] for name in names if name in self._culprits), None)

    def keep(self, modules: Iterable[str]) -> None:
        """Hand everything that counts for these modules to the ledger."""
        nodes = {**self._record["modules"], **self._new}
        left = {each for module in modules for each in _lineage(module)}
        left.update(each for name in self._record["packages"] for each in _lineage(name))
        reached: dict[str, _Node] = {}
        while left:
            name = left.pop()
            if name in nodes and name not in reached:
                reached[name] = nodes[name]
                left.update(nodes[name][2])
        if self._startable and not self._asked:
            # Whatever has come and gone in there meanwhile changes nothing.
            self._record["roots"] = {root: self._settled(root) for root in self._record["roots"]}
        if self._record["start"] is not None:
            self._ledger.interpreters[self.key] = {**self._record, "modules": reached}

    def paths(self) -> Iterator[str]:
        """List the files and directories that tell whether all this still holds, there or not."""
        record = self._ledger.interpreters.get(self.key, self._record)
        yield from (*record["files"], *record["roots"], *record["decisive"])
        for name, (file, _, _) in record["modules"].items():
            place = self._would_be_in(name, {}) if file is False else file
            if isinstance(place, str):
                yield place
        for package in record["packages"]:
            parts = package.split(".")
            yield from (os.path.join(root, *parts, "__init__.py") for root in record["roots"])

    def _find_culprits(self) -> dict[str, str]:
        """Find the modules that something changed for: name -> what."""
        nodes: dict[str, _Node] = self._record["modules"]
        importers: dict[str, list[str]] = {}
        for name, (_, _, imports) in nodes.items():
            for imported in imports:
                importers.setdefault(imported, []).append(name)
        culprits: dict[str, str] = {}
        for name in nodes:
            reason = self._why_changed(name)
            if reason is None:
                continue
            self._changed.add(name)
            left = [name]
            while left:
                each = left.pop()
                if each not in culprits:
                    culprits[each] = reason
                    left += importers.get(each, [])
        return culprits

    def _why_changed(self, name: str) -> str | None:
        file, stamp, _ = self._record["modules"][name]
        if isinstance(file, str) and (stamp is None or self._stamp(file) != stamp):
            there = self._stamp(file) is not None
            return f"{IMPORTS} {'has changed' if there else 'is gone'}: {file}"
        if self._is_elsewhere(name, file, stamp):
            return f"{IMPORTS} is found elsewhere now: {name}"
        return None

    def _would_be_in(self, name: str, graph: dict[str, Module]) -> str | None:
        """Return the directory in which a module of a package is not."""
        parent = name.rpartition(".")[0]
        known = graph.get(parent) or self._new.get(parent) or self._record["modules"].get(parent)
        return os.path.dirname(known[0]) if known and isinstance(known[0], str) else None

    def _is_elsewhere(self, name: str, file: Any, stamp: Stamp | None) -> bool:
        """Tell whether a module is now found where it was not, by the names in directories."""
        parent, _, last = name.rpartition(".")
        if parent:
            place = None if file is not False else self._would_be_in(name, {})
            return place is not None and self._stamp(place) != stamp and last in self._names(place)
        if file is None or self.recent:
            return False
        for root in self._record["start"][0]:
            if file and file.startswith(root.rstrip("/") + "/"):
                return False
            if self._record["roots"][root] != self._stamp(root) and last in self._names(root):
                return True
        return False

    def _names(self, directory: str) -> set[str]:
        """Return the names of modules that can be in a directory."""
        if directory not in self._listed:
            self._listed[directory] = set()
            with contextlib.suppress(OSError):
                self._listed[directory] = {name.partition(".")[0] for name in os.listdir(directory)}
        return self._listed[directory]

    def _layout(self, package: str) -> list[int]:
        """Tell which directories on the path belong to a package, as `pluginPackagePaths` does."""
        layout = []
        for root in self._record["start"][0]:  # in the order of the path, unlike the stamps
            directory = os.path.join(root, *package.split("."))
            if os.path.exists(os.path.join(directory, "__init__.py")):
                layout.append(_PACKAGE)
            else:
                layout.append(_PORTION if os.path.isdir(directory) else _NO_PACKAGE)
        return layout

    def _starts_as_before(self) -> bool:
        """Tell whether the interpreter would answer the same when it starts."""
        changed = [
            root for root, stamp in self._record["roots"].items() if self._stamp(root) != stamp
        ]
        files = self._record["decisive"]
        there = {file for root in changed for file in decisive(root)}
        return there <= files.keys() and self._hold(files)

    def _hold(self, stamps: dict[str, Stamp | None]) -> bool:
        return all(self._stamp(path) == stamp for path, stamp in stamps.items())

    def _stamp(self, path: str) -> Stamp | None:
        if path not in self._stamps:
            self._stamps[path] = stamp_of(path)
        return self._stamps[path]

    def _settled(self, path: str) -> Stamp | None:
        """Return the stamp of something that a child has read; a wrong one if it is too new."""
        stamp = stamp_of(path)
        if stamp is not None and max(stamp[1:3]) >= self._since - TICK:
            return [-1, -1, -1, -1]  # matches nothing, so that the next run looks again
        return stamp


def _lineage(module: str) -> list[str]:
    """Return a module's name and those of the packages it is in, outermost first."""
    parts = module.split(".")
    return [".".join(parts[: number + 1]) for number in range(len(parts))]
