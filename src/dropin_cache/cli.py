"""The commands `dropin-cache` and `update-dropin-cache`."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from dropin_cache import _listing, _render, _streams
from dropin_cache.errors import DropinCacheError
from dropin_cache.update import Report, Request, report, update

EXIT_DONE, EXIT_STALE, EXIT_BROKEN = 0, 1, 3
_EXIT_SIGNAL = 128  # plus the signal's number, as shells have it

_EPILOG = """exit status:
  0  done; for check: every cache is fresh
  1  check: a cache is stale, missing or corrupt
  2  usage: no such option, package, directory or interpreter
  3  drop-ins are broken (check, and update --strict)
  5  it could not be done: no permission, read-only or full disk, lock timeout

A command ended by a signal exits with 128 plus its number (130 for Ctrl-C); caches are never
left half written."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `dropin-cache`."""
    parser = argparse.ArgumentParser(
        prog="dropin-cache",
        description="Keep the plugin caches (dropin.cache) of Python sites fresh.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, add_arguments, purpose in (
        ("update", _add_update, "bring caches up to date"),
        ("check", _add_check, "tell whether caches are up to date"),
        ("list", _add_list, "show what is in the caches, importing nothing"),
    ):
        command = commands.add_parser(
            name,
            help=purpose,
            description=f"{purpose.capitalize()}.",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_arguments(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `dropin-cache`.

    Args:
        argv: The arguments, without the program's name; those of the process if not given.

    Returns:
        The exit status; the epilog of `--help` lists them.
    """
    _streams.prepare()
    arguments = build_parser().parse_args(argv)
    try:
        with _signals_unwinding():
            status = int(arguments.run(arguments))
            sys.stdout.flush()
            return status
    except DropinCacheError as error:
        _render.error(error, verbose=getattr(arguments, "verbose", False))
        return error.exit_code
    except KeyboardInterrupt:
        _render.message("error", "interrupted; every cache is as it was, or new and whole")
        _render.advice("Run the same command again to finish.")
        return _EXIT_SIGNAL + signal.SIGINT
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        _streams.discard_output()
        return _EXIT_SIGNAL + signal.SIGPIPE
    except OSError as error:
        _streams.discard_output()
        _render.message("error", f"cannot go on: {error}")
        _render.advice("No cache is half written. Mend that, and run the same command again.")
        return DropinCacheError.exit_code


def main_update() -> int:
    """Run `update-dropin-cache`, another name for `dropin-cache update`."""
    return main(["update", *sys.argv[1:]])


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "packages",
        nargs="*",
        type=_dotted_name,
        metavar="PACKAGE",
        help="plugin package, such as twisted.plugins (default: the built-in ones)",
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="EXE",
        help="interpreter whose packages are meant (default: the one running this); repeatable",
    )
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="DIR",
        help="directory to import from besides, before the others; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_import_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_positive_seconds,
        default=Request().timeout,
        metavar="S",
        help="seconds that the import of one drop-in may take (default: %(default)g)",
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    loudness.add_argument(
        "-v", "--verbose", action="store_true", help="print tracebacks of broken drop-ins"
    )


def _add_update(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    _add_import_options(parser)
    parser.add_argument(
        "--lock-timeout",
        type=_seconds,
        default=Request().lock_timeout,
        metavar="S",
        help="seconds to wait for another writer (default: %(default)g)",
    )
    parser.add_argument("--force", action="store_true", help="write caches that are right already")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--strict", action="store_true", help="exit with 3 if drop-ins are broken")
    parser.set_defaults(run=_run_update)


def _add_check(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    _add_import_options(parser)
    parser.set_defaults(run=_run_check)


def _add_list(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    parser.add_argument(
        "--interface", metavar="DOTTED", help="only plugins that provide this interface"
    )
    parser.set_defaults(run=_run_list)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def _positive_seconds(text: str) -> float:
    value = _seconds(text)
    if value == 0:
        raise ValueError
    return value


def _dotted_name(text: str) -> str:
    if not all(text.split(".")):
        raise ValueError
    return text


# argparse puts the functions' names into its messages.
_seconds.__name__ = _positive_seconds.__name__ = "number of seconds"
_dotted_name.__name__ = "dotted name"


def _request(arguments: argparse.Namespace, *, write: bool) -> Request:
    return Request(
        packages=tuple(dict.fromkeys(arguments.packages)),
        pythons=tuple(arguments.python),
        paths=tuple(arguments.path),
        write=write,
        force=getattr(arguments, "force", False),
        timeout=getattr(arguments, "timeout", Request().timeout),
        lock_timeout=getattr(arguments, "lock_timeout", 0.0),
    )


class _Version(argparse.Action):
    """Look the version up only when somebody asks: it takes installed metadata."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:  # noqa: A002 - argparse's name
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib import metadata  # noqa: PLC0415 - slow to import

        print(metadata.version("dropin-cache"))
        parser.exit()


def _run_update(arguments: argparse.Namespace) -> int:
    with _render.progress(quiet=arguments.quiet) as progress:
        result = update(_request(arguments, write=not arguments.dry_run), progress)
    if arguments.dry_run:
        result = _render.predicted(result, force=arguments.force)
    _render.report(result, arguments, conditional=arguments.dry_run)
    failures = [each.error.exit_code for each in result.directories if each.error is not None]
    if failures:
        return max(failures)
    return EXIT_BROKEN if arguments.strict and _any_broken(result) else EXIT_DONE


def _run_check(arguments: argparse.Namespace) -> int:
    with _render.progress(quiet=arguments.quiet) as progress:
        result = update(_request(arguments, write=False), progress)
    _render.report(result, arguments)
    if any(each.state != report.FRESH for each in result.directories):
        return EXIT_STALE
    return EXIT_BROKEN if _any_broken(result) else EXIT_DONE


def _run_list(arguments: argparse.Namespace) -> int:
    rows = _listing.rows(_request(arguments, write=False), arguments.interface)
    _render.rows(rows, as_json=arguments.json)
    return EXIT_DONE


def _any_broken(result: Report) -> bool:
    return any(each.broken for each in result.directories)


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
