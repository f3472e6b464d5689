"""What each command does, once the command line is read; each returns the exit status.

Package managers run update often, and `hook` is to be quick: so each command imports what it alone
needs, when it is run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time

from dropin_cache._quick import BYPASS
from dropin_cache.commands import terminal, words
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
    Request,
    Said,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dropin_cache.installers.sites import Snapshot

EXIT_DONE, EXIT_STALE, EXIT_BROKEN = 0, 1, 3

_MONITORING = frozenset(("nagios", "prometheus"))  # formats of `commands.monitoring`
_HOOK_PATIENCE = 5.0  # seconds

_LONGEST_SETTLING = 600.0  # seconds; a package manager that takes longer calls again
# What an installer brings and an application does not: modules, and what tells of them.
_INSTALLED = (".py", ".pyc", ".so", ".pth", ".egg", "/RECORD", "/METADATA", "/PKG-INFO")


def run(arguments: argparse.Namespace) -> int:
    """Do what a command line asks for.

    Args:
        arguments: The command line, as `options.build_parser` has it.

    Returns:
        The exit status.

    Raises:
        DropinCacheError, OSError: It could not be done.
    """
    return _ACTIONS[arguments.command](arguments)


def _update(arguments: argparse.Namespace) -> int:
    switched_off_by = _switched_off_by(arguments) if arguments.trigger else None
    if switched_off_by is not None:
        words.switched_off(switched_off_by)
        return EXIT_DONE
    if not arguments.settle:
        return _update_once(arguments)
    from dropin_cache.installers.sites import everywhere, snapshot

    # Whatever called for this may go on, and its next call is lost while this runs.
    directories = everywhere(_request(arguments, write=True))
    latest = time.monotonic() + _LONGEST_SETTLING
    seen = _installed(snapshot(directories))
    while True:
        status = _update_once(arguments)
        sys.stdout.flush()
        time.sleep(arguments.settle)
        former, seen = seen, _installed(snapshot(directories))
        if former == seen or time.monotonic() > latest:
            return status


def _switched_off_by(arguments: argparse.Namespace) -> str | None:
    """Return what says that triggers are to do nothing, None if nothing does."""
    if os.environ.get(BYPASS, "0") not in {"", "0"}:
        return f"{BYPASS} is set"
    from dropin_cache.update.files.trusted import Files
    from dropin_cache.update.settings import configuration

    # What keeps it from being read is the update's to tell.
    with (
        contextlib.suppress(OSError),
        Files(enforced=os.geteuid() == 0, root=arguments.root) as files,
    ):
        if not configuration.load(files).triggers:
            return f"triggers = no in {configuration.MAIN_FILE}"
    return None


def _installed(found: Snapshot) -> Snapshot:
    """Keep of a snapshot what installers change, and applications that run do not."""
    return {path: what for path, what in found.items() if path.endswith(_INSTALLED)}


def _update_once(arguments: argparse.Namespace) -> int:
    from dropin_cache.commands.progress import progress
    from dropin_cache.update.orchestrator import update

    with progress(quiet=arguments.quiet or arguments.trigger) as show:
        request = _request(arguments, write=not arguments.dry_run)
        found = update(request, show, _said)
    if arguments.dry_run:
        found = _predicted(found, force=arguments.force)
    if arguments.trigger:
        words.news(found)
    else:
        _report(found, arguments)
    failed = _failed(found, arguments)
    return failed or (EXIT_BROKEN if arguments.strict and _any_broken(found) else EXIT_DONE)


def _check(arguments: argparse.Namespace) -> int:
    from dropin_cache.commands.progress import progress
    from dropin_cache.update.orchestrator import update

    with progress(quiet=arguments.quiet) as show:
        found = update(_request(arguments, write=False), show)
    stale = any(each.state != FRESH for each in found.own)
    status = _failed(found, arguments) or (EXIT_STALE if stale else 0)
    status = status or (EXIT_BROKEN if _any_broken(found) else EXIT_DONE)
    if arguments.format not in _MONITORING:
        _report(found, arguments)
        return status
    from dropin_cache.commands import monitoring

    text, status = monitoring.told(arguments.format, found, status)
    print(text)
    return status


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
        from dropin_cache.commands import as_json

        print(as_json.failure(arguments.command, error, arguments.root))
    elif form in _MONITORING:
        from dropin_cache.commands import monitoring

        text, status = monitoring.failed(form, str(error), status)
        print(text)
    return status


def misused() -> int:
    """Tell Nagios of a mistake in its command line; return the exit status."""
    from dropin_cache.commands import monitoring

    text, status = monitoring.failed("nagios", "the command line has a mistake", 2)
    print(text)
    return status


def _said(found: Report) -> Said:
    """Return what a check says, for one that need not look again."""
    status = EXIT_BROKEN if _any_broken(found) else EXIT_DONE
    return Said(words.summary(found), words.warnings(found), status)


def _list(arguments: argparse.Namespace) -> int:
    from dropin_cache.commands import listing

    found = listing.listed(_request(arguments, write=False), arguments.interface)
    words.archives(found.archives)
    if arguments.json:
        from dropin_cache.commands import as_json

        print(as_json.listing(found))
    else:
        words.rows(found.rows, verbose=arguments.verbose)
    return EXIT_DONE


def _explain(arguments: argparse.Namespace) -> int:
    from dropin_cache.commands.explain import explain

    found = explain(_request(arguments, write=False), arguments.name, arguments.interface)
    if arguments.json:
        from dropin_cache.commands import as_json

        print(as_json.explanation(found))
    else:
        words.explanation(found)
    return EXIT_DONE


def _clean(arguments: argparse.Namespace) -> int:
    from dropin_cache.update.clean import clean

    found = clean(_request(arguments, write=True))
    words.diagnostics(found, quiet=True, verbose=False, root=arguments.root)
    if not arguments.quiet:
        words.cleaned(found)
    return _failed(found, arguments)


def _hook(arguments: argparse.Namespace) -> int:
    from dropin_cache.installers import startup_file

    actions = {
        "enable": startup_file.enable,
        "disable": startup_file.disable,
        "status": startup_file.status,
    }
    words.hook(actions[arguments.action]())
    return EXIT_DONE


def _run(arguments: argparse.Namespace) -> int:
    from dropin_cache.installers import run

    # The command's output is standard output; this is about what came of it.
    return run.run(arguments.command_line, arguments.python, arguments.path, terminal.relay)


_ACTIONS = {
    "update": _update,
    "check": _check,
    "list": _list,
    "explain": _explain,
    "clean": _clean,
    "hook": _hook,
    "run": _run,
}


def _request(arguments: argparse.Namespace, *, write: bool) -> Request:
    packages = [*getattr(arguments, "packages", ()), *getattr(arguments, "package", ())]
    return Request(
        packages=tuple(dict.fromkeys(packages)),
        pythons=tuple(arguments.python),
        paths=tuple(arguments.path),
        root=arguments.root,
        write=write,
        force=getattr(arguments, "force", False),
        sandbox=arguments.sandbox,
        timeout=getattr(arguments, "timeout", None),
        lock_timeout=_patience(arguments),
    )


def _patience(arguments: argparse.Namespace) -> float | None:
    """Return how long to wait for other writers, seconds; None for what is configured."""
    given: float | None = getattr(arguments, "lock_timeout", None)
    # A package manager waits for this, and who has the lock is updating the same caches.
    return _HOOK_PATIENCE if given is None and getattr(arguments, "trigger", False) else given


def _report(found: Report, arguments: argparse.Namespace) -> None:
    """Print what a run did or found: results on standard output, the rest on standard error."""
    words.diagnostics(found, quiet=arguments.quiet, verbose=arguments.verbose, root=arguments.root)
    if arguments.json or getattr(arguments, "format", None) == "json":
        from dropin_cache.commands import as_json

        wrote = arguments.command == "update" and not arguments.dry_run
        print(as_json.report(found, arguments.root, wrote=wrote))
    elif not arguments.quiet:
        if arguments.command == "check" or arguments.dry_run:
            words.findings(found, conditional=arguments.command != "check")
        else:
            words.report(found)


def _predicted(found: Report, *, force: bool) -> Report:
    """Turn what was found into what an update would make of it."""
    directories = [
        each._replace(state=_prediction(each, force=force)) for each in found.directories
    ]
    return found._replace(directories=tuple(directories))


def _prediction(directory: DirectoryReport, *, force: bool) -> str:
    if directory.found == REFUSED:
        return REFUSED
    # What would be imported again may turn out to be the same; who imports nothing cannot know.
    news = directory.further or directory.remarks or (force and directory.modules)
    if directory.found == FRESH and not news:
        return UNCHANGED
    return WRITTEN if directory.modules else REMOVED


def _any_broken(found: Report) -> bool:
    return any(each.broken for each in found.own)


def _failed(found: Report, arguments: argparse.Namespace) -> int:
    """Return the exit status for what could not be done; 0 if there is nothing of the kind."""
    errors = [each.error for each in found.directories if each.error is not None]
    return max(
        (_status(error, arguments) for error in (*errors, *found.problems)), default=EXIT_DONE
    )


def _status(error: DropinCacheError, arguments: argparse.Namespace) -> int:
    """Return the exit status for an error. What a container denies need not be a unit's failure."""
    if isinstance(error, NoSandboxError) and getattr(arguments, "skip_without_sandbox", False):
        return EXIT_DONE
    return exit_code_of(error)
