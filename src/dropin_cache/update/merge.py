"""What several interpreters have found in one plugin module, and what was known of it, made one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, NamedTuple

from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint
from dropin_cache.update.importing.records import Description, Failure, Outcome
from dropin_cache.update.state.cached import is_less

_MAX_TOLD = 3  # paths in a message


class Judged(NamedTuple):
    """What is known of a plugin module after its import.

    Attributes:
        entry: For the cache, or None.
        failure: Why there is none, or None.
        postponed: Why it could not be imported for the moment though there is an entry, or nothing.
        warnings: Lines about what was left out or kept, and where interpreters differ.
        may_change: Whether the next import may well find more, when something else is installed
            or in another sandbox.
    """

    entry: CachedDropin | None
    failure: Failure | None
    postponed: str
    warnings: tuple[str, ...]
    may_change: bool


def judged(
    module: str,
    taken: Fingerprint,
    answers: Sequence[tuple[str, Outcome]],
    kept: CachedDropin | None,
    unseen: Callable[[], Sequence[str]],
) -> Judged:
    """Decide what follows from the import of a plugin module.

    What could not be told, for reasons of the moment or since the sandbox does not show something
    that is there, keeps what was known.

    Args:
        module: The module's dotted name.
        taken: The fingerprint of its file.
        answers: Each interpreter, and what it found.
        kept: What the cache on disk says of the same file, or None.
        unseen: Finds out what the import has looked for and the sandbox does not show.
    """
    entry, warnings = merged(module, taken, answers)
    failures = [each for _, each in answers if isinstance(each, Failure)]
    failure = failures[0] if entry is None else None
    passing = [each for each in failures if each.passing]
    if passing:
        if kept is not None:
            warnings = (f"{module} keeps what its cache says: {passing[0].error}",)
        entry = kept or entry
        if entry is None:
            return Judged(None, failure, "", warnings, may_change=False)
        # Also if only one of several interpreters could not tell.
        return Judged(entry, None, passing[0].error, warnings, may_change=False)
    if not failures and not is_less(entry, kept):
        return Judged(entry, None, "", warnings, may_change=False)
    hidden = unseen()
    if hidden and is_less(entry, kept):
        what = failures[0].error if failures else "less is found in it now"
        warnings = (f"{module} keeps what its cache says: {what}; {_told(hidden)}",)
        return Judged(kept, None, "", warnings, may_change=True)
    if hidden and failure is not None:
        failure = failure._replace(error=f"{failure.error}; {_told(hidden)}")
    return Judged(entry, failure, "", warnings, may_change=failure is not None)


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


def _told(unseen: Sequence[str]) -> str:
    """Say what the sandbox does not show."""
    more = f" and {len(unseen) - _MAX_TOLD} more" if len(unseen) > _MAX_TOLD else ""
    return f"the sandbox does not show {', '.join(unseen[:_MAX_TOLD])}{more}"
