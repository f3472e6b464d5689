"""What there is to update: plugin packages, interpreters, directories."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dropin_cache.errors import (
    DropinCacheError,
    ImportRootError,
    InterpreterError,
    PackageBrokenError,
    PackageNotFoundError,
    UntrustedError,
    ZopeInterfaceMissingError,
)
from dropin_cache.update.discovery.directories import Target
from dropin_cache.update.importing.answers import is_dotted
from dropin_cache.update.importing.importer import Probe
from dropin_cache.update.sandbox.choice import Unconfined
from dropin_cache.update.sandbox.visible import View
from dropin_cache.update.session import Session
from dropin_cache.update.state.dependencies import Memory

BUILT_IN_PACKAGES = ("twisted.plugins", "dropin_cache.plugins")

_IMAGE_PYTHON = "/usr/bin/python3"


class Targets(NamedTuple):
    """Everything that there is to update.

    Attributes:
        probes: The interpreters.
        packages: For each plugin package, how each interpreter sees it.
        problems: Why others could not be found out.
    """

    probes: list[Probe]
    packages: list[list[Target]]
    problems: list[DropinCacheError]


@contextlib.contextmanager
def open_targets(session: Session) -> Iterator[Targets]:
    """Find the interpreters and the plugin packages.

    Raises:
        PackageNotFoundError: A package that the request names is not installed anywhere; the
            configured ones may be missing.
        ImportRootError: A path to import from is not a directory.
        InterpreterError, ZopeInterfaceMissingError, UntrustedError: An interpreter of the
            request, or the running one, cannot be used.
    """
    problems: list[DropinCacheError] = []
    with open_probes(session, problems) as probes:
        names = wanted_packages(session, probes)
        packages = [_targets(name, probes, problems) for name in names]
        if session.request.packages:
            _require_present(session, packages)
        else:
            packages += _former(session, probes, set(names))
        yield Targets(probes, packages, problems)


@contextlib.contextmanager
def open_probes(session: Session, problems: list[DropinCacheError]) -> Iterator[list[Probe]]:
    """Find the interpreters.

    Args:
        session: The run.
        problems: Grows by the reasons why configured interpreters and import roots do not count.

    Raises:
        ImportRootError, InterpreterError, ZopeInterfaceMissingError, UntrustedError: As for
            `open_targets`.
    """
    with contextlib.ExitStack() as stack:
        yield _probes(session, stack, problems)


def wanted_packages(session: Session, probes: Sequence[Probe]) -> list[str]:
    """Return the names of the plugin packages that a run is about, installed or not."""
    declared = [name for probe in probes for name in probe.start.packages]
    configured = [line.package for line in session.settings.packages]
    names = session.request.packages or (*BUILT_IN_PACKAGES, *configured, *declared)
    return list(dict.fromkeys(names))


def interpreters(pythons: Sequence[str]) -> list[str]:
    """Return the paths of interpreters, of the running one if none are named.

    A name without a slash is looked up on PATH, as a shell does.

    Raises:
        InterpreterError: There is no such program.
    """
    if not pythons:
        return [sys.executable]
    return [_found_interpreter(python) for python in pythons]


def open_probe(
    session: Session, python: str, more: Sequence[str], stack: contextlib.ExitStack
) -> Probe:
    """Make ready to ask an interpreter, until the stack is unwound.

    Args:
        session: The run.
        python: Path of the interpreter.
        more: Directories to import from, behind its own.
        stack: Ends its children.

    Raises:
        InterpreterError: It is not there.
        UntrustedError: Others can change it.
        ImportRootError: A path to import from is not a directory.
    """
    try:
        os.close(session.files.file(python))
    except OSError as error:
        raise InterpreterError(python, error.strerror or str(error)) from error
    paths = [os.path.abspath(path) for path in session.request.paths]
    # Who may do what this process may sees what this process sees.
    view = None
    if session.tiers != (Unconfined.tier,):
        view = View.of(python, [*paths, *more], root=session.request.root, files=session.files)
    memory = Memory(session.ledger, python, [*paths, "", *more])
    probe = Probe(python, paths, more, session.timeout, session.confinement, memory, view)
    return stack.enter_context(probe)


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


def check_import_roots(session: Session) -> None:
    """Check that directories to import from are some.

    Raises:
        ImportRootError: One is not.
    """
    for path in session.request.paths:
        try:
            os.close(session.loose.directory(os.path.abspath(path)))
        except OSError as error:
            raise ImportRootError(path, error.strerror or str(error)) from error


def _probes(
    session: Session, stack: contextlib.ExitStack, problems: list[DropinCacheError]
) -> list[Probe]:
    """Return the interpreters; a configured one that cannot be used is a problem, no more."""
    check_import_roots(session)
    request = session.request
    configured = list(session.settings.interpreters) if session.privileged else []
    if request.pythons or not request.root:
        wanted = list(request.pythons) if request.root else interpreters(request.pythons)
    else:
        wanted = configured[:1] or [_IMAGE_PYTHON]
    more = list(_configured_roots(session, problems))
    probes = [open_probe(session, python, more, stack) for python in dict.fromkeys(wanted)]
    for probe in probes:
        _ = probe.start
    for python in () if request.pythons else configured:
        if python not in wanted:
            try:
                probe = open_probe(session, python, more, stack)
                _ = probe.start
                probes.append(probe)
            except (InterpreterError, ZopeInterfaceMissingError, UntrustedError) as error:
                problems.append(error)
    return probes


def _configured_roots(session: Session, problems: list[DropinCacheError]) -> Iterator[str]:
    """Yield the import roots of configured packages, without what others can change."""
    for line in session.settings.packages:
        for root in line.import_roots:
            try:
                os.close(session.files.directory(root))
                yield root
            except UntrustedError as error:
                problems.append(error)
            except OSError:  # what may have packages need not be there
                continue


def _targets(
    package: str, probes: Sequence[Probe], problems: list[DropinCacheError]
) -> list[Target]:
    targets = []
    for probe in probes:
        try:
            targets.append(Target(package, probe.locate(package), probe))
        except PackageBrokenError as error:
            problems.append(error)
    return targets


def _require_present(session: Session, packages: Iterable[Sequence[Target]]) -> None:
    for targets in packages:
        if targets and all(target.search_path is None for target in targets):
            # Not dotted is what could name a directory of anything, such as "/etc".
            with_remains = is_dotted(targets[0].package) and any(
                os.path.isdir(session.shown(os.path.join(root, *target.package.split("."))))
                for target in targets
                for root in target.probe.import_roots
            )
            if not with_remains:
                raise PackageNotFoundError(targets[0].package, targets[0].probe.python)


def _former(session: Session, probes: Sequence[Probe], names: set[str]) -> list[list[Target]]:
    """Return the packages that nobody declares, but whose caches were written once.

    Whether they are still there or not, what was written must not get stale.
    """
    former = {record.package for record in session.ledger.directories.values()} - names
    ignored: list[DropinCacheError] = []
    found = [_targets(package, probes, ignored) for package in sorted(former)]
    return [targets for targets in found if targets]


def _found_interpreter(python: str) -> str:
    if os.sep in python:
        # Not resolved: a virtual environment is known by the path of its interpreter.
        return os.path.abspath(python)
    import shutil  # noqa: PLC0415 - hooks name no interpreters

    found = shutil.which(python)
    if found is None:
        raise InterpreterError(python, "there is no such program on PATH")
    return found
