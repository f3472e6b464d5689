"""Which interfaces a process can reach that has not imported the plugin module.

Stock Twisted loses the whole cache where one interface in it cannot be had. So a reference is
written only if another process has reached it: one for each owner of such modules, so that nobody's
code has a say in what is true of another's.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from dropin_cache._model import InterfaceName
from dropin_cache.update.discovery.interpreters import Interpreter
from dropin_cache.update.discovery.owners import Owners, key_of
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.importing.records import (
    Description,
    Failure,
    Imported,
    Job,
    Outcome,
    Plugin,
)
from dropin_cache.update.importing.threads import Task
from dropin_cache.update.state.observations import Look
from dropin_cache.update.state.recorded import Recorded

Wanted = dict[str, list[str]]

_MAX_MODULES = 32  # that one plugin module refers to; for each a process may have to be started
_MAX_WARNINGS = 20  # of a plugin module
_MAX_NAME = 200  # characters of a name in a warning


class References:
    """The interfaces that plugins provide, and whether other processes can reach them."""

    def __init__(self, recorded: dict[str, Recorded], importer: Importer, owners: Owners) -> None:
        """Know of none yet.

        Args:
            recorded: What the ledger has of each interpreter, by key.
            importer: Tries what is not known.
            owners: Whose modules are.
        """
        self._recorded, self._importer, self._owners = recorded, importer, owners
        self._lock = threading.Lock()
        self._asked: set[tuple[str, str, str]] = set()
        self._reachable: set[tuple[str, str, str]] = set()
        self._undecided: set[tuple[str, str]] = set()

    def follow_up(self, interpreter: Interpreter, job: Job, imported: Imported) -> list[Task]:
        """Return what there is to try after some imports; may be called by several threads."""
        with self._lock:
            unknown = self._unknown(job.interpreter, _wanted(imported))
            groups = self._by_owner(job.interpreter, unknown)
        return [self._task(interpreter, group) for group in groups]

    def only_reachable(self, key: str, module: str, outcome: Outcome) -> Outcome:
        """Leave out what cannot be reached, with a warning for each.

        A module is a failure of the moment as long as nobody can tell.

        Args:
            key: The key of the interpreter.
            module: Dotted name of the plugin module.
            outcome: What was found in it.
        """
        if not isinstance(outcome, Description):
            return outcome
        wanted = _modules_of(outcome)
        undecided = sorted(each for each in wanted if (key, each) in self._undecided)
        if undecided:
            reason = f"its interfaces could not be looked for in {undecided[0]} this time"
            return Failure(reason, passing=True)
        plugins, warnings = [], list(outcome.warnings)
        for plugin in outcome.plugins:
            kept: list[InterfaceName] = []
            lost: list[InterfaceName] = []
            for each in plugin.references:
                reached = each.module in wanted and (key, *each) in self._reachable
                (kept if reached else lost).append(each)
            warnings += [
                f"{module}.{plugin.name[:_MAX_NAME]}: interface {each.name[:_MAX_NAME]} left out: "
                f"{_why_lost(each.module, wanted)}"
                for each in lost[:_MAX_WARNINGS]
            ]
            gone = {each.dotted for each in lost}
            names = tuple(name for name in plugin.interfaces if name not in gone)
            plugins.append(Plugin(plugin.name, plugin.description, tuple(kept), names))
        return Description(outcome.description, tuple(plugins), tuple(warnings[:_MAX_WARNINGS]))

    def _unknown(self, key: str, wanted: Wanted) -> Wanted:
        """Take what is known, and return what has to be tried."""
        unknown: Wanted = {}
        for module, names in wanted.items():
            new = [name for name in names if (key, module, name) not in self._asked]
            self._asked.update((key, module, name) for name in new)
            known = self._recorded[key].resolved(module) if new else {}
            if known is None or not known.keys() >= set(new):
                unknown[module] = sorted({*new, *(known or ())})
            else:
                self._reachable.update((key, module, name) for name in new if known[name])
        return unknown

    def _by_owner(self, key: str, wanted: Wanted) -> list[Wanted]:
        """Divide modules by whose they are."""
        if len(wanted) <= 1 or not self._importer.keeps_apart:
            return [wanted] if wanted else []
        if self._owners.in_image:  # links in an image would lead out of it
            return [{module: names} for module, names in wanted.items()]
        start = self._recorded[key].start
        roots = list(start.path) if start is not None else []
        look = Look()
        files = {module: _file_of(module, roots, look) for module in wanted}
        known = self._owners.owners_of([file for file in files.values() if file], roots)
        groups: dict[str, Wanted] = {}
        for module, names in wanted.items():
            file = files[module]
            root = next((root for root in roots if file.startswith(f"{root}/")), "")
            owner = key_of(known[file], file, root) if file else f"none {module}"
            groups.setdefault(owner, {})[module] = names
        return list(groups.values())

    def _task(self, interpreter: Interpreter, wanted: Wanted) -> Task:
        def task() -> None:
            good, undecided, observed = self._importer.resolve(interpreter, wanted)
            with self._lock:
                self._reachable.update((interpreter.key, *each) for each in good)
                self._undecided.update((interpreter.key, module) for module in undecided)
                decided = {
                    module: {name: (module, name) in good for name in names}
                    for module, names in wanted.items()
                    if module not in undecided
                }
                self._recorded[interpreter.key].note_resolved(decided, observed)

        return task


def _wanted(imported: Imported) -> Wanted:
    """Return the names of all interfaces that are referred to, by module."""
    wanted: dict[str, set[str]] = {}
    for outcome in imported.outcomes.values():
        if isinstance(outcome, Description):
            modules = _modules_of(outcome)
            for plugin in outcome.plugins:
                for reference in plugin.references:
                    if reference.module in modules:
                        wanted.setdefault(reference.module, set()).add(reference.name)
    return {module: sorted(names) for module, names in wanted.items()}


def _modules_of(outcome: Description) -> set[str]:
    """Return the modules of interfaces in which it is worth to look."""
    named = (each.module for plugin in outcome.plugins for each in plugin.references)
    return set(list(dict.fromkeys(named))[:_MAX_MODULES])


def _why_lost(module: str, wanted: set[str]) -> str:
    if module in wanted:
        return f"no other process finds it in {module[:_MAX_NAME]}"
    return f"interfaces of more than {_MAX_MODULES} modules are too many"


def _file_of(module: str, roots: Sequence[str], look: Look) -> str:
    """Return the file in which a module is, without running anything; empty if that is unclear."""
    path, found = tuple(roots), ""
    parts = module.split(".")
    for number in range(len(parts)):
        found = look.found(".".join(parts[: number + 1]), path)
        path = tuple(found.split(":"))
    if ":" in found or not found:
        return ""
    return found if "." in found.rpartition("/")[2] else f"{found}/__init__.py"
