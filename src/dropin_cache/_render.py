"""Reports, errors and advice, in words for people and in JSON for programs."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Callable

from dropin_cache._listing import Row
from dropin_cache._text import one_line
from dropin_cache.errors import (
    DropinCacheError,
    ImportRootError,
    InterpreterError,
    LockTimeoutError,
    NotWrittenError,
    PackageBrokenError,
    PackageNotFoundError,
    UnstableError,
    ZopeInterfaceMissingError,
)
from dropin_cache.update.report import (
    FRESH,
    REMOVED,
    UNCHANGED,
    WRITTEN,
    Broken,
    DirectoryReport,
    Report,
)

_PROGRESS_DELAY = 1.0  # seconds of silence that people take for normal

_ADVICE: dict[type, Callable[[Any], str]] = {
    PackageNotFoundError: lambda error: (
        f"Check the spelling, or name the interpreter that has it: --python EXE. "
        f"To see what {error.python} imports: {error.python} -c 'import {error.package}'"
    ),
    PackageBrokenError: lambda error: (
        f"The package itself fails, not a drop-in: repair or reinstall what owns {error.package}."
    ),
    InterpreterError: lambda _: "Give the path of a Python 3.9 or later: --python /usr/bin/python3",
    ZopeInterfaceMissingError: lambda error: (
        f"Without it there are no plugins. To install it: {error.python} -m pip install "
        "zope.interface (Debian: apt install python3-zope.interface)"
    ),
    ImportRootError: lambda _: "--path takes an existing directory, as PYTHONPATH does.",
    NotWrittenError: lambda error: (
        f"Nothing was changed. Mend that, or run this as the owner of {error.path}."
    ),
    LockTimeoutError: lambda _: "Try again when it is done, or wait longer: --lock-timeout S",
    UnstableError: lambda _: "Try again when whatever installs software there is done.",
}


def message(kind: str, text: str) -> None:
    """Print a line for a person on standard error."""
    print(f"dropin-cache: {kind}: {one_line(text)}", file=sys.stderr)


def advice(text: str) -> None:
    """Print a line that says what to do about the line before."""
    print(f"  {one_line(text)}", file=sys.stderr)


def error(problem: DropinCacheError, *, verbose: bool = False) -> None:
    """Print an error and what to do about it; if verbose, with a traceback where there is one."""
    message("error", str(problem))
    if verbose and isinstance(problem, PackageBrokenError):
        _print_traceback(problem.traceback)
    if type(problem) in _ADVICE:
        advice(_ADVICE[type(problem)](problem))


def report(result: Report, arguments: argparse.Namespace, *, conditional: bool = False) -> None:
    """Print what a run did or found: results on standard output, the rest on standard error.

    Args:
        result: The report.
        arguments: The command line: `json`, `quiet` and `verbose` count.
        conditional: Whether it is about what would be done.
    """
    for directory in result.directories:
        for broken in () if arguments.quiet else directory.broken:
            _print_broken(broken, verbose=arguments.verbose)
        for warning in () if arguments.quiet else directory.warnings:
            message("warning", warning)
        if directory.error is not None:
            error(directory.error, verbose=arguments.verbose)
    if arguments.json:
        print(json.dumps(_as_json(result), indent=2))
    elif not arguments.quiet:
        for directory in result.directories:
            print(one_line(_line(directory, conditional=conditional)))
        if not result.directories:
            print("there are no drop-ins, so there are no caches")


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


def _print_broken(broken: Broken, *, verbose: bool) -> None:
    message("warning", f"{broken.module} is left out: {broken.error}")
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
