"""What there is to update: interpreters and plugin packages."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dropin_cache.errors import (
    DirectoryError,
    DropinCacheError,
    InterpreterError,
    PackageBrokenError,
    PackageNotFoundError,
    UntrustedError,
    ZopeInterfaceMissingError,
)
from dropin_cache.update.discovery.directories import Target
from dropin_cache.update.discovery.interpreters import Interpreter, interpreter_of
from dropin_cache.update.environments import Environments
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.plugin_packages import (
    containers_of,
    known_packages,
    wanted_packages,
    why_not,
)
from dropin_cache.update.session import Session
from dropin_cache.update.text import is_dotted

_PROGRAMS = ("python", "python3")
_NO_DIRECTORY = "Not a directory; applications find plugins in archives, which have no caches"
_IMAGE_PYTHON = "/usr/bin/python3"


class Targets(NamedTuple):
    """Everything that there is to update.

    Attributes:
        interpreters: The interpreters.
        packages: For each plugin package, how each interpreter sees it.
        problems: Why others could not be found out.
    """

    interpreters: tuple[Interpreter, ...]
    packages: tuple[tuple[Target, ...], ...]
    problems: tuple[DropinCacheError, ...]


def find_targets(session: Session, environments: Environments) -> Targets:
    """Find the interpreters and the plugin packages.

    Raises:
        NotAPluginPackageError: A package that the request names is one of another kind.
        PackageNotFoundError: A package that the request names is not installed anywhere; the
            configured ones may be missing.
        DirectoryError: A path to import from is not a directory.
        InterpreterError, ZopeInterfaceMissingError, UntrustedError: An interpreter of the
            request, or the running one, cannot be used.
    """
    interpreters, problems = find_interpreters(session, environments)
    names, refused = wanted_packages(session, environments, interpreters)
    problems += refused
    packages = []
    for name in names:
        targets, broken = _targets(name, interpreters, environments)
        packages.append(targets)
        problems += broken
    if session.request.packages:
        _require_present(session, environments, packages)
    else:
        packages += _former(session, interpreters, environments, names)
    return Targets(tuple(interpreters), tuple(packages), tuple(problems))


def find_interpreters(
    session: Session, environments: Environments
) -> tuple[list[Interpreter], list[DropinCacheError]]:
    """Find the interpreters that can be used.

    Returns:
        The interpreters, and why configured ones and configured directories do not count.

    Raises:
        DirectoryError, InterpreterError, ZopeInterfaceMissingError, UntrustedError: As for
            `find_targets`.
    """
    check_import_roots(session)
    request = session.request
    configured = list(session.settings.interpreters) if session.privileged else []
    if request.pythons or not request.root:
        wanted = list(request.pythons) if request.root else python_paths(request.pythons)
    else:
        wanted = configured[:1] or [_IMAGE_PYTHON]
    lines = session.settings.packages
    more, problems = _usable(session, [root for line in lines for root in line.import_roots])
    shown, further = _usable(session, session.settings.plugin_directories)
    problems += further
    found = [interpreter_at(session, python, more, shown) for python in dict.fromkeys(wanted)]
    for each in found:
        environments.start(each)
    for python in () if request.pythons else configured:
        if python not in wanted:
            try:
                interpreter = interpreter_at(session, python, more, shown)
                environments.start(interpreter)
                found.append(interpreter)
            except (InterpreterError, ZopeInterfaceMissingError, UntrustedError) as error:
                problems.append(error)
    return found, problems


def python_paths(pythons: Sequence[str]) -> list[str]:
    """Return the paths of interpreters, of the running one if none are named.

    A directory is an environment, whose interpreter is meant. Any other name without a slash is
    looked up on PATH, as a shell does.

    Raises:
        InterpreterError: There is no such program.
    """
    if not pythons:
        return [sys.executable]
    return [_found_python(python) for python in pythons]


def directories(
    packages: Iterable[str], import_roots: Sequence[str], files: Files
) -> Iterator[tuple[str, str]]:
    """List the directories that can belong to plugin packages, without importing anything.

    Args:
        packages: Dotted names of plugin packages.
        import_roots: The interpreter's `sys.path`.
        files: How to look at them.

    Yields:
        Package name and directory, for each directory that exists. Of several that are packages
        themselves only the first counts, as `pluginPackagePaths` has it.
    """
    for package in packages:
        candidates = [os.path.join(root, *package.split(".")) for root in import_roots]
        regular = [path for path in candidates if files.kind(os.path.join(path, "__init__.py"))]
        for path in candidates:
            if files.kind(path) == stat.S_IFDIR and path not in regular[1:]:
                yield package, path


def check_import_roots(session: Session) -> None:
    """Check that directories to import from are some.

    Raises:
        DirectoryError: One is not.
    """
    for path in session.request.paths:
        try:
            os.close(session.unchecked.directory(os.path.abspath(path)))
        except NotADirectoryError as error:
            raise DirectoryError(path, _NO_DIRECTORY) from error
        except OSError as error:
            raise DirectoryError(path, error.strerror or str(error)) from error


def interpreter_at(
    session: Session, python: str, more: Sequence[str] = (), shown: Sequence[str] = ()
) -> Interpreter:
    """Return an interpreter, if it is there and nobody else can change it.

    Raises:
        InterpreterError, UntrustedError: It is not.
    """
    try:
        os.close(session.files.file(python))
    except OSError as error:
        raise InterpreterError(python, error.strerror or str(error)) from error
    paths = [os.path.abspath(path) for path in session.request.paths]
    return interpreter_of(python, paths, more, shown)


def _usable(session: Session, wanted: Iterable[str]) -> tuple[list[str], list[DropinCacheError]]:
    """Return those of some configured directories that are there, and why others do not count."""
    usable: list[str] = []
    problems: list[DropinCacheError] = []
    for directory in wanted:
        try:
            os.close(session.files.directory(directory))
            usable.append(directory)
        except UntrustedError as error:
            problems.append(error)
        except OSError:  # what may have packages need not be there
            continue
    return usable, problems


def _targets(
    package: str, interpreters: Sequence[Interpreter], environments: Environments
) -> tuple[tuple[Target, ...], list[DropinCacheError]]:
    targets = []
    problems: list[DropinCacheError] = []
    for each in interpreters:
        try:
            path = environments.locate(each, package)
        except PackageBrokenError as error:
            problems.append(error)
        else:
            targets.append(Target(package, path, each, environments.start(each).path))
    return tuple(targets), problems


def _require_present(
    session: Session, environments: Environments, packages: Iterable[Sequence[Target]]
) -> None:
    for targets in packages:
        if targets and all(target.search_path is None for target in targets):
            # Not dotted is what could name a directory of anything, such as "/etc".
            with_remains = is_dotted(targets[0].package) and any(
                session.unchecked.kind(os.path.join(root, *target.package.split(".")))
                == stat.S_IFDIR
                for target in targets
                for root in target.import_roots
            )
            if not with_remains:
                interpreters = [target.interpreter for target in targets]
                known = known_packages(session, environments, interpreters)
                raise PackageNotFoundError(targets[0].package, interpreters[0].python, tuple(known))


def _former(
    session: Session,
    interpreters: Sequence[Interpreter],
    environments: Environments,
    names: Sequence[str],
) -> list[tuple[Target, ...]]:
    """Return the packages that nobody declares, but whose caches were written once.

    Whether they are still there or not, what was written must not get stale.
    """
    above = containers_of(names)
    former: dict[str, list[Interpreter]] = {}
    for interpreter in interpreters:
        # What one environment has been asked for is nothing to another.
        written = session.ledgers.of(interpreter).directories.values()
        for package in {record.package for record in written} - set(names):
            if why_not(session, environments, interpreters, package, above) is None:
                former.setdefault(package, []).append(interpreter)
    found = [_targets(package, of, environments)[0] for package, of in sorted(former.items())]
    return [targets for targets in found if targets]


def _found_python(python: str) -> str:
    if os.path.isdir(python):  # an environment; as uv takes it, too
        named = [os.path.join(os.path.abspath(python), "bin", name) for name in _PROGRAMS]
        return next(filter(os.path.exists, named), named[0])
    if os.sep in python:
        # Not resolved: a virtual environment is known by the path of its interpreter.
        return os.path.abspath(python)
    import shutil  # noqa: PLC0415 - hooks name no interpreters

    found = shutil.which(python)
    if found is None:
        raise InterpreterError(python, "there is no such program on PATH")
    return found
