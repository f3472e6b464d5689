"""What is in the caches, read without importing anything."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from dropin_cache._cachefile import read_open_cache
from dropin_cache._model import CachedDropin, CachedPlugin
from dropin_cache._scan import CACHE_NAME
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.environments import Environments
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.plugin_packages import wanted_packages
from dropin_cache.update.report import Request
from dropin_cache.update.session import open_session
from dropin_cache.update.targets import directories, find_interpreters


class Row(NamedTuple):
    """A plugin as its cache has it.

    Attributes:
        package: Dotted name of the plugin package.
        module: Dotted name of the plugin module.
        plugin: The plugin's name in it.
        provides: Dotted names of the interfaces it provides itself.
        inherits: Dotted names of those that these extend.
        description: Its docstring, or None.
        path: The directory of the cache.
    """

    package: str
    module: str
    plugin: str
    provides: tuple[str, ...]
    inherits: tuple[str, ...]
    description: str | None
    path: str


def rows(request: Request, interface: str | None) -> list[Row]:
    """List the plugins in the caches of plugin packages.

    Args:
        request: Which packages, interpreters and paths.
        interface: Dotted name; only plugins that provide it, inherited or not, are listed.

    Raises:
        ImportRootError, InterpreterError, ZopeInterfaceMissingError: As for an update.
    """
    places: dict[tuple[str, str], None] = {}  # interpreters may share directories
    with (
        open_session(request) as session,
        Importer(
            session.confinement, session.files, session.request.root, session.timeout
        ) as importer,
    ):
        owners = Owners(session.request.root, session.files)
        environments = Environments(session, importer, owners)
        interpreters, _ = find_interpreters(session, environments)
        packages, _ = wanted_packages(session, environments, interpreters)
        for interpreter in interpreters:
            roots = environments.start(interpreter).path
            found = directories(packages, roots, session.unchecked)
            places.update(dict.fromkeys(found))
        listed = [
            row._replace(path=session.shown(row.path))
            for package, directory in places
            for row in _rows_of(session.unchecked, package, directory)
        ]
    return [row for row in listed if interface in (None, *row.provides, *row.inherits)]


def _rows_of(files: Files, package: str, directory: str) -> Iterator[Row]:
    for dropin in _dropins_in(files, directory).values():
        for plugin in dropin.plugins:
            yield _row(package, directory, plugin)
    # A plugin module that is a package has its cache inside.
    with contextlib.suppress(OSError):
        for name in files.names(directory):
            inner = os.path.join(directory, name)
            own = _dropins_in(files, inner).get(name)
            for plugin in own.plugins if own is not None else ():
                yield _row(package, inner, plugin)


def _dropins_in(files: Files, directory: str) -> dict[str, CachedDropin]:
    """Read a cache as a reader does, through links, but never out of an image."""
    with contextlib.suppress(OSError):
        file = read_open_cache(files.file(os.path.join(directory, CACHE_NAME)))
        return (file.dropins() if file is not None else None) or {}
    return {}


def _row(package: str, directory: str, plugin: CachedPlugin) -> Row:
    provides = tuple(reference.dotted for reference in plugin.references)
    direct = set(provides)
    inherits = tuple(name for name in plugin.interfaces or () if name not in direct)
    module = plugin.dropin.moduleName
    return Row(package, module, plugin.name, provides, inherits, plugin.description, directory)
