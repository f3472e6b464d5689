"""What there is to update: plugin packages, interpreters, directories."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dropin_cache.errors import ImportRootError, InterpreterError, PackageNotFoundError
from dropin_cache.update.probe import Probe
from dropin_cache.update.report import Request

BUILT_IN_PACKAGES = ("twisted.plugins", "dropin_cache.plugins")


class Target(NamedTuple):
    """A plugin package as one interpreter sees it.

    Attributes:
        package: Its dotted name.
        search_path: Its `__path__`.
        probe: The interpreter.
    """

    package: str
    search_path: tuple[str, ...]
    probe: Probe


@contextlib.contextmanager
def open_targets(request: Request) -> Iterator[list[Target]]:
    """Start the interpreters and find the plugin packages.

    Raises:
        PackageNotFoundError: A package that the request names is not installed anywhere; the
            built-in ones may be missing.
        PackageBrokenError: A package cannot be imported.
        ImportRootError: A path to import from is not a directory.
        InterpreterError, ZopeInterfaceMissingError: An interpreter cannot be used.
    """
    check_import_roots(request.paths)
    with contextlib.ExitStack() as stack:
        probes = [
            stack.enter_context(Probe(python, request.paths, request.timeout))
            for python in interpreters(request.pythons)
        ]
        targets = []
        for package in request.packages or BUILT_IN_PACKAGES:
            found = [(probe, probe.locate(package)) for probe in probes]
            present = [(probe, path) for probe, path in found if path is not None]
            if request.packages and not present:
                raise PackageNotFoundError(package, probes[0].python)
            targets += [Target(package, path, probe) for probe, path in present]
        yield targets


def interpreters(pythons: Sequence[str]) -> list[str]:
    """Return the paths of interpreters, of the running one if none are named.

    A name without a slash is looked up on PATH, as a shell does.

    Raises:
        InterpreterError: There is no such program.
    """
    if not pythons:
        return [sys.executable]
    return [_found_interpreter(python) for python in pythons]


def directories(packages: Iterable[str], import_roots: Sequence[str]) -> Iterator[tuple[str, str]]:
    """List the directories that can belong to plugin packages, without importing anything.

    Args:
        packages: Dotted names of plugin packages.
        import_roots: The interpreter's `sys.path`.

    Yields:
        Package name and directory, for each directory that exists. Of several that are packages
        themselves only the first counts, as `pluginPackagePaths` has it.
    """
    for package in packages:
        candidates = [os.path.join(root, *package.split(".")) for root in import_roots]
        regular = [path for path in candidates if os.path.exists(os.path.join(path, "__init__.py"))]
        for path in candidates:
            if os.path.isdir(path) and path not in regular[1:]:
                yield package, path


def check_import_roots(paths: Iterable[str]) -> None:
    """Check that directories to import from can be read.

    Raises:
        ImportRootError: One cannot.
    """
    for path in paths:
        try:
            os.scandir(path).close()
        except OSError as error:
            raise ImportRootError(path, error.strerror or str(error)) from error


def _found_interpreter(python: str) -> str:
    if os.sep in python:
        # Not resolved: a virtual environment is known by the path of its interpreter.
        return os.path.abspath(python)
    found = shutil.which(python)
    if found is None:
        raise InterpreterError(python, "there is no such program on PATH")
    return found
