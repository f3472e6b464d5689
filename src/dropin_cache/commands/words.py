"""All words for people but the help texts, and the line in which an error states its facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dropin_cache.commands import terminal
from dropin_cache.commands.terminal import message, remedy, result, title
from dropin_cache.errors import DropinCacheError

if TYPE_CHECKING:
    from dropin_cache.commands.explanation import Explanation
    from dropin_cache.commands.listing import Row
    from dropin_cache.installers.startup_file import Status

UNIMPORTABLE = "it cannot be imported"
"""Why a plugin module is not in the cache, for `explain`."""

_LAST_LINES = 5  # of a traceback


def error(
    problem: DropinCacheError,
    *,
    verbose: bool = False,
    brief: bool = False,
    root: str | None = None,
) -> None:
    """Print an error and what to do about it.

    Args:
        problem: The error.
        verbose: Whether to print a traceback where there is one.
        brief: Whether to print no more than one line.
        root: The directory of the image that the command is about.
    """
    message("error", str(problem))
    if brief:
        return
    if verbose:
        print_traceback(getattr(problem, "traceback", ""))
    from dropin_cache.commands.advice import what_to_do  # noqa: PLC0415 - for errors only

    advice = what_to_do(problem, root)
    if advice:
        remedy(advice)


def interrupted() -> None:
    """Print that somebody pressed Ctrl-C."""
    message("error", "interrupted; every cache is as it was, or new and whole")
    remedy("Run the same command again to finish.")


def failure(problem: OSError) -> None:
    """Print that the system has failed where nobody expected it.

    Args:
        problem: What it said.
    """
    from dropin_cache.commands.advice import failed  # noqa: PLC0415 - for errors only

    message("error", f"cannot go on: {problem}")
    remedy(f"No cache is half written. {failed(problem)}")


def mistake(problem: Exception) -> None:
    """Print that this program has a mistake.

    Args:
        problem: What came of it.
    """
    told = f"{type(problem).__name__}: {problem}"
    message("error", f"this is a mistake in dropin-cache: {told}")


def switched_off(reason: str) -> None:
    """Print that a trigger did nothing, because somebody wants it so.

    Args:
        reason: What says so.
    """
    result(f"plugin caches are not updated: {reason}; at the end, run update-dropin-cache")


def explanation(found: Explanation) -> None:
    """Print what there is to say about a plugin module or a directory.

    Args:
        found: The explanation.
    """
    owner = "unknown" if found.owner is None else f"{found.owner.name} ({found.owner.kind})"
    title(f"{found.name}: {found.state}")
    for label, text in (
        *(("because", reason) for reason in found.reasons),
        ("to do", found.remedy or None),
        ("error", found.error),
        *(("", line) for line in found.traceback.splitlines()[-_LAST_LINES:]),
        ("path", found.path),
        ("cache", found.cache),
        ("owner", owner),
        ("python", found.python),
        ("ask", _question(found.package)),
        *(("plugin", f"{name}: {', '.join(names)}") for name, names in found.plugins),
        *(("changed", f"{module}: {why}") for module, why in found.changes),
    ):
        if text is not None:
            result(f"  {label:8} {text}".rstrip())


def _question(package: str) -> str:
    """Return how applications ask for what is in a plugin package, and for nothing else."""
    if package == "dropin_cache.plugins":
        return "dropin_cache.getPlugins(INTERFACE)"
    return f"dropin_cache.getPlugins(INTERFACE, {package})"


def hook(found: Status) -> None:
    """Print whether pip updates the caches of an environment.

    Args:
        found: What there is of the start-up file.
    """
    result(f"{found.state}: {found.path}")
    if found.outdated:
        message("warning", "another version of dropin-cache wrote this file; it may do nothing")
        remedy("To write it again: dropin-cache hook enable")


def rows(found: Sequence[Row], *, verbose: bool) -> None:
    """Print a listing of plugins.

    Args:
        found: The plugins.
        verbose: Whether to print all that is known of them.
    """
    if not found:
        message("warning", "there are no plugins in any cache")
        remedy("To see whether the caches are fresh: dropin-cache check")
        return
    from dropin_cache.commands import catalogue  # noqa: PLC0415 - for listings only

    form = catalogue.groups_in_full if verbose else catalogue.groups
    for module, lines in form(found, terminal.width()):
        title(module)
        for line in lines:
            result(line)


def archives(found: Sequence[str]) -> None:
    """Name archives in which there are plugin modules, since no listing has these.

    Args:
        found: Their paths.
    """
    for path in found:
        text = "applications find the plugin modules in this archive, and no cache has them"
        message("info", f"{path}: {text}")


def print_traceback(text: str, origin: str = "") -> None:
    """Print what plugin code may have written: each line says whose it is."""
    for line in text.splitlines():
        remedy(f"{origin}{line}")
