"""The command line, as argparse has it; completions and manual pages are checked against it."""

from __future__ import annotations

import argparse
from typing import Any

from dropin_cache.commands.parser import (
    VERSION,
    CommandLine,
    CommandParser,
    Parser,
    Version,
)

_EPILOG = """exit status:
  0  done; for check: every cache is fresh
  1  check: a cache is stale, missing or corrupt
  2  usage: no such option, package, directory, interpreter or name; a bad configuration file
  3  plugin modules are broken (check, and update --strict)
  4  refused: users other than root could change what root would rely on
  5  it could not be done: no permission, read-only or full disk, lock timeout, no sandbox

A command that a signal ends exits with 128 plus the signal's number (130 for Ctrl-C), and leaves
no cache half written. With --trigger, update always exits with 0. run exits with the status of
the command that it runs; 127 if there is no such command, 126 if it cannot be run."""

_COMMANDS = {
    "update": "bring caches up to date",
    "check": "tell whether caches are up to date",
    "list": "show what is in the caches, without importing anything",
    "explain": "tell the state of a plugin module, a plugin or a file, and the reason",
    "clean": "remove the caches that this program wrote: those of what is selected, or all",
    "hook": "turn automatic updates after pip on or off, or show whether they are on",
    "run": "run an installer, then update the caches of what it changed",
}
_RUN_USAGE = (
    "dropin-cache run [-h] [--python EXE|ENVIRONMENT] [--path DIR] [--] COMMAND [ARGUMENT ...]"
)


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of `dropin-cache`.

    Args:
        command: The only one whose own arguments are wanted; if it is none, those of all are.
    """
    wanted = {command} if command in _COMMANDS else _COMMANDS.keys()
    parser = Parser(
        prog="dropin-cache",
        description="Keep the plugin caches (dropin.cache) of Python sites fresh.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    version = "print the version and exit"
    parser.add_argument(*VERSION, action=Version, help=version)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=CommandParser
    )
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


def _add_arguments(parser: argparse.ArgumentParser, command: str) -> None:
    if command in {"update", "check", "list"}:
        _add_packages(parser)
    if command == "explain":
        parser.add_argument(
            "name",
            metavar="NAME|PATH",
            type=_some_path,
            help="dotted name of a plugin module or plugin, or path of a file or directory",
        )
    _add_environment(parser)
    if command != "clean":
        _add_formats(parser, command)
    if command in {"list", "explain"}:
        _add_selection(parser, command)
    if command in {"update", "check", "explain"}:
        parser.add_argument(
            "--timeout",
            type=_positive_seconds,
            metavar="S",
            help="seconds of processor time that the import of one plugin module may take "
            "(default: the configured number, or 30)",
        )
    if command in {"update", "clean"}:
        parser.add_argument(
            "--lock-timeout",
            type=_seconds,
            metavar="S",
            help="seconds to wait for another writer (default: the configured number, or 30)"
            + ("; with --trigger 5" if command == "update" else ""),
        )
    if command == "update":
        _add_update_options(parser)
    if command in {"update", "check"}:
        loudness = parser.add_mutually_exclusive_group()
        _add_flag(loudness, "-q", "--quiet", help="print errors only")
        reasons = "print tracebacks and say why each module was imported"
        _add_flag(loudness, "-v", "--verbose", help=reasons)
    if command == "clean":
        _add_flag(parser, "-q", "--quiet", help="print errors only")


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
    _add_repeatable(
        parser,
        "--python",
        metavar="EXE|ENVIRONMENT",
        type=_some_path,
        help="interpreter, or directory of an environment, whose packages are meant (default: the "
        "interpreter that runs this command and, for root, the configured ones; for others, the "
        "environment that is activated); repeatable",
    )
    _add_repeatable(
        parser,
        "--path",
        metavar="DIR",
        type=_some_path,
        help="another directory to import from, before the others; repeatable",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=_some_path,
        help="work on the system below DIR, with its interpreters and its configuration",
    )
    parser.add_argument(
        "--sandbox",
        choices=("auto", "namespace", "landlock", "user", "none"),
        default="auto",
        help="sandbox to import plugin modules in (default: auto, for root the best that the "
        "configuration allows, for other users none)",
    )


def _add_formats(parser: argparse.ArgumentParser, command: str) -> None:
    formats = parser.add_mutually_exclusive_group()
    _add_flag(formats, "--json", help="print the result as JSON")
    if command == "check":
        formats.add_argument(
            "--format",
            choices=("text", "json", "nagios", "prometheus"),
            default="text",
            help="print the result for monitoring (nagios: with its exit codes; prometheus: exit "
            "with 0)",
        )


def _add_hook_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("enable", "disable", "status"),
        help="turn them on or off for this environment, or show whether they are on",
    )


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    _add_repeatable(
        parser,
        "--python",
        metavar="EXE|ENVIRONMENT",
        type=_some_path,
        help="environment that the command changes, or its interpreter (default: the one that runs "
        "this command, the environments that installers choose and, for root, the configured "
        "ones); repeatable",
    )
    _add_repeatable(
        parser,
        "--path",
        metavar="DIR",
        type=_some_path,
        help="another directory to import from, which the command may change; repeatable",
    )
    parser.add_argument(
        "command_line",
        action=CommandLine,
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="the command; everything behind it is its own",
    )


def _add_selection(parser: argparse.ArgumentParser, command: str) -> None:
    if command == "explain":
        why = "also tell why plugins do not provide this interface"
        parser.add_argument("--interface", metavar="DOTTED", help=why)
        return
    parser.add_argument(
        "--interface", metavar="DOTTED", help="only plugins that provide this interface"
    )
    same = "the same as PACKAGE; repeatable"
    _add_repeatable(parser, "--package", metavar="DOTTED", help=same, type=_dotted_name)


def _add_update_options(parser: argparse.ArgumentParser) -> None:
    _add_flag(parser, "--force", help="import and write everything, even if nothing has changed")
    _add_flag(parser, "--dry-run", help="only say what would be done")
    _add_flag(parser, "--strict", help="exit with 3 if plugin modules are broken")
    skipping = "exit with 0 if no sandbox works here: plugin modules are not imported then"
    _add_flag(parser, "--skip-without-sandbox", help=skipping)
    parser.add_argument(
        "--settle",
        type=_positive_seconds,
        metavar="S",
        help="go on until nothing has been installed or removed for this many seconds",
    )
    _add_flag(
        parser,
        "--trigger",
        help="for package managers: print one line for each change or new problem, nothing else, "
        "and exit with 0",
    )


def _add_flag(parser: argparse._ActionsContainer, *names: str, help: str) -> None:  # noqa: A002 - argparse's name
    parser.add_argument(*names, action="store_true", help=help)


def _add_repeatable(parser: argparse.ArgumentParser, option: str, **more: Any) -> None:
    parser.add_argument(option, action="append", default=[], **more)


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


def _some_path(text: str) -> str:
    if not text:  # it would be "all", or where this is run
        raise argparse.ArgumentTypeError("it is empty; is a variable not set?")
    return text


def _dotted_name(text: str) -> str:
    if not all(text.split(".")):
        raise ValueError
    return text


# argparse puts the functions' names into its messages.
_seconds.__name__ = _positive_seconds.__name__ = "number of seconds"
_dotted_name.__name__ = "dotted name"
