"""What there is to say about a plugin module, a plugin or a directory, and the reasons."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dropin_cache._model import CachedPlugin
from dropin_cache._scan import CACHE_NAME
from dropin_cache.commands.advice import what_to_do
from dropin_cache.commands.overlooked import Unseen
from dropin_cache.commands.source import text_of, why_no_plugin
from dropin_cache.commands.suggestions import alike
from dropin_cache.commands.words import UNIMPORTABLE
from dropin_cache.update import report
from dropin_cache.update.discovery.differences import BY_TWISTED, Difference
from dropin_cache.update.discovery.owners import Owner, Owners
from dropin_cache.update.report import DirectoryReport
from dropin_cache.update.state.observations import IMPORTS

BROKEN, UNSEEN = "broken", "unseen"


class Explanation(NamedTuple):
    """What there is to say about one plugin module, one plugin, or one directory.

    Attributes:
        name: Dotted name of the plugin module, of the plugin, or of the plugin package.
        state: fresh, stale, missing, corrupt, refused, broken or unseen.
        path: The module's file, or the directory.
        cache: The cache file.
        package: Dotted name of the plugin package.
        python: The interpreter that imports it.
        reasons: Why the state is so, and why plugins are not found, a line each.
        remedy: What to do about it, if that is not plain.
        changes: What has changed in a directory since the cache was written: pairs of a module and
            how.
        error: The exception, if it is broken, in one line.
        traceback: The end of the traceback.
        owner: The package that installed it, if known.
        plugins: For each plugin in the cache that was asked about, its name and the interfaces it
            provides.
    """

    name: str
    state: str
    path: str
    cache: str
    package: str
    python: str
    reasons: tuple[str, ...]
    remedy: str = ""
    changes: tuple[tuple[str, str], ...] = ()
    error: str | None = None
    traceback: str = ""
    owner: Owner | None = None
    plugins: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Asked(NamedTuple):
    """What somebody wants to know.

    Attributes:
        root: The image that it is about.
        interface: The interface that a plugin is asked for.
        update: A command that would look after the same, but for the package.
    """

    root: str | None
    interface: str | None
    update: str


def of_directory(found: DirectoryReport, asked: Asked) -> Explanation:
    """Explain the state of a directory and its cache."""
    reasons = [f"{found.error}"] if found.error is not None else []
    reasons += [why for module, why in found.changes if module == found.package]
    reasons += {BY_TWISTED} & {why for _, why in found.remarks}
    changed = Counter(why for module, why in found.changes if module != found.package)
    if found.state == report.MISSING:
        reasons.append("there is no cache")
    elif found.error is None:
        reasons += [f"{why} ({count} of its modules)" for why, count in changed.items()]
    if found.state == report.FRESH and found.broken and not reasons:
        reasons.append("the cache has all other plugin modules as their files are")
    reasons += [f"{each.module} is broken: {each.error}" for each in found.broken]
    if found.state == report.FRESH and not reasons:
        reasons.append("the cache has all plugin modules as their files are")
    return Explanation(
        name=found.package,
        state=found.state,
        path=found.path,
        cache=os.path.join(found.path, CACHE_NAME),
        package=found.package,
        python=found.python,
        reasons=tuple(reasons),
        remedy=_remedy(found, found.state, asked),
        changes=tuple(
            (module, why)
            for module, why in _changes(found).items()
            if module != found.package and why != BY_TWISTED
        ),
        owner=_owner(asked, found.path),
    )


def of_module(
    found: DirectoryReport, module: str, difference: Difference, asked: Asked
) -> Explanation:
    """Explain a plugin module that is, or was, in a directory."""
    explained = _stateof_module(found, module, difference, asked)
    entry = difference.entries.get(module)
    if entry is None or explained.state not in {report.FRESH, report.STALE}:
        return explained
    reasons = [why for plugin in entry.plugins for why in _why_not_asked(plugin, asked)]
    if not entry.plugins and explained.state == report.FRESH:
        text = text_of(difference.files.get(module), asked.root)
        reasons += filter(None, [why_no_plugin(text)])
    return explained._replace(
        reasons=(*explained.reasons, *reasons), plugins=tuple(_provides(entry.plugins))
    )


def of_plugin(
    found: DirectoryReport, module: str, name: str, difference: Difference, asked: Asked
) -> Explanation | None:
    """Explain one plugin of a module, None if there is no such thing."""
    explained = _stateof_module(found, module, difference, asked)
    explained = explained._replace(name=f"{module}.{name}")
    entry = difference.entries.get(module)
    plugins = [each for each in entry.plugins if each.name == name] if entry is not None else []
    if plugins:
        reasons = [why for plugin in plugins for why in _why_not_asked(plugin, asked)]
        return explained._replace(
            reasons=(*explained.reasons, *reasons), plugins=tuple(_provides(plugins))
        )
    why = why_no_plugin(text_of(difference.files.get(module), asked.root), name)
    if explained.state == report.FRESH and why is not None:
        return explained._replace(state=UNSEEN, reasons=(why, *explained.reasons))
    # What it would define if it could be imported, or were, nobody knows.
    return explained if explained.state != report.FRESH else None


def _stateof_module(
    found: DirectoryReport, module: str, difference: Difference, asked: Asked
) -> Explanation:
    """Tell the state of a plugin module, and nothing of its plugins."""
    changes = _changes(found)
    broken = next((each for each in found.broken if each.module == module), None)
    if found.error is not None:
        state, reasons = found.state, [str(found.error)]
    elif broken is not None:
        state, reasons = BROKEN, [UNIMPORTABLE]
    else:
        whole = dict(found.changes)
        state = report.STALE if {module, found.package} & whole.keys() else report.FRESH
        reasons = [changes[each] for each in (found.package, module) if each in changes]
    if not reasons:
        reasons = ["the cache has what its file defines"]
    file = difference.files.get(module)
    name = module.rpartition(".")[2]
    path = os.path.join(found.path, f"{name}.py") if file is None else file.path
    return Explanation(
        name=module,
        state=state,
        path=path,
        cache=os.path.join(found.path, CACHE_NAME),
        package=found.package,
        python=found.python,
        reasons=tuple(reasons),
        remedy=_remedy(found, state, asked),
        error=None if broken is None else broken.error,
        traceback="" if broken is None else broken.traceback,
        owner=_owner(asked, path),
    )


def _remedy(found: DirectoryReport, state: str, asked: Asked) -> str:
    """Return what can be done about a state; nothing if that is all right, or not to be said."""
    if found.error is not None:
        return what_to_do(found.error, asked.root)
    if state in {report.STALE, report.MISSING, report.CORRUPT}:
        return f"To make it fresh: {asked.update} {found.package}"
    return ""


def of_unseen(found: Unseen, asked: Asked) -> Explanation:
    """Explain why nobody sees a file."""
    return Explanation(
        name=found.module,
        state=UNSEEN,
        path=found.path,
        cache=os.path.join(os.path.dirname(found.path), CACHE_NAME),
        package=found.package,
        python=found.python,
        reasons=(found.reason,),
        remedy=found.remedy,
        owner=_owner(asked, found.path),
    )


def _why_not_asked(plugin: CachedPlugin, asked: Asked) -> Iterator[str]:
    """Say why asking for an interface does not find a plugin, if it does not."""
    wanted, direct = asked.interface, [each.dotted for each in plugin.references]
    every = [*direct, *(plugin.interfaces or ())]
    if wanted is None or wanted in every:
        return
    name = plugin.name
    meant = alike(wanted.rpartition(".")[2], [each.rpartition(".")[2] for each in every])
    similar = [each for each in every if each.rpartition(".")[2] in meant]
    if similar:
        yield f"{name} provides {similar[0]}, and not {wanted}"
    elif plugin.interfaces is None:
        yield f"{name} does not provide {wanted} itself; Twisted wrote no more of it into the cache"
    else:
        yield f"{name} does not provide {wanted}"


def _changes(found: DirectoryReport) -> dict[str, str]:
    """Find what has changed since a cache was written: modules, or what they import."""
    imports = {module: why for module, why in found.further if why.startswith(IMPORTS)}
    return {**dict(found.remarks), **imports, **dict(found.changes)}


def _provides(plugins: Sequence[CachedPlugin]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for plugin in plugins:
        yield plugin.name, tuple(reference.dotted for reference in plugin.references)


def _owner(asked: Asked, path: str) -> Owner | None:
    root = asked.root
    inside = path if root is None else "/" + os.path.relpath(path, os.path.abspath(root))
    return Owners(root).owner_of(inside, _directories_above(inside))


def _directories_above(path: str) -> list[str]:
    """Return the directories that a path is in: one of them is its import root."""
    found = []
    while path != "/":
        path = os.path.dirname(path)
        found.append(path)
    return found
