"""How a command line is parsed: as argparse does it, with what may have been meant."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from dropin_cache import _colour
from dropin_cache.commands import terminal

VERSION = ("-V", "--version")
"""The options for it, which may also follow a command."""

# What other programs call it.
_SYNONYMS = {
    **dict.fromkeys(("upgrade", "refresh", "rebuild", "regenerate", "write"), "update"),
    **dict.fromkeys(("status", "verify", "test"), "check"),
    **dict.fromkeys(("ls", "show", "plugins"), "list"),
    **dict.fromkeys(("info", "why", "describe"), "explain"),
    **dict.fromkeys(("remove", "delete", "purge", "rm"), "clean"),
    **dict.fromkeys(("exec", "install"), "run"),
}
_UNRECOGNIZED = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """A parser that says what may have been meant."""

    color = False  # from Python 3.14 on, argparse has colours of its own, and a mind on when

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and what may have been meant or where to look; exit with 2."""
        from dropin_cache.commands.suggestions import did_you_mean  # noqa: PLC0415 - for mistakes

        hint = ""
        if "argument COMMAND: invalid choice: " in message:
            word = message.split("'")[1]
            message = f"there is no command {word}"
            hint = did_you_mean(_SYNONYMS.get(word, word), commands_of(self))
        elif message.startswith(_UNRECOGNIZED):
            hint = self._hint(message[len(_UNRECOGNIZED) :].split()[0].partition("=")[0])
        hint = hint or f"To see how it is used: {self.prog} --help"
        terminal.message("error", message)
        terminal.remedy(hint)
        self.exit(2)

    def _hint(self, option: str) -> str:
        """Say what may have been meant by an option that this command does not have."""
        from dropin_cache.commands.options import build_parser  # noqa: PLC0415 - as above
        from dropin_cache.commands.suggestions import did_you_mean  # noqa: PLC0415 - as above

        if not option.startswith("-"):
            return "Select by --python and --path." if self.prog.endswith("clean") else ""
        known = self._option_string_actions
        elsewhere = [
            name
            for name, parser in commands_of(build_parser()).items()
            if option in parser._option_string_actions  # noqa: SLF001 - argparse tells nowhere else
        ]
        if elsewhere:
            return f"{option} is an option of {', '.join(elsewhere)}."
        return did_you_mean(option, (each for each in known if each.startswith("--")))


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
