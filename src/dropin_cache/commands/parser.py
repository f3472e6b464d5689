"""How a command line is parsed: as argparse does it, with what may have been meant."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from dropin_cache import _colour
from dropin_cache._arguments import VALUES
from dropin_cache.commands import terminal
from dropin_cache.commands.help_texts import PURPOSES

VERSION = ("-V", "--version")
"""The options for it, which may also follow a command."""

_CHOICE = re.compile(
    r"argument (?P<argument>\S+): invalid choice: '(?P<word>.*)' \(choose from (?P<choices>.*)\)"
)
_UNRECOGNIZED = "unrecognized arguments: "
_REQUIRED = "the following arguments are required: "
_MISSING = {
    f"{_REQUIRED}COMMAND": f"One of: {', '.join(PURPOSES)}. For more: dropin-cache --help",
    f"{_REQUIRED}action": "One of: dropin-cache hook enable, disable or status",
}


class Parser(argparse.ArgumentParser):
    """A parser that says what may have been meant."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Do as argparse does, but for what newer Pythons have argparse do by itself."""
        super().__init__(*arguments, **options)
        self.color = False  # from Python 3.14 on, it has colours of its own, and a mind on when
        self.suggest_on_error = False  # and from 3.15 on suggestions, in words of its own

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and what may have been meant or where to look; exit with 2."""
        text, hint = self._told(message)
        terminal.message("error", text)
        terminal.remedy(hint or f"To see how it is used: {self.prog} --help")
        self.exit(2)

    def _told(self, message: str) -> tuple[str, str]:
        """Return what is wrong in better words than argparse's, and what may have been meant."""
        from dropin_cache.commands import slips  # noqa: PLC0415 - for mistakes

        choice = _CHOICE.match(message)
        if choice and choice["argument"] == "COMMAND":
            word = choice["word"]
            return f"there is no command {word}", slips.about_command(word, commands_of(self))
        if choice:
            choices = re.findall(r"[\w-]+", choice["choices"])
            text = f"argument {choice['argument']}: {choice['word']} is none of "
            return f"{text}{', '.join(choices)}", slips.about_choice(choice["word"], choices)
        if message.startswith(_UNRECOGNIZED):
            word = message[len(_UNRECOGNIZED) :].split(maxsplit=1)[0].partition("=")[0]
            return message, self._about(word)
        if "ignored explicit argument" in message:
            option, _, value = message.partition(": ignored explicit argument ")
            hint = "Did you mean --help?" if "--help" in option else ""
            return f"{option} takes no value, and {value} stands behind it", hint
        return message, _MISSING.get(message, "")

    def _about(self, word: str) -> str:
        """Say what may have been meant by an argument that this command does not have."""
        from dropin_cache.commands import slips  # noqa: PLC0415 - for mistakes
        from dropin_cache.commands.options import build_parser  # noqa: PLC0415 - likewise

        if not word.startswith("-"):
            return "Select by --python and --path." if self.prog.endswith("clean") else ""
        if self.prog.endswith("hook") and word == "--python":
            return "It is about its own environment: ENVIRONMENT/bin/dropin-cache hook enable"
        others = {
            name: parser._option_string_actions  # noqa: SLF001 - argparse tells nowhere else
            for name, parser in commands_of(build_parser()).items()
        }
        return slips.about_option(word, self._option_string_actions, others)


class MainParser(Parser):
    """The parser of a command line without a command, or with one that nobody knows."""

    def parse_known_args(  # type: ignore[override]
        self, args: Any = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse what is known; where there are only options, say so."""
        if args and all(each.startswith("-") for each in args):
            unknown = [each for each in args if each not in self._option_string_actions]
            if unknown:
                self.error(f"{_UNRECOGNIZED}{' '.join(unknown)}")
        return super().parse_known_args(args, namespace)


class CommandParser(Parser):
    """The parser of one command.

    Its own usage is shown for an option that it does not have. `--version` may follow any command.
    """

    def parse_known_args(  # type: ignore[override]
        self, args: Any = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse what is known, and accept nothing else."""
        found, rest = super().parse_known_args(args, namespace)
        if rest[:1] in ([option] for option in VERSION):
            _print_version()
            self.exit()
        if rest:
            self.error(f"{_UNRECOGNIZED}{' '.join(rest)}")
        return found, rest


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the commands, by name."""
    (action,) = (
        each
        for each in parser._actions  # noqa: SLF001 - argparse tells nowhere else
        if isinstance(each, argparse._SubParsersAction)  # noqa: SLF001 - likewise
    )
    return dict(action.choices)


class Version(argparse.Action):
    """Print the version and exit."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:  # noqa: A002 - argparse's name
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Do so."""
        _print_version()
        parser.exit()


def _print_version() -> None:
    """Look it up only when somebody asks: it takes installed metadata."""
    from importlib import metadata  # noqa: PLC0415 - slow to import

    print(metadata.version("dropin-cache"))


class Colour(argparse.Action):
    """Choose when there are colours, at once: the next argument may be a mistake."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, *_: Any
    ) -> None:
        """Do so."""
        del parser
        _colour.choose(values)
        setattr(namespace, self.dest, values)


class CommandLine(argparse.Action):
    """Take a command with all that follows, whatever it looks like; two dashes in front may go."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, *_: Any
    ) -> None:
        """Do so."""
        command = values[1:] if values[:1] == ["--"] else values
        if not command:
            parser.error("the following arguments are required: COMMAND")
        setattr(namespace, self.dest, command)


def add_flag(parser: argparse._ActionsContainer, *names: str, help: str) -> None:  # noqa: A002 - argparse's name
    """Add options that take no value."""
    parser.add_argument(*names, action="store_true", help=help)


def add_valued(parser: argparse._ActionsContainer, option: str, **more: Any) -> None:
    """Add an option that takes a value."""
    parser.add_argument(option, metavar=VALUES[option], **more)


def add_repeatable(parser: argparse._ActionsContainer, option: str, **more: Any) -> None:
    """Add an option whose values add up."""
    add_valued(parser, option, action="append", default=[], **more)
