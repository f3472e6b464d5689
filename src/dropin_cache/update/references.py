"""Which interfaces a process can reach that has not imported the plugin module.

Stock Twisted loses the whole cache where one interface in it cannot be had. So a reference is
written only if another process has reached it: one for each owner of such modules, so that nobody's
code has a say in what is true of another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from dropin_cache._model import InterfaceName
from dropin_cache.update.discovery.interpreters import Interpreter
from dropin_cache.update.discovery.owners import Owners, key_of
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.importing.records import Description, Imported, Outcome, Plugin
from dropin_cache.update.state.observations import Look
from dropin_cache.update.state.recorded import Recorded

Reachable = set[tuple[str, str]]
Wanted = dict[str, list[str]]


def reachable(
    imported: dict[str, list[Imported]],
    interpreters: dict[str, Interpreter],
    recorded: dict[str, Recorded],
    importer: Importer,
    owners: Owners,
) -> dict[str, Reachable]:
    """Find out which of the interfaces that plugins provide can be reached.

    Args:
        imported: What was found, by the keys of the interpreters.
        interpreters: These, by key.
        recorded: What is known of each.
        importer: Tries what is not known.
        owners: Whose modules are.

    Returns:
        Pairs of module and name, by the keys of the interpreters.
    """
    found: dict[str, Reachable] = {}
    asked: list[tuple[str, Wanted]] = []
    for key, all_of_it in imported.items():
        known, unknown = _split(_wanted(all_of_it), recorded[key])
        found[key] = known
        for group in _by_owner(unknown, recorded[key], owners, apart=importer.keeps_apart):
            asked.append((key, group))
    answers = importer.resolve_all([(interpreters[key], wanted) for key, wanted in asked])
    for (key, wanted), (good, observed) in zip(asked, answers):
        found[key] |= good
        for module, names in wanted.items():
            result = {name: (module, name) in good for name in names}
            recorded[key].note_resolved(module, result, observed)
    return found


def without_unreachable(module: str, outcome: Outcome, good: Reachable) -> Outcome:
    """Leave out the interfaces of a plugin module that cannot be reached, with a warning for each."""
    if not isinstance(outcome, Description):
        return outcome
    plugins, warnings = [], list(outcome.warnings)
    for plugin in outcome.plugins:
        kept = tuple(each for each in plugin.references if tuple(each) in good)
        lost = [each for each in plugin.references if each not in kept]
        warnings += [
            f"{module}.{plugin.name}: interface {each.name} left out: "
            f"no other process finds it in {each.module}"
            for each in lost
        ]
        gone = {each.dotted for each in lost}
        names = tuple(name for name in plugin.interfaces if name not in gone)
        plugins.append(Plugin(plugin.name, plugin.description, kept, names))
    return Description(outcome.description, tuple(plugins), tuple(warnings))


def _wanted(imported: Sequence[Imported]) -> Wanted:
    """Return the names of all interfaces that are referred to, by module."""
    wanted: dict[str, set[str]] = {}
    for each in imported:
        for outcome in each.outcomes.values():
            for plugin in outcome.plugins if isinstance(outcome, Description) else ():
                for reference in plugin.references:
                    wanted.setdefault(reference.module, set()).add(reference.name)
    return {module: sorted(names) for module, names in wanted.items()}


def _split(wanted: Wanted, recorded: Recorded) -> tuple[Reachable, Wanted]:
    """Return what is known to be reachable, and what has to be tried."""
    known: Reachable = set()
    unknown: Wanted = {}
    for module, names in wanted.items():
        resolved = recorded.resolved(module)
        if resolved is None or not resolved.keys() >= set(names):
            unknown[module] = sorted({*names, *(resolved or ())})
        else:
            known.update((module, name) for name in names if resolved[name])
    return known, unknown


def _by_owner(wanted: Wanted, recorded: Recorded, owners: Owners, *, apart: bool) -> list[Wanted]:
    """Divide modules by whose they are."""
    if not apart or len(wanted) <= 1:
        return [wanted] if wanted else []
    roots = list(recorded.start.path) if recorded.start is not None else []
    files = {module: _file_of(module, roots) for module in wanted}
    known = owners.owners_of([file for file in files.values() if file], roots)
    groups: dict[str, Wanted] = {}
    for module, names in wanted.items():
        file = files[module]
        root = next((root for root in roots if file.startswith(f"{root}/")), "")
        owner = key_of(known[file], file, root) if file else f"none {module}"
        groups.setdefault(owner, {})[module] = names
    return list(groups.values())


def _file_of(module: str, roots: Sequence[str]) -> str:
    """Return the file in which a module is, without running anything; empty if that is unclear."""
    look = Look()
    path: Union[Sequence[str], list[str]] = roots  # noqa: UP007
    found = ""
    parts = module.split(".")
    for number in range(len(parts)):
        found = look.found(".".join(parts[: number + 1]), path)
        path = found.split(":")
    return (
        ""
        if ":" in found
        else f"{found}/__init__.py"
        if "." not in found.rpartition("/")[2]
        else found
    )
