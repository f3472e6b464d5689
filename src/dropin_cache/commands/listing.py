"""What is in the caches, read without importing anything."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dropin_cache._cachefile import read_open_cache
from dropin_cache._model import CachedDropin, CachedPlugin
from dropin_cache._scan import CACHE_NAME
from dropin_cache.errors import PackageNotFoundError, UnknownInterfaceError, UntrustedError
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.environments import Environments
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.plugin_packages import known_packages, wanted_packages
from dropin_cache.update.report import Request
from dropin_cache.update.session import open_session
from dropin_cache.update.targets import directories, find_interpreters

_NO_MODULES = ("/", "/__init__.py", "/__init__.pyc")


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


class Listed(NamedTuple):
    """What there is.

    Attributes:
        rows: The plugins in the caches.
        archives: Archives with plugin modules, which no cache has.
    """

    rows: list[Row]
    archives: list[str]


def listed(request: Request, interface: str | None) -> Listed:
    """List the plugins in the caches of plugin packages.

    Args:
        request: Which packages, interpreters and paths.
        interface: Dotted name; only plugins that provide it, inherited or not, are listed.

    Raises:
        PackageNotFoundError: A package that the request names is not there.
        UnknownInterfaceError: No plugin provides the interface.
        DirectoryError, InterpreterError, ZopeInterfaceMissingError: As for an update.
    """
    places: dict[tuple[str, str], None] = {}  # interpreters may share directories
    archives: dict[str, None] = {}
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
            archives.update(dict.fromkeys(_archives(session.files, packages, roots)))
        there = {package for package, _ in places}
        for package in () if archives else request.packages:
            if package not in there:
                known = known_packages(session, environments, interpreters)
                raise PackageNotFoundError(package, interpreters[0].python, tuple(known))
        all_rows = [
            row._replace(path=session.shown(row.path))
            for package, directory in places
            for row in _rows_of(session.unchecked, package, directory)
        ]
        shown = [session.shown(path) for path in archives]
    rows = [row for row in all_rows if interface in (None, *row.provides, *row.inherits)]
    if interface is not None and not rows:
        every = (name for row in all_rows for name in (*row.provides, *row.inherits))
        raise UnknownInterfaceError(interface, tuple(dict.fromkeys(every)))
    return Listed(rows, shown)


def _archives(files: Files, packages: Sequence[str], roots: Sequence[str]) -> Iterator[str]:
    """Yield the archives on a search path that have plugin modules and can be relied on."""
    starts = tuple(f"{package.replace('.', '/')}/" for package in packages)
    for path in roots:
        if files.kind(path) == stat.S_IFREG:
            names = _names_in(files, path)
            if any(name.startswith(starts) and not name.endswith(_NO_MODULES) for name in names):
                yield path


def _names_in(files: Files, path: str) -> list[str]:
    """Return the names of what is in an archive; nothing if it is none."""
    import zipfile  # noqa: PLC0415 - archives on the path are rare

    damaged = zipfile.BadZipFile, NotImplementedError, ValueError
    with contextlib.suppress(OSError, UntrustedError, *damaged):
        descriptor = files.file(path)
        with os.fdopen(descriptor, "rb") as file, zipfile.ZipFile(file) as archive:
            return archive.namelist()
    return []


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
