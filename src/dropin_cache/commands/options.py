"""The command line, as argparse has it; completions and manual pages are checked against it."""

from __future__ import annotations

import argparse

from dropin_cache import _colour
from dropin_cache.commands import help_texts
from dropin_cache.commands.parser import (
    VERSION,
    Colour,
    CommandLine,
    CommandParser,
    MainParser,
    Version,
    add_flag,
    add_repeatable,
    add_valued,
)
from dropin_cache.commands.values import dotted_name, positive_seconds, seconds, some_text

_RUN_USAGE = """dropin-cache run [-h] [--python EXE|ENVIRONMENT] [--path DIR]
                        [--color WHEN] [--] COMMAND [ARGUMENT ...]"""


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of `dropin-cache`.

    Args:
        command: The only one whose own arguments are wanted; if it is none, those of all are.
    """
    purposes = help_texts.PURPOSES
    wanted = {command} if command in purposes else purposes.keys()
    parser = MainParser(
        prog="dropin-cache",
        description=help_texts.DESCRIPTION,
        epilog=help_texts.epilog(),
        formatter_class=help_texts.Formatter,
        allow_abbrev=False,
    )
    parser.add_argument(*VERSION, action=Version, help="print the version and exit")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=CommandParser
    )
    for name, purpose in purposes.items():
        subparser = commands.add_parser(
            name,
            help=purpose,
            description=f"{purpose[0].upper()}{purpose[1:]}.",
            usage=_RUN_USAGE if name == "run" else None,
            epilog=help_texts.epilog(name),
            formatter_class=help_texts.Formatter,
            allow_abbrev=False,  # "--trig" would not be seen by what looks for "--trigger"
        )
        if name in wanted:
            _add_arguments(subparser, name)
    return parser


def _add_arguments(parser: argparse.ArgumentParser, command: str) -> None:
    if command == "hook":
        _add_hook_arguments(parser)
    elif command == "run":
        _add_run_arguments(parser)
    else:
        _add_cache_arguments(parser, command)


def _add_cache_arguments(parser: argparse.ArgumentParser, command: str) -> None:
    if command in {"update", "check", "list"}:
        _add_packages(parser)
    if command == "explain":
        parser.add_argument(
            "name",
            metavar="NAME|PATH",
            type=some_text,
            help="dotted name of a plugin module or plugin, or path of a file or directory",
        )
    _add_environment(parser)
    if command != "clean":
        _add_formats(parser, command)
    if command in {"list", "explain"}:
        _add_selection(parser, command)
    _add_times(parser, command)
    if command == "update":
        _add_update_options(parser)
    _add_loudness(parser, command)
    _add_colour(parser)


def _add_packages(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "packages",
        nargs="*",
        type=dotted_name,
        metavar="PACKAGE",
        help="plugin package, such as twisted.plugins (default: the built-in, configured and "
        "declared ones)",
    )


def _add_environment(parser: argparse.ArgumentParser) -> None:
    add_repeatable(
        parser,
        "--python",
        type=some_text,
        help="interpreter, or directory of an environment, whose packages are meant (default: the "
        "interpreter that runs this command and, for root, the configured ones; for others, the "
        "environment that is activated); repeatable",
    )
    add_repeatable(
        parser,
        "--path",
        type=some_text,
        help="another directory to import from, before the others; repeatable",
    )
    add_valued(
        parser,
        "--root",
        type=some_text,
        help="work on the system below DIR, with its interpreters and its configuration",
    )
    add_valued(
        parser,
        "--sandbox",
        choices=("auto", "namespace", "landlock", "user", "none"),
        default="auto",
        help="sandbox to import plugin modules in: %(choices)s (default: auto, for root the best "
        "that the configuration allows, for other users none)",
    )


def _add_formats(parser: argparse.ArgumentParser, command: str) -> None:
    formats = parser.add_mutually_exclusive_group()
    add_flag(formats, "--json", help="print the result as JSON")
    if command == "check":
        add_valued(
            formats,
            "--format",
            choices=("text", "json", "nagios", "prometheus"),
            default="text",
            help="print the result as text, as json, or for monitoring (nagios: with its exit "
            "codes; prometheus: exit with 0)",
        )


def _add_times(parser: argparse.ArgumentParser, command: str) -> None:
    if command in {"update", "check", "explain"}:
        add_valued(
            parser,
            "--timeout",
            type=positive_seconds,
            help="seconds of processor time that the import of one plugin module may take "
            "(default: the configured number, or 30)",
        )
    if command in {"update", "clean"}:
        add_valued(
            parser,
            "--lock-timeout",
            type=seconds,
            help="seconds to wait for another writer (default: the configured number, or 30)"
            + ("; with --trigger 5" if command == "update" else ""),
        )


def _add_loudness(parser: argparse.ArgumentParser, command: str) -> None:
    quiet = ("-q", "--quiet"), "print errors only"
    reasons = ("-v", "--verbose"), "print tracebacks and say why each module was imported"
    all_of_it = ("-v", "--verbose"), "print all that the caches say of each plugin"
    flags = {"list": (all_of_it,), "clean": (quiet,), "explain": ()}.get(command, (quiet, reasons))
    group = parser.add_mutually_exclusive_group() if len(flags) > 1 else parser
    for names, meaning in flags:
        add_flag(group, *names, help=meaning)


def _add_colour(parser: argparse.ArgumentParser) -> None:
    add_valued(
        parser,
        "--color",
        action=Colour,
        choices=_colour.WHEN,
        help="print in colour always, never, or (auto, the default) on terminals, unless NO_COLOR "
        "or FORCE_COLOR is set",
    )


def _add_hook_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("enable", "disable", "status"),
        help="turn them on or off for this environment, or show whether they are on",
    )
    _add_colour(parser)


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    add_repeatable(
        parser,
        "--python",
        type=some_text,
        help="environment that the command changes, or its interpreter (default: the one that runs "
        "this command, the environments that installers choose and, for root, the configured "
        "ones); repeatable",
    )
    add_repeatable(
        parser,
        "--path",
        type=some_text,
        help="another directory to import from, which the command may change; repeatable",
    )
    _add_colour(parser)
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
        add_valued(parser, "--interface", type=some_text, help=why)
        return
    only = "only plugins that provide this interface"
    add_valued(parser, "--interface", type=some_text, help=only)
    add_repeatable(parser, "--package", help="the same as PACKAGE; repeatable", type=dotted_name)


def _add_update_options(parser: argparse.ArgumentParser) -> None:
    add_flag(parser, "--force", help="import and write everything, even if nothing has changed")
    add_flag(parser, "--dry-run", help="only say what would be done")
    add_flag(parser, "--strict", help="exit with 3 if plugin modules are broken")
    skipping = "exit with 0 if no sandbox works here: plugin modules are not imported then"
    add_flag(parser, "--skip-without-sandbox", help=skipping)
    add_valued(
        parser,
        "--settle",
        type=positive_seconds,
        help="go on until nothing has been installed or removed for this many seconds",
    )
    add_flag(
        parser,
        "--trigger",
        help="for package managers: print one line for each change or new problem, nothing else, "
        "and exit with 0",
    )
