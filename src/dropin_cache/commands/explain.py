"""Tell the state of a plugin module, a plugin or a file, and the reason."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dropin_cache._model import CachedDropin
from dropin_cache._scan import CACHE_NAME
from dropin_cache.commands.words import UNIMPORTABLE
from dropin_cache.errors import NotAPluginPackageError, PackageNotFoundError, UnknownNameError
from dropin_cache.update import report
from dropin_cache.update.discovery.differences import BY_TWISTED, Difference
from dropin_cache.update.discovery.owners import Owner, Owners
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import DirectoryReport, Report, Request
from dropin_cache.update.state.observations import IMPORTS
from dropin_cache.update.text import is_dotted

BROKEN = "broken"


class Explanation(NamedTuple):
    """What there is to say about one plugin module, or one directory.

    Attributes:
        name: Dotted name of the plugin module, or of the plugin package.
        state: fresh, stale, missing, corrupt, refused or broken.
        path: The module's file, or the directory.
        cache: The cache file.
        package: Dotted name of the plugin package.
        python: The interpreter that imports it.
        reasons: Why the state is so, a line each.
        changes: What has changed since the cache was written: pairs of a module and how.
        error: The exception, if it is broken, in one line.
        traceback: The end of the traceback.
        owner: The package that installed it, if known.
        provides: For each plugin in the cache, its name and the interfaces it provides.
    """

    name: str
    state: str
    path: str
    cache: str
    package: str
    python: str
    reasons: tuple[str, ...]
    changes: tuple[tuple[str, str], ...]
    error: str | None
    traceback: str
    owner: Owner | None
    provides: tuple[tuple[str, tuple[str, ...]], ...]


def explain(request: Request, name: str) -> Explanation:
    """Explain the state of something.

    Args:
        request: Where to look; its packages do not count.
        name: Dotted name of a plugin module, a plugin or a plugin package, or the path of a plugin
            module, a cache or a plugin directory.

    Raises:
        UnknownNameError: There is no such thing.
        DropinCacheError: As for an update.
    """
    if os.sep in name or os.path.exists(name):
        return _explain_path(request, os.path.abspath(name))
    if is_dotted(name):
        return _explain_name(request, name)
    raise UnknownNameError(name)


def _explain_path(request: Request, path: str) -> Explanation:
    result = update(request, _silently)
    owners = Owners(request.root)
    directory, base = os.path.split(path)
    for found in result.directories:
        if _is_same(found.path, path, request.root) or (
            base == CACHE_NAME and _is_same(found.path, directory, request.root)
        ):
            return _of_directory(found, owners, request.root)
    for found in result.directories:
        if _is_same(found.path, directory, request.root):
            stem = os.path.basename(directory) if base.startswith("__init__.") else base
            module = f"{found.package}.{stem.partition('.')[0]}"
            explained = _of_module(found, module, owners, request.root)
            if explained is not None:
                return explained
    raise UnknownNameError(path)


def _is_same(one: str, other: str, root: str | None) -> bool:
    """Tell whether two paths of this machine lead to the same, without leaving an image."""
    prefix = "" if root is None else os.path.abspath(root).rstrip("/")
    if not (one + "/").startswith(prefix + "/") or not (other + "/").startswith(prefix + "/"):
        return False
    with contextlib.suppress(OSError), Files(enforced=False, root=root) as files:
        places = [files.status(path[len(prefix) :] or "/") for path in (one, other)]
        return os.path.samestat(*places)
    return False


def _explain_name(request: Request, name: str) -> Explanation:
    result = update(request, _silently)
    owners = Owners(request.root)
    for package in {found.package: None for found in result.directories}:
        if name == package or name.startswith(package + "."):
            explained = _search(result, name, owners, request.root)
            if explained is not None:
                return explained
    # A package that nobody has configured: name.module, or name.module.plugin.
    for package in (name, name.rpartition(".")[0], name.rpartition(".")[0].rpartition(".")[0]):
        if "." in package:
            explained = _search(_of_package(request, package), name, owners, request.root)
            if explained is not None:
                return explained
    raise UnknownNameError(name)


def _of_package(request: Request, package: str) -> Report:
    try:
        return update(request._replace(packages=(package,)), _silently)
    except (NotAPluginPackageError, PackageNotFoundError):
        return Report(None, ())


def _search(result: Report, name: str, owners: Owners, root: str | None) -> Explanation | None:
    """Find what a dotted name means in a report."""
    for found in result.directories:
        if name == found.package:
            return _of_directory(found, owners, root)
        rest = name[len(found.package) + 1 :] if name.startswith(found.package + ".") else ""
        if rest:
            explained = _of_module(found, f"{found.package}.{rest.split('.')[0]}", owners, root)
            if explained is not None:
                return explained
    return None


def _of_directory(found: DirectoryReport, owners: Owners, root: str | None) -> Explanation:
    reasons = [f"{found.error}"] if found.error is not None else []
    reasons += [why for module, why in found.changes if module == found.package]
    reasons += {BY_TWISTED} & {why for _, why in found.remarks}
    reasons += [f"{each.module} is broken: {each.error}" for each in found.broken]
    return Explanation(
        name=found.package,
        state=found.state,
        path=found.path,
        cache=os.path.join(found.path, CACHE_NAME),
        package=found.package,
        python=found.python,
        reasons=tuple(reasons),
        changes=tuple(_changes(found).items()),
        error=None,
        traceback="",
        owner=_owner(owners, found.path, root),
        provides=(),
    )


def _of_module(
    found: DirectoryReport, module: str, owners: Owners, root: str | None
) -> Explanation | None:
    """Explain a plugin module if it is, or was, in a directory."""
    difference = Difference.of(found.package, found.path, root)
    if module not in difference.modules():
        return None
    changes = _changes(found)
    broken = next((each for each in found.broken if each.module == module), None)
    if found.error is not None:
        state, reasons = found.state, [str(found.error)]
    elif broken is not None:
        state, reasons = BROKEN, [UNIMPORTABLE]
    else:
        state = report.STALE if module in dict(found.changes) else report.FRESH
        reasons = [changes[module]] if module in changes else []
    file, entry = difference.files.get(module), difference.entries.get(module)
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
        changes=tuple(changes.items()),
        error=None if broken is None else broken.error,
        traceback="" if broken is None else broken.traceback,
        owner=_owner(owners, path, root),
        provides=() if entry is None else tuple(_provides(entry)),
    )


def _changes(found: DirectoryReport) -> dict[str, str]:
    """Find what has changed since a cache was written: modules, or what they import."""
    imports = {module: why for module, why in found.further if why.startswith(IMPORTS)}
    return {**dict(found.remarks), **imports, **dict(found.changes)}


def _provides(entry: CachedDropin) -> Iterator[tuple[str, tuple[str, ...]]]:
    for plugin in entry.plugins:
        yield plugin.name, tuple(reference.dotted for reference in plugin.references)


def _owner(owners: Owners, path: str, root: str | None) -> Owner | None:
    inside = path if root is None else "/" + os.path.relpath(path, os.path.abspath(root))
    above: Sequence[str] = _directories_above(inside)
    return owners.owner_of(inside, above)


def _directories_above(path: str) -> list[str]:
    """Return the directories that a path is in: one of them is its import root."""
    found = []
    while path != "/":
        path = os.path.dirname(path)
        found.append(path)
    return found


def _silently(*_: object) -> None:
    """Show no progress."""
