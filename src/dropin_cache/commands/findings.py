"""What a run did or found, in words: results, warnings and news."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from dropin_cache.commands import terminal
from dropin_cache.commands.terminal import message, remedy, result
from dropin_cache.commands.words import error, print_traceback
from dropin_cache.update.report import UNCHANGED, Broken, DirectoryReport, Report

_BUILT_IN = ("twisted.plugins", "dropin_cache.plugins")
_MAX_NEWS = 10  # lines about a directory


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


def misplaced(found: Report, paths: Sequence[str]) -> None:
    """Warn of plugin directories where directories to import from are asked for.

    Args:
        found: The report.
        paths: What `--path` names.
    """
    packages = dict.fromkeys((*_BUILT_IN, *(each.package for each in found.directories)))
    for path in map(os.path.abspath, paths):
        for place in (f"/{package.replace('.', '/')}" for package in packages):
            if path.endswith(place):
                message("warning", f"--path {path} is a plugin directory, and selects nothing")
                remedy(f"Give the directory that its package is in: --path {path[: -len(place)]}")


def _print_remarks(directory: DirectoryReport, *, verbose: bool) -> None:
    changes = {**dict(directory.further), **dict(directory.changes)}
    for module, why in changes.items() if verbose else ():
        message("info", f"{module}: {why}")
    for kind, text, broken in _notes(directory):
        message(kind, text)
        if verbose and broken is not None:
            print_traceback(broken.traceback, f"{_origin(broken)}: ")


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
