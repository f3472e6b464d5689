"""What the ledger has of one interpreter, and whether it still holds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dropin_cache.update.discovery.interpreters import (
    Interpreter,
    Start,
    candidates,
    chain,
    is_decisive,
    path_files,
)
from dropin_cache.update.state import observations
from dropin_cache.update.state.ledger import Ledger
from dropin_cache.update.state.observations import (
    TICK,
    UNSETTLED,
    Look,
    Noted,
    Observed,
    Stamp,
    stamp_of,
)

_NO_PACKAGE, _PORTION, _PACKAGE = range(3)  # what a directory of the plugin package's path is
# Directories that are above everything; links on the way to an interpreter may lie right in one.
_ABOVE = {"/", *("/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/var")}  # noqa: S108
_PARTS = ("files", "roots", "decisive", "others", "packages", "owners", "references")


class Recorded:
    """What the ledger has of one interpreter.

    Attributes:
        ledger: The ledger.
        start: What it answered at its last start; None if that does not hold any more.
        known: Whether anything is known of it.
        recent: Whether the directories on its path are as they were.
    """

    def __init__(
        self,
        ledger: Ledger,
        interpreter: Interpreter,
        look: Look | None,
        since: int,
        *,
        believed: bool = True,
    ) -> None:
        """Find out what still holds.

        Args:
            ledger: The ledger.
            interpreter: The interpreter.
            look: This run's look at files; None to look at none, and keep nothing for another run.
            since: When the run began, nanoseconds since the epoch.
            believed: Whether what still holds counts; it is kept for other runs all the same.
        """
        self.ledger, self._interpreter, self._look, self._since = ledger, interpreter, look, since
        self._believed = believed
        record = ledger.interpreters.get(interpreter.key)
        if record is None or look is None or not look.hold(record["files"]):
            record = {"start": None, "noted": None, **{part: {} for part in _PARTS}}
        self._record: dict[str, Any] = {**record, "python": interpreter.python}
        noted = observations.unpack(record["noted"]) if record["noted"] else []
        numbers: dict[str, int] = record.get("notes", {})
        self._noted: dict[str, Noted] = {name: noted[each] for name, each in numbers.items()}
        self._whys: dict[str, str | None] = {}
        self._asked = False  # whether a child has been started
        self.known = record["start"] is not None
        self.recent = look is not None and self.known and look.hold(record["roots"])
        self.start: Start | None = None
        # Most of what comes and goes in the directories changes nothing about the start.
        if believed and self.known and self._starts_as_before():
            path, packages, version = record["start"]
            self.start = Start(
                tuple(version), zope=True, path=tuple(path), files=(), packages=tuple(packages)
            )

    def note_start(self, start: Start) -> None:
        """Keep what a child answered at its start."""
        self.start, self._asked = start, True
        self._record["start"] = [list(start.path), list(start.packages), list(start.version)]
        if self._look is None:
            return
        own = [*chain(self._interpreter.python), *path_files(start.path), *start.files]
        self._record["files"] = {file: self._settled(file) for file in dict.fromkeys(own)}
        self._record["roots"] = {root: self._settled(root) for root in start.path}
        self._record["decisive"], self._record["others"] = {}, {}
        for file in {file for root in start.path for file in candidates(root)}:
            stamp = self._settled(file)  # before it is read
            self._record["decisive" if is_decisive(file) else "others"][file] = stamp

    def package(self, name: str) -> Any:
        """Return the search path of a plugin package, None if it is not there; `...` if unknown."""
        found = self._record["packages"].get(name)
        if self.start is None or found is None or self._why(f"package {name}") is not None:
            return ...
        path, layout = found
        if layout != self._layout(name):
            return ...
        return None if path is None else tuple(path)

    def note_package(self, name: str, path: Sequence[str] | None, observed: Observed) -> None:
        """Keep where a plugin package is."""
        self._record["packages"][name] = [path and list(path), self._layout(name)]
        self._note([f"package {name}"], observed, Look())

    def why_stale(self, package: str, owner: str, failed: str | None, setting: str) -> str | None:
        """Say why an owner's modules have to be imported again though their files are the same.

        Args:
            package: Dotted name of the plugin package.
            owner: The owner.
            failed: What the import was tried with, if it failed: then whatever is installed or
                removed may mend it.
            setting: What imports are tried with now; empty if there is no sandbox for them.

        Returns:
            A phrase, or None if there is no reason.
        """
        if not self.known:
            return "the interpreter is new, or has changed"
        if failed is not None and not self.recent:
            return "it failed before, and something was installed or removed since"
        if failed is not None and setting not in ("", failed):
            return "it failed before, with other limits or in another sandbox"
        name = f"owner {package} {owner}"
        # Of a module that failed, it is told whose it is also where owners were not kept apart.
        return self._why(name if name in self._noted else f"owner {package} ")

    def note_owner(self, package: str, owner: str, observed: Observed, look: Look) -> None:
        """Keep what the imports of an owner's modules have looked at.

        Args:
            package: Dotted name of the plugin package.
            owner: The owner.
            observed: What was looked at.
            look: How things are after these imports.
        """
        self._note([f"owner {package} {owner}"], observed, look)

    def resolved(self, module: str) -> dict[str, bool] | None:
        """Return which interfaces of a module could be reached; None if that may have changed."""
        if self._why(f"references {module}") is not None:
            return None
        return self._record["references"].get(module)  # type: ignore[no-any-return]

    def note_resolved(self, found: dict[str, dict[str, bool]], observed: Observed) -> None:
        """Keep which interfaces can be reached, by their modules."""
        self._record["references"].update(found)
        self._note([f"references {module}" for module in found], observed, Look())

    def keep(self, owners: Iterable[tuple[str, str]], modules: Iterable[str]) -> None:
        """Hand everything to the ledger that counts for some owners and modules of interfaces."""
        if self._record["start"] is None or self._look is None:
            return
        wanted = [f"package {name}" for name in sorted(self._record["packages"])]
        for package, owner in owners:
            wanted += [f"owner {package} {owner}", f"owner {package} "]
        references = {
            module: self._record["references"][module]
            for module in sorted(set(modules))
            if module in self._record["references"]
        }
        wanted += [f"references {module}" for module in references]
        notes = {name: self._noted[name] for name in wanted if name in self._noted}
        kept = _distinct(notes.values())
        if self.start is not None and not self._asked:
            # Whatever has come and gone in there meanwhile changes nothing.
            self._record["roots"] = {root: self._settled(root) for root in self._record["roots"]}
        record = {
            **self._record,
            "references": references,
            "notes": {
                name: next(number for number, each in enumerate(kept) if each is noted)
                for name, noted in notes.items()
            },
            "noted": observations.pack(kept),
        }
        self.ledger.note_interpreter(self._interpreter.key, record)

    def paths(self) -> Iterator[str]:
        """List the files and directories that tell whether all this still holds, there or not."""
        record = self._record
        yield from (*record["files"], *record["roots"], *record["decisive"], *record["others"])
        for noted in _distinct(self._noted.values()):
            yield from (*noted.files, *noted.directories, *noted.listed)
        for package in record["packages"]:
            parts = package.split(".")
            yield from (os.path.join(root, *parts, "__init__.py") for root in record["roots"])

    def _note(self, names: Sequence[str], observed: Observed, look: Look) -> None:
        self._whys.update(dict.fromkeys(names))
        if self._look is not None:
            noted = observations.note(observed, self._roots(), self._since, look)
            self._noted.update(dict.fromkeys(names, noted))

    def _why(self, name: str) -> str | None:
        if name not in self._whys:
            noted = self._noted.get(name)
            if not self._believed:
                return "this was asked for"
            if noted is None or self._look is None:
                return "it is new"
            self._whys[name] = observations.why_changed(noted, self._look)
        return self._whys[name]

    def _roots(self) -> list[str]:
        """List what an import may depend on: import roots, and the prefixes of programs."""
        programs = chain(self._interpreter.python)[::3]
        prefixes = [os.path.dirname(os.path.dirname(program)) for program in programs]
        own = [prefix for prefix in prefixes if prefix not in _ABOVE]
        return [*self._record["start"][0], *own, "/usr", "/opt"]

    def _layout(self, package: str) -> list[int]:
        """Tell which directories on the path belong to a package, as `pluginPackagePaths` does."""
        layout: list[int] = []
        if self._look is None:
            return layout
        for root in self._record["start"][0]:  # in the order of the path, unlike the stamps
            directory = os.path.join(root, *package.split("."))
            if os.path.exists(os.path.join(directory, "__init__.py")):
                layout.append(_PACKAGE)
            else:
                layout.append(_PORTION if os.path.isdir(directory) else _NO_PACKAGE)
        return layout

    def _starts_as_before(self) -> bool:
        """Tell whether the interpreter would answer the same when it starts."""
        look = self._look
        if look is None or not look.hold(self._record["decisive"]):
            return False
        roots, others = self._record["roots"], self._record["others"]
        changed = [root for root, stamp in roots.items() if look.stamp(root) != stamp]
        if not all(map(os.path.isdir, changed)):  # anything may be in an archive
            return False
        there = {*others, *(file for root in changed for file in candidates(root))}
        stamps = {file: look.stamp(file) for file in there - self._record["decisive"].keys()}
        for file, stamp in stamps.items():
            if (file not in others or others[file] != stamp) and is_decisive(file):
                return False
        self._record["others"] = {file: self._if_settled(stamp) for file, stamp in stamps.items()}
        return True

    def _settled(self, path: str) -> Stamp:
        """Return the stamp of something that a child has read; a wrong one if it is too new."""
        return self._if_settled(stamp_of(path))

    def _if_settled(self, stamp: Stamp) -> Stamp:
        if stamp is not None and max(stamp[1:3]) >= self._since - TICK:
            return UNSETTLED
        return stamp


def _distinct(noted: Iterable[Noted]) -> list[Noted]:
    """Return what several names may have in common, each once."""
    found: list[Noted] = []
    for each in noted:
        if not any(each is other for other in found):
            found.append(each)
    return found
