"""Find what somebody asks about: a plugin module, a plugin, a package, a file or a directory."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator

from dropin_cache._scan import CACHE_NAME
from dropin_cache.commands.explanation import (
    Asked,
    Explanation,
    of_directory,
    of_module,
    of_plugin,
    of_unseen,
)
from dropin_cache.commands.overlooked import unseen_as, unseen_at
from dropin_cache.errors import NotAPluginPackageError, PackageNotFoundError, UnknownNameError
from dropin_cache.update.discovery.differences import Difference
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Report, Request
from dropin_cache.update.text import is_dotted


def explain(request: Request, name: str, interface: str | None = None) -> Explanation:
    """Explain the state of something.

    Args:
        request: Where to look; its packages do not count.
        name: Dotted name of a plugin module, a plugin or a plugin package, or the path of a plugin
            module, a cache or a plugin directory.
        interface: Dotted name of the interface that plugins are asked for.

    Raises:
        UnknownNameError: There is no such thing.
        DropinCacheError: As for an update.
    """
    asked = Asked(request.root, interface, _update_of(request))
    if os.sep in name or os.path.exists(name):
        return _explain_path(request, os.path.abspath(name), asked)
    if is_dotted(name):
        return _explain_name(request, name, asked)
    raise UnknownNameError(name)


def _update_of(request: Request) -> str:
    """Return the command that updates what a request is about."""
    words = ["dropin-cache", "update"]
    words += ["--root", request.root] if request.root is not None else []
    for option, values in (("--python", request.pythons), ("--path", request.paths)):
        words += [word for value in values for word in (option, value)]
    return shlex.join(words)


def _explain_path(request: Request, path: str, asked: Asked) -> Explanation:
    result = update(request, _silently)
    directory, base = os.path.split(path)
    for found in result.directories:
        if _is_same(found.path, path, request.root) or (
            base == CACHE_NAME and _is_same(found.path, directory, request.root)
        ):
            return of_directory(found, asked)
    for found in result.directories:
        if _is_same(found.path, directory, request.root):
            stem = os.path.basename(directory) if base.startswith("__init__.") else base
            module = f"{found.package}.{stem.partition('.')[0]}"
            difference = Difference.of(found.package, found.path, request.root)
            # There may be several of one name, as `a.py` and `a/__init__.py` are.
            if module in difference.modules() and not _is_hidden(
                difference, module, path, request.root
            ):
                return of_module(found, module, difference, asked)
    unseen = unseen_at(request, path)
    if unseen is not None:
        return of_unseen(unseen, asked)
    raise UnknownNameError(path)


def _is_hidden(difference: Difference, module: str, path: str, root: str | None) -> bool:
    file = difference.files.get(module)
    return file is not None and not _is_same(file.path, path, root)


def _is_same(one: str, other: str, root: str | None) -> bool:
    """Tell whether two paths of this machine lead to the same, without leaving an image."""
    prefix = "" if root is None else os.path.abspath(root).rstrip("/")
    if not (one + "/").startswith(prefix + "/") or not (other + "/").startswith(prefix + "/"):
        return False
    with contextlib.suppress(OSError), Files(enforced=False, root=root) as files:
        places = [files.status(path[len(prefix) :] or "/") for path in (one, other)]
        return os.path.samestat(*places)
    return False


def _explain_name(request: Request, name: str, asked: Asked) -> Explanation:
    result = update(request, _silently)
    known: list[str] = []
    for package in {found.package: None for found in result.directories}:
        if name == package or name.startswith(package + "."):
            explained = _search(result, name, asked)
            if explained is not None:
                return explained
        known += _names_in(result, package, request.root)
    # A package that nobody has configured: name.module, or name.module.plugin.
    for package in (name, name.rpartition(".")[0], name.rpartition(".")[0].rpartition(".")[0]):
        if "." in package:
            found = _of_package(request, package)
            explained = _search(found, name, asked)
            if explained is not None:
                return explained
            known += _names_in(found, package, request.root)
    unseen = unseen_as(request, name)
    if unseen is not None:
        return of_unseen(unseen, asked)
    raise UnknownNameError(name, tuple(known))


def _of_package(request: Request, package: str) -> Report:
    try:
        return update(request._replace(packages=(package,)), _silently)
    except (NotAPluginPackageError, PackageNotFoundError):
        return Report(None, ())


def _names_in(result: Report, package: str, root: str | None) -> Iterator[str]:
    """Yield the names that mean something in a plugin package: its own, of modules and plugins."""
    for found in result.directories:
        if found.package == package:
            yield package
            difference = Difference.of(package, found.path, root)
            yield from difference.modules()
            for module, entry in difference.entries.items():
                yield from (f"{module}.{plugin.name}" for plugin in entry.plugins)


def _search(result: Report, name: str, asked: Asked) -> Explanation | None:
    """Find what a dotted name means in a report."""
    for found in result.directories:
        if name == found.package:
            return of_directory(found, asked)
        rest = name[len(found.package) + 1 :] if name.startswith(found.package + ".") else ""
        if rest:
            difference = Difference.of(found.package, found.path, asked.root)
            key, _, plugin = rest.partition(".")
            module = f"{found.package}.{key}"
            if module in difference.modules():
                if plugin:
                    return of_plugin(found, module, plugin, difference, asked)
                return of_module(found, module, difference, asked)
    return None


def _silently(*_: object) -> None:
    """Show no progress."""
