"""What the commands do: read the command line, do it, say what happened."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn

from dropin_cache.commands import advice, terminal, words
from dropin_cache.commands.options import build_parser
from dropin_cache.errors import DropinCacheError
from dropin_cache.update import report
from dropin_cache.update.clean import clean
from dropin_cache.update.files.failures import exit_code_of
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Report, Request

EXIT_DONE, EXIT_STALE, EXIT_BROKEN = 0, 1, 3
_EXIT_SIGNAL = 128  # plus the signal's number, as shells have it
_TRIGGER = "--trigger"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # as login(1) sets it


def main(arguments: Sequence[str]) -> int:
    """Run `dropin-cache`; see `dropin_cache.cli`."""
    terminal.prepare()
    try:
        return _forgiving(arguments)
    finally:
        # The interpreter looks for cycles at its end, for longer than it takes to write a cache.
        gc.freeze()


def _forgiving(arguments: Sequence[str]) -> int:
    """Run it for package managers, too, which must not fail because of it."""
    if _TRIGGER not in arguments or arguments[0] == "run":  # whose command has options of its own
        return _main(arguments)
    # Not even because of a mistake in the command line or in here. What went wrong is in its log.
    try:
        status = _main(arguments)
    except SystemExit as leaving:  # argparse, or a signal
        status = leaving.code if isinstance(leaving.code, int) else EXIT_DONE
    except ImportError:  # Python, or what we need, is only half there yet: the hooks say so
        raise
    except Exception as error:  # noqa: BLE001 - see above
        advice.message(
            "error", f"this is a mistake in dropin-cache: {type(error).__name__}: {error}"
        )
        return EXIT_DONE
    return status if status > _EXIT_SIGNAL else EXIT_DONE


def _main(argv: Sequence[str]) -> int:
    # Package managers wait: making the options of all commands takes longer than reading them.
    arguments = build_parser(argv[0] if argv else None).parse_args(argv)
    # A command that is to be run gets everything as it is; the update behind it settles down.
    if os.geteuid() == 0 and arguments.command != "run":
        _settle_down(arguments)
    brief = getattr(arguments, "trigger", False)
    try:
        with _signals_unwinding():
            status = _RUN[arguments.command](arguments)
            sys.stdout.flush()
            return status
    except DropinCacheError as error:
        advice.error(error, verbose=getattr(arguments, "verbose", False), brief=brief)
        return exit_code_of(error)
    except KeyboardInterrupt:
        advice.message("error", "interrupted; every cache is as it was, or new and whole")
        advice.advice("Run the same command again to finish.")
        return _EXIT_SIGNAL + signal.SIGINT
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        terminal.discard(sys.stdout)
        return EXIT_DONE if brief else _EXIT_SIGNAL + signal.SIGPIPE
    except OSError as error:
        terminal.discard(sys.stdout)
        advice.message("error", f"cannot go on: {error}")
        advice.advice("No cache is half written. Mend that, and run the same command again.")
        return DropinCacheError.exit_code


def _settle_down(arguments: argparse.Namespace) -> None:
    """Depend no more on what whoever called root has left it: file mode mask, directory, PATH."""
    os.umask(0o022)
    if arguments.command != "hook":
        arguments.path = [os.path.abspath(path) for path in arguments.path]
        arguments.root = arguments.root and os.path.abspath(arguments.root)
        arguments.python = [
            os.path.abspath(python) if os.sep in python else python for python in arguments.python
        ]
    name = getattr(arguments, "name", "")
    if os.sep in name or os.path.exists(name):
        arguments.name = os.path.abspath(arguments.name)
    os.environ["PATH"] = _PATH
    with contextlib.suppress(OSError):  # where it was is no worse for what this does
        os.chdir("/")


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
        lock_timeout=getattr(arguments, "lock_timeout", None),
    )


# The functions below import what they alone need: hooks run update often, and the others hardly.


def _run_update(arguments: argparse.Namespace) -> int:
    if not arguments.settle:
        return _update_once(arguments)
    from dropin_cache.installers.sites import everywhere, snapshot  # noqa: PLC0415

    # Whatever called for this may go on, and its next call is lost while this runs.
    directories = everywhere(_request(arguments, write=True))
    seen = snapshot(directories)
    while True:
        status = _update_once(arguments)
        sys.stdout.flush()
        time.sleep(arguments.settle)
        former, seen = seen, snapshot(directories)
        if former == seen:
            return status


def _update_once(arguments: argparse.Namespace) -> int:
    with words.progress(quiet=arguments.quiet or arguments.trigger) as progress:
        result = update(_request(arguments, write=not arguments.dry_run), progress)
    if arguments.dry_run:
        result = words.predicted(result, force=arguments.force)
    if arguments.trigger:
        words.news(result)
    else:
        words.report(result, arguments, conditional=arguments.dry_run)
    failed = _failed(result)
    return failed or (EXIT_BROKEN if arguments.strict and _any_broken(result) else EXIT_DONE)


def _run_check(arguments: argparse.Namespace) -> int:
    with words.progress(quiet=arguments.quiet) as progress:
        result = update(_request(arguments, write=False), progress)
    words.report(result, arguments)
    failed = _failed(result)
    if failed:
        return failed
    if any(each.state != report.FRESH for each in result.directories):
        return EXIT_STALE
    return EXIT_BROKEN if _any_broken(result) else EXIT_DONE


def _run_list(arguments: argparse.Namespace) -> int:
    from dropin_cache.commands import listing  # noqa: PLC0415

    rows = listing.rows(_request(arguments, write=False), arguments.interface)
    words.rows(rows, as_json=arguments.json)
    return EXIT_DONE


def _run_explain(arguments: argparse.Namespace) -> int:
    from dropin_cache.commands.explain import explain  # noqa: PLC0415

    explanation = explain(_request(arguments, write=False), arguments.name)
    words.explanation(explanation, as_json=arguments.json)
    return EXIT_DONE


def _run_clean(arguments: argparse.Namespace) -> int:
    result = clean(_request(arguments, write=True))
    words.cleaned(result, quiet=arguments.quiet)
    return _failed(result)


def _run_hook(arguments: argparse.Namespace) -> int:
    from dropin_cache.installers import startup_file  # noqa: PLC0415

    actions = {
        "enable": startup_file.enable,
        "disable": startup_file.disable,
        "status": startup_file.status,
    }
    words.hook(actions[arguments.action]())
    return EXIT_DONE


def _run_run(arguments: argparse.Namespace) -> int:
    from dropin_cache.installers import run  # noqa: PLC0415

    return run.run(arguments.command_line, arguments.python, arguments.path)


_RUN = {
    "update": _run_update,
    "check": _run_check,
    "list": _run_list,
    "explain": _run_explain,
    "clean": _run_clean,
    "hook": _run_hook,
    "run": _run_run,
}


def _any_broken(result: Report) -> bool:
    return any(each.broken for each in result.directories)


def _failed(result: Report) -> int:
    """Return the exit status for what could not be done; 0 if there is nothing of the kind."""
    errors = [each.error for each in result.directories if each.error is not None]
    return max((exit_code_of(error) for error in (*errors, *result.problems)), default=EXIT_DONE)


@contextlib.contextmanager
def _signals_unwinding() -> Iterator[None]:
    """Leave through the clean-up when asked to terminate, so that no child stays behind."""

    def unwind(number: int, _: object) -> NoReturn:
        raise SystemExit(_EXIT_SIGNAL + number)

    before = {
        number: signal.signal(number, unwind)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN  # nohup, or whoever started us, wants it so
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
