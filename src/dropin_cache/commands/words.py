"""Reports, errors and advice, in words for people and in JSON for programs."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable

from dropin_cache.commands.advice import advice, error, message
from dropin_cache.update.report import (
    FRESH,
    REFUSED,
    REMOVED,
    UNCHANGED,
    WRITTEN,
    Broken,
    DirectoryReport,
    Report,
)
from dropin_cache.update.sandbox.choice import CONFINED
from dropin_cache.update.text import one_line

if TYPE_CHECKING:
    from dropin_cache.commands.explain import Explanation
    from dropin_cache.commands.listing import Row
    from dropin_cache.installers.startup_file import Status

_LAST_LINES = 5  # of a traceback
_PROGRESS_DELAY = 1.0  # seconds of silence that people take for normal


def report(result: Report, arguments: argparse.Namespace, *, conditional: bool = False) -> None:
    """Print what a run did or found: results on standard output, the rest on standard error.

    Args:
        result: The report.
        arguments: The command line: `json`, `quiet` and `verbose` count.
        conditional: Whether it is about what would be done.
    """
    for problem in result.problems:
        error(problem, verbose=arguments.verbose)
    for directory in result.directories:
        if not arguments.quiet:
            _print_remarks(directory, verbose=arguments.verbose)
        if directory.error is not None:
            error(directory.error, verbose=arguments.verbose)
    if arguments.json:
        print(json.dumps(_as_json(result), indent=2))
    elif not arguments.quiet:
        for directory in result.directories:
            print(one_line(_line(directory, conditional=conditional)))
        if not result.directories and not result.problems:
            print("there are no drop-ins, so there are no caches")
        if result.directories and result.sandbox in CONFINED:
            print(f"drop-ins are imported in the sandbox {result.sandbox}")


def news(result: Report) -> None:
    """Print a line for each thing that a run has changed or found broken, and for nothing else."""
    for problem in result.problems:
        error(problem, brief=True)
    for directory in result.directories:
        for broken in directory.broken:
            if broken.news:
                _print_broken(broken, verbose=False)
        if directory.error is not None:
            error(directory.error, brief=True)
        elif directory.state != UNCHANGED:
            print(one_line(_line(directory, conditional=False)))


def cleaned(result: Report, *, quiet: bool) -> None:
    """Print what was removed."""
    for problem in result.problems:
        error(problem)
    for directory in result.directories:
        if directory.error is not None:
            error(directory.error)
        elif not quiet:
            for path in (f"{directory.path}/dropin.cache", *directory.pruned):
                print(one_line(f"removed: {path}"))


def explanation(found: Explanation, *, as_json: bool) -> None:
    """Print what there is to say about a drop-in or a directory."""
    if as_json:
        owner = found.owner and found.owner.name
        print(json.dumps({**found._asdict(), "owner": owner}, indent=2))
        return
    owner = None if found.owner is None else f"{found.owner.name} ({found.owner.kind})"
    print(one_line(f"{found.name}: {found.state}"))
    for title, text in (
        *(("because", reason) for reason in found.reasons),
        ("error", found.error),
        *(("", line) for line in found.traceback.splitlines()[-_LAST_LINES:]),
        ("path", found.path),
        ("cache", found.cache),
        ("owner", owner or "unknown"),
        ("python", found.python),
        *(("plugin", f"{name}: {', '.join(names)}") for name, names in found.provides),
        *(("changed", f"{module}: {why}") for module, why in found.changes),
    ):
        if text is not None:
            print(f"  {title:8} {one_line(text)}".rstrip())


def hook(found: Status) -> None:
    """Print what there is of the hook of an environment."""
    from dropin_cache.installers.startup_file import OUTDATED  # noqa: PLC0415 - whoever asks has loaded it

    print(one_line(f"{found.state}: {found.path}"))
    if found.state == OUTDATED:
        message("warning", "it is not what this version writes, and may do nothing")
        advice("To write it anew: dropin-cache hook enable")


def predicted(result: Report, *, force: bool) -> Report:
    """Turn what was found into what an update would make of it."""
    return result._replace(
        directories=tuple(
            each._replace(state=_prediction(each, force=force)) for each in result.directories
        )
    )


def rows(found: Sequence[Row], *, as_json: bool) -> None:
    """Print a listing of plugins."""
    if as_json:
        print(json.dumps({"plugins": [row._asdict() for row in found]}, indent=2))
        return
    if not found:
        message("warning", "no such plugins in any cache; to make the caches: dropin-cache update")
        return
    table = [("MODULE", "PLUGIN", "PROVIDES")]
    table += [
        (one_line(row.module), one_line(row.plugin), one_line(", ".join(row.provides)))
        for row in found
    ]
    widths = [max(len(line[column]) for line in table) for column in (0, 1)]
    for module, plugin, provides in table:
        print(f"{module:{widths[0]}}  {plugin:{widths[1]}}  {provides}".rstrip())


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Provide a progress line, on a terminal and for runs of more than a second.

    Yields:
        A function to call with the number of imports done, their count and the module's name.
    """
    started = time.monotonic()
    shown = 0

    def show(number: int, count: int, module: str) -> None:
        nonlocal shown
        if quiet or not sys.stderr.isatty() or time.monotonic() - started < _PROGRESS_DELAY:
            return
        line = one_line(f"dropin-cache: {number + 1}/{count} {module}")
        print(f"\r{line.ljust(shown)}", end="", file=sys.stderr, flush=True)
        shown = len(line)

    try:
        yield show
    finally:
        if shown:
            print("\r" + " " * shown + "\r", end="", file=sys.stderr, flush=True)


def _print_remarks(directory: DirectoryReport, *, verbose: bool) -> None:
    for module, why in directory.changes if verbose else ():
        message("info", f"{module}: {why}")
    for broken in directory.broken:
        _print_broken(broken, verbose=verbose)
    for warning in directory.warnings:
        message("warning", warning)


def _print_broken(broken: Broken, *, verbose: bool) -> None:
    owner = f" (of {broken.owner})" if broken.owner else ""
    message("warning", f"{broken.module}{owner} is left out: {broken.error}")
    if verbose:
        _print_traceback(broken.traceback)


def _print_traceback(text: str) -> None:
    for line in text.splitlines():
        advice(line)


def _line(directory: DirectoryReport, *, conditional: bool) -> str:
    state = f"would be {directory.state}" if conditional else directory.state
    counts = f"{_count(directory.modules, 'module')}, {_count(directory.plugins, 'plugin')}"
    if directory.broken:
        counts += f", {len(directory.broken)} broken"
    return f"{state}: {directory.path} ({directory.package}: {counts})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _prediction(directory: DirectoryReport, *, force: bool) -> str:
    if directory.found == REFUSED:
        return REFUSED
    if directory.found == FRESH and not (force and directory.modules):
        return UNCHANGED
    return WRITTEN if directory.modules else REMOVED


def _as_json(result: Report) -> dict[str, Any]:
    return {
        "sandbox": result.sandbox,
        "directories": [
            {
                "path": each.path,
                "package": each.package,
                "python": each.python,
                "state": each.state,
                "modules": each.modules,
                "plugins": each.plugins,
                "broken": [
                    {"module": broken.module, "error": broken.error, "owner": broken.owner}
                    for broken in each.broken
                ],
            }
            for each in result.directories
        ],
    }
