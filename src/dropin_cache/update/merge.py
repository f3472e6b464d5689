"""What several interpreters have found in one plugin module, made one."""

from __future__ import annotations

from collections.abc import Sequence

from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint
from dropin_cache.update.importing.records import Description, Failure, Outcome


def merged(
    module: str, taken: Fingerprint, answers: Sequence[tuple[str, Outcome]]
) -> tuple[CachedDropin | None, tuple[str, ...]]:
    """Make one entry of a cache: all plugins that any of some interpreters has.

    Args:
        module: The module's dotted name.
        taken: The fingerprint of its file.
        answers: Each interpreter, and what it found.

    Returns:
        The entry, None if the module fails in all of them; and lines about what was left out, and
        where they differ.
    """
    good = [(python, each) for python, each in answers if isinstance(each, Description)]
    if not good:
        return None, ()
    bad = [(python, each) for python, each in answers if isinstance(each, Failure)]
    warnings = [line for _, each in good for line in each.warnings]
    warnings += [f"{module} fails in {python}: {each.error}" for python, each in bad]
    (first, description), *others = good
    entry = description.entry(module, taken)
    for python, each in others:
        if each.plugins != description.plugins:
            warnings.append(f"{module} differs between {first} and {python}")
            _add_plugins(entry, each)
    return entry, tuple(dict.fromkeys(warnings))


def _add_plugins(entry: CachedDropin, description: Description) -> None:
    """Add to an entry what another interpreter has found besides."""
    known = {plugin.name: plugin for plugin in entry.plugins}
    for plugin in description.plugins:
        if plugin.name not in known:
            CachedPlugin.from_references(entry, *plugin)
            continue
        same = known[plugin.name]
        same.references = tuple(dict.fromkeys([*same.references, *plugin.references]))
        same.interfaces = tuple(sorted({*(same.interfaces or ()), *plugin.interfaces}))
