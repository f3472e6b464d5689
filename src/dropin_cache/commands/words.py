"""All words for people but the help texts, and the line in which an error states its facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dropin_cache.commands import terminal
from dropin_cache.commands.terminal import message, remedy, result, title
from dropin_cache.errors import DropinCacheError
from dropin_cache.update.report import UNCHANGED, Broken, DirectoryReport, Report

if TYPE_CHECKING:
    from dropin_cache.commands.explanation import Explanation
    from dropin_cache.commands.listing import Row
    from dropin_cache.installers.startup_file import Status

UNIMPORTABLE = "it cannot be imported"
"""Why a plugin module is not in the cache, for `explain`."""

_LAST_LINES = 5  # of a traceback
_MAX_NEWS = 10  # lines about a directory


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
        _print_traceback(getattr(problem, "traceback", ""))
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


def diagnostics(found: Report, *, quiet: bool, verbose: bool, root: str | None = None) -> None:
    """Print what went wrong in a run, and what is worth a warning.

    Args:
        found: The report.
        quiet: Whether to print errors only.
        verbose: Whether to print tracebacks, and why modules were imported.
        root: The directory of the image that the run was about.
    """
    for problem in found.problems:
        error(problem, verbose=verbose, root=root)
    for warning in () if quiet else found.warnings:
        message("warning", warning)
    for directory in found.directories if verbose else ():
        if directory.foreign:
            message("info", f"{directory.path} is not this user's to write, and does not count")
    for directory in found.own:
        if not quiet:
            _print_remarks(directory, verbose=verbose)
        if directory.error is not None:
            error(directory.error, verbose=verbose, root=root)


def warnings(found: Report) -> list[str]:
    """Return what `diagnostics` prints of directories that are fresh, in lines."""
    notes = (note for directory in found.own for note in _notes(directory))
    return [terminal.line_of(kind, text) for kind, text, _ in notes]


def report(found: Report) -> None:
    """Print what an update did, and where it imports plugin modules.

    Args:
        found: The report.
    """
    findings(found)
    if found.own and found.sandbox not in (None, "none"):
        result(f"plugin modules are imported in the sandbox {found.sandbox}")


def findings(found: Report, *, conditional: bool = False) -> None:
    """Print what a run did or found.

    Args:
        found: The report.
        conditional: Whether it is about what would be done.
    """
    for line in summary(found, conditional=conditional):
        result(line)


def summary(found: Report, *, conditional: bool = False) -> list[str]:
    """Return what a run did or found, in lines; as for `findings`."""
    lines = [_line(directory, conditional=conditional) for directory in found.own]
    if found.directories and not found.own:
        lines.append("none of the caches here is this user's to write; with -v, they are named")
    elif not found.directories and not found.problems:
        lines.append("there are no plugin modules, so there are no caches")
    return lines


def news(found: Report) -> None:
    """Print a line for each thing that a run has changed or found broken, and for nothing else.

    Args:
        found: The report.
    """
    for problem in found.problems:
        error(problem, brief=True)
    for warning in found.warnings:
        message("warning", warning)
    for directory in found.directories:
        news = [broken for broken in directory.broken if broken.news]
        for broken in news[:_MAX_NEWS]:
            message("warning", _left_out(broken))
        if len(news) > _MAX_NEWS:
            more = _count(len(news) - _MAX_NEWS, "more module")
            message("warning", f"{more} left out of {directory.path}: dropin-cache check tells all")
        if directory.error is not None:
            error(directory.error, brief=True)
        elif directory.state != UNCHANGED:
            result(_line(directory, conditional=False))


def switched_off(reason: str) -> None:
    """Print that a trigger did nothing, because somebody wants it so.

    Args:
        reason: What says so.
    """
    result(f"plugin caches are not updated: {reason}; at the end, run update-dropin-cache")


def cleaned(found: Report) -> None:
    """Print what was removed.

    Args:
        found: The report.
    """
    removed = [each for each in found.directories if each.error is None]
    for directory in removed:
        for path in (f"{directory.path}/dropin.cache", *directory.pruned):
            result(f"removed: {path}")
    result(f"{_count(len(removed), 'cache')} removed")


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


def _print_remarks(directory: DirectoryReport, *, verbose: bool) -> None:
    changes = {**dict(directory.further), **dict(directory.changes)}
    for module, why in changes.items() if verbose else ():
        message("info", f"{module}: {why}")
    for kind, text, broken in _notes(directory):
        message(kind, text)
        if verbose and broken is not None:
            _print_traceback(broken.traceback, f"{_origin(broken)}: ")


def _notes(directory: DirectoryReport) -> Iterator[tuple[str, str, Broken | None]]:
    """Yield what is worth a line about a directory: its kind, its text, what it is about."""
    for text, count in Counter(text for _, text in directory.remarks).items():
        yield "info", f"{directory.path}: {text} ({_count(count, 'module')})", None
    for broken in directory.broken:
        yield "warning", _left_out(broken), broken
    for warning in directory.warnings:
        yield "warning", warning, None


def _left_out(broken: Broken) -> str:
    return f"{_origin(broken)} is left out: {broken.error}"


def _origin(broken: Broken) -> str:
    return broken.module + (f" (of {broken.owner})" if broken.owner else "")


def _print_traceback(text: str, origin: str = "") -> None:
    """Print what plugin code may have written: each line says whose it is."""
    for line in text.splitlines():
        remedy(f"{origin}{line}")


def _line(directory: DirectoryReport, *, conditional: bool) -> str:
    state = f"would be {directory.state}" if conditional else directory.state
    counts = _count(directory.modules, "module")
    if not conditional:  # nobody has counted the plugins of what has not been imported yet
        counts += f", {_count(directory.plugins, 'plugin')}"
    if directory.broken:
        counts += f", {len(directory.broken)} broken"
    return f"{state}: {directory.path} ({directory.package}: {counts})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
