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
from dropin_cache.update.report import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dropin_cache.installers.sites import Snapshot

EXIT_DONE = 0

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
    from dropin_cache.commands import findings, outcome
    from dropin_cache.commands.progress import progress
    from dropin_cache.update.orchestrator import update

    with progress(quiet=arguments.quiet or arguments.trigger) as show:
        request = _request(arguments, write=not arguments.dry_run)
        found = update(request, show, outcome.said)
    if arguments.dry_run:
        found = outcome.predicted(found, force=arguments.force)
    if arguments.trigger:
        findings.news(found)
    else:
        outcome.show(found, arguments)
    return outcome.status_of(found, arguments)


def _check(arguments: argparse.Namespace) -> int:
    from dropin_cache.commands import outcome
    from dropin_cache.commands.progress import progress
    from dropin_cache.update.orchestrator import update

    with progress(quiet=arguments.quiet) as show:
        found = update(_request(arguments, write=False), show)
    status = outcome.status_of(found, arguments)
    if arguments.format not in outcome.MONITORING:
        outcome.show(found, arguments)
        return status
    from dropin_cache.commands import monitoring

    text, status = monitoring.told(arguments.format, found, status)
    print(text)
    return status


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
    from dropin_cache.commands import findings, outcome
    from dropin_cache.update.clean import clean

    found = clean(_request(arguments, write=True))
    findings.diagnostics(found, quiet=True, verbose=False, root=arguments.root)
    if not arguments.quiet:
        findings.misplaced(found, arguments.path)
        findings.cleaned(found)
    return outcome.status_of(found, arguments)


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
