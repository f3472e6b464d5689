"""Which plugin packages there are, by name: built in, configured, declared or asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dropin_cache.errors import DropinCacheError, NotAPluginPackageError
from dropin_cache.update.discovery.declarations import is_standard, located, plugin_package_in
from dropin_cache.update.discovery.interpreters import Interpreter
from dropin_cache.update.environments import BUILT_IN_PACKAGES, Environments
from dropin_cache.update.session import Session


def known_packages(
    session: Session, environments: Environments, interpreters: Iterable[Interpreter]
) -> list[str]:
    """Return the names of the plugin packages that nobody has to ask for, installed or not."""
    declared = [name for each in interpreters for name in environments.start(each).packages]
    configured = [line.package for line in session.settings.packages]
    return list(dict.fromkeys([*BUILT_IN_PACKAGES, *configured, *declared]))


def wanted_packages(
    session: Session, environments: Environments, interpreters: Sequence[Interpreter]
) -> tuple[list[str], list[DropinCacheError]]:
    """Return the names of the plugin packages that a run is about, installed or not.

    Returns:
        The names, and why some that are configured do not count.

    Raises:
        NotAPluginPackageError: The request names something else.
    """
    known = known_packages(session, environments, interpreters)
    configured = [line.package for line in session.settings.packages]
    containers = containers_of([*known, *session.request.packages])
    names: list[str] = []
    problems: list[DropinCacheError] = []
    for name in dict.fromkeys(session.request.packages or known):
        problem = why_not(session, environments, interpreters, name, containers)
        if problem is None:
            names.append(name)
        elif session.request.packages:
            raise problem
        elif name in configured:
            problems.append(problem)
        elif environments.asked:  # else it has been told
            environments.warnings.append(f"a distribution declares {name}, but {problem}")
    return names, problems


def containers_of(names: Iterable[str]) -> dict[str, str]:
    """Return all packages that contain others, each with one that it contains."""
    return {
        ".".join(parts[:length]): name
        for name in names
        for parts in [name.split(".")]
        for length in range(1, len(parts))
    }


def why_not(
    session: Session,
    environments: Environments,
    interpreters: Iterable[Interpreter],
    name: str,
    containers: dict[str, str],
) -> NotAPluginPackageError | None:
    """Say why a name is not that of a plugin package, if that can be told without importing it.

    Two plugin packages of which one contains the other would write the same caches.
    """
    if name in BUILT_IN_PACKAGES:
        return None
    if name in containers:
        inner: str | None = containers[name]
        return NotAPluginPackageError(name, f"it contains {inner}, which is one", inner)
    for other in BUILT_IN_PACKAGES:
        if name.startswith(f"{other}."):
            return NotAPluginPackageError(name, f"it is in {other}, which is one", other)
    for each in interpreters:
        place = located(name, environments.start(each).path, session.unchecked)
        if place is not None and is_standard(place, session.unchecked):
            reason = "it belongs to the standard library"
            return NotAPluginPackageError(name, reason, BUILT_IN_PACKAGES[0])
        inner = plugin_package_in(name, place, session.unchecked) if place is not None else None
        if inner is not None:
            return NotAPluginPackageError(name, f"it contains {inner}, which is one", inner)
    return None
