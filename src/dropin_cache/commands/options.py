"""The command line, as argparse has it; completions and manual pages are checked against it."""

from __future__ import annotations

import argparse
from typing import NoReturn

_EPILOG = """exit status:
  0  done; for check: every cache is fresh
  1  check: a cache is stale, missing or corrupt
  2  usage: no such option, package, directory, interpreter or name; a bad configuration file
  3  drop-ins are broken (check, and update --strict)
  4  refused: somebody else than root could change what root would rely on
  5  it could not be done: no permission, read-only or full disk, lock timeout, no sandbox

A command ended by a signal exits with 128 plus its number (130 for Ctrl-C); caches are never
left half written. With --trigger, update exits with 0 whatever happens. run exits with the
status of the command that it runs; 127 if there is none of that name, 126 if it cannot be run."""

_COMMANDS = {
    "update": "bring caches up to date",
    "check": "tell whether caches are up to date",
    "list": "show what is in the caches, importing nothing",
    "explain": "tell the state of a drop-in, a plugin or a file, and why it is so",
    "clean": "remove every cache that this program wrote",
    "hook": "have pip see to the caches of this environment, or not, or tell which",
    "run": "run an installer, then update the caches of what it changed",
}
_RUN_USAGE = "dropin-cache run [-h] [--python EXE] [--path DIR] -- COMMAND [ARGUMENT ...]"


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of `dropin-cache`.

    Args:
        command: The only one whose own arguments are wanted; if it is none, those of all are.
    """
    wanted = {command} if command in _COMMANDS else _COMMANDS.keys()
    parser = argparse.ArgumentParser(
        prog="dropin-cache",
        description="Keep the plugin caches (dropin.cache) of Python sites fresh.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, purpose in _COMMANDS.items():
        subparser = commands.add_parser(
            name,
            help=purpose,
            description=f"{purpose.capitalize()}.",
            usage=_RUN_USAGE if name == "run" else None,
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # "--trig" would not be seen by what looks for "--trigger"
        )
        if name not in wanted:
            continue
        if name == "hook":
            _add_hook_arguments(subparser)
        elif name == "run":
            _add_run_arguments(subparser)
        else:
            _add_arguments(subparser, name)
    return parser


class _Version(argparse.Action):
    """Look the version up only when somebody asks: it takes installed metadata."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:  # noqa: A002 - argparse's name
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib import metadata  # noqa: PLC0415 - slow to import

        print(metadata.version("dropin-cache"))
        parser.exit()


def _add_arguments(parser: argparse.ArgumentParser, command: str) -> None:
    if command in {"update", "check", "list"}:
        _add_packages(parser)
    if command == "explain":
        parser.add_argument(
            "name",
            metavar="NAME|PATH",
            help="dotted name of a drop-in or plugin, or path of a file or directory",
        )
    _add_environment(parser)
    if command != "clean":
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
    if command == "list":
        _add_selection(parser)
    if command in {"update", "check", "explain"}:
        _add_import_options(parser)
    if command in {"update", "clean"}:
        parser.add_argument(
            "--lock-timeout",
            type=_seconds,
            metavar="S",
            help="seconds to wait for another writer (default: as configured, or 30)",
        )
    if command == "update":
        _add_update_options(parser)
    if command in {"update", "check"}:
        _add_loudness(parser)
    if command == "clean":
        parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def _add_packages(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "packages",
        nargs="*",
        type=_dotted_name,
        metavar="PACKAGE",
        help="plugin package, such as twisted.plugins (default: the built-in, configured and "
        "declared ones)",
    )


def _add_environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="EXE",
        help="interpreter whose packages are meant (default: the one running this and, for root, "
        "those configured); repeatable",
    )
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="DIR",
        help="directory to import from besides, before the others; repeatable",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        help="work on the system below DIR, with its interpreters and its configuration",
    )
    parser.add_argument(
        "--sandbox",
        choices=("auto", "namespace", "landlock", "none"),
        default="auto",
        help="where drop-ins are imported (default: auto, the best of what the configuration "
        "allows for root, none for others)",
    )


def _add_hook_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=("enable", "disable", "status"), help="what to do about it"
    )


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="EXE",
        help="interpreter of the environment that the command changes (default: the one running "
        "this, the environments that installers choose, and, for root, those configured); "
        "repeatable",
    )
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="DIR",
        help="directory to import from besides, that the command may change; repeatable",
    )
    parser.add_argument(
        "command_line", nargs="+", metavar="COMMAND", help="the command and its arguments"
    )


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--interface", metavar="DOTTED", help="only plugins that provide this interface"
    )
    parser.add_argument(
        "--package",
        action="append",
        default=[],
        type=_dotted_name,
        metavar="DOTTED",
        help="the same as PACKAGE; repeatable",
    )


def _add_import_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_positive_seconds,
        metavar="S",
        help="seconds that the import of one drop-in may take (default: as configured, or 30)",
    )


def _add_update_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force", action="store_true", help="import and write also what has not changed"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--strict", action="store_true", help="exit with 3 if drop-ins are broken")
    parser.add_argument(
        "--settle",
        type=_positive_seconds,
        metavar="S",
        help="go on until nothing has been installed or removed for this many seconds",
    )
    parser.add_argument(
        "--trigger",
        action="store_true",
        help="for package managers: print a line for each thing that changed or broke, no more, "
        "and exit with 0",
    )


def _add_loudness(parser: argparse.ArgumentParser) -> None:
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    loudness.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="print tracebacks of broken drop-ins, and why drop-ins were imported",
    )


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
