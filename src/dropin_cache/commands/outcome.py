"""What came of a run: printed for whom it is, and the exit status."""

from __future__ import annotations

import argparse

from dropin_cache.commands import findings
from dropin_cache.errors import DropinCacheError, NoSandboxError
from dropin_cache.update.files.failures import exit_code_of
from dropin_cache.update.report import (
    FRESH,
    REFUSED,
    REMOVED,
    UNCHANGED,
    WRITTEN,
    DirectoryReport,
    Report,
    Said,
)

EXIT_DONE = 0
EXIT_STALE = 1
EXIT_BROKEN = 3

MONITORING = frozenset(("nagios", "prometheus"))
"""Formats of `commands.monitoring`."""


def show(found: Report, arguments: argparse.Namespace) -> None:
    """Print what a run did or found: results on standard output, the rest on standard error."""
    findings.diagnostics(
        found, quiet=arguments.quiet, verbose=arguments.verbose, root=arguments.root
    )
    if arguments.json or getattr(arguments, "format", None) == "json":
        from dropin_cache.commands import as_json  # noqa: PLC0415 - for programs only

        wrote = arguments.command == "update" and not arguments.dry_run
        print(as_json.report(found, arguments.root, wrote=wrote))
    elif not arguments.quiet:
        findings.misplaced(found, arguments.path)
        if arguments.command == "check" or arguments.dry_run:
            findings.findings(found, conditional=arguments.command != "check")
        else:
            findings.report(found)


def failed(arguments: argparse.Namespace, error: DropinCacheError) -> int:
    """Print for programs that a command could not do what it was to do.

    Args:
        arguments: The command line.
        error: Why not.

    Returns:
        The exit status.
    """
    status = _status(error, arguments)
    form = getattr(arguments, "format", "")
    if getattr(arguments, "json", False) or form == "json":
        from dropin_cache.commands import as_json  # noqa: PLC0415 - for programs only

        print(as_json.failure(arguments.command, error, arguments.root))
    elif form in MONITORING:
        from dropin_cache.commands import monitoring  # noqa: PLC0415 - for programs only

        text, status = monitoring.failed(form, str(error), status)
        print(text)
    return status


def misused() -> int:
    """Tell Nagios of a mistake in its command line; return the exit status."""
    from dropin_cache.commands import monitoring  # noqa: PLC0415 - for programs only

    text, status = monitoring.failed("nagios", "the command line has a mistake", 2)
    print(text)
    return status


def said(found: Report) -> Said:
    """Return what a check says, for one that need not look again."""
    status = EXIT_BROKEN if _any_broken(found) else EXIT_DONE
    return Said(findings.summary(found), findings.warnings(found), status)


def predicted(found: Report, *, force: bool) -> Report:
    """Turn what was found into what an update would make of it."""
    directories = [
        each._replace(state=_prediction(each, force=force)) for each in found.directories
    ]
    return found._replace(directories=tuple(directories))


def status_of(found: Report, arguments: argparse.Namespace) -> int:
    """Return the exit status of a run: what could not be done counts more than what was found."""
    errors = [each.error for each in found.directories if each.error is not None]
    status = max((_status(error, arguments) for error in (*errors, *found.problems)), default=0)
    checks = arguments.command == "check"
    if status == EXIT_DONE and checks and any(each.state != FRESH for each in found.own):
        return EXIT_STALE
    if status == EXIT_DONE and (checks or getattr(arguments, "strict", False)):
        return EXIT_BROKEN if _any_broken(found) else EXIT_DONE
    return status


def _any_broken(found: Report) -> bool:
    return any(each.broken for each in found.own)


def _status(error: DropinCacheError, arguments: argparse.Namespace) -> int:
    """Return the exit status for an error. What a container denies need not be a unit's failure."""
    if isinstance(error, NoSandboxError) and getattr(arguments, "skip_without_sandbox", False):
        return EXIT_DONE
    return exit_code_of(error)


def _prediction(directory: DirectoryReport, *, force: bool) -> str:
    if directory.found == REFUSED:
        return REFUSED
    # What would be imported again may turn out to be the same; who imports nothing cannot know.
    news = directory.further or directory.remarks or (force and directory.modules)
    if directory.found == FRESH and not news:
        return UNCHANGED
    return WRITTEN if directory.modules else REMOVED
