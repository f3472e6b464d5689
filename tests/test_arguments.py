"""Which word of a command line is the command."""

from __future__ import annotations

import pytest

from dropin_cache._arguments import VALUES, command_first
from dropin_cache.commands.options import build_parser
from dropin_cache.commands.parser import commands_of


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], []),
        (["update", "-q"], ["update", "-q"]),
        (["-q", "update", "a.b"], ["update", "-q", "a.b"]),
        (["--path", "update", "check"], ["check", "--path", "update"]),
        (["--path=update", "check"], ["check", "--path=update"]),
        (["--color", "never", "run", "-x"], ["run", "--color", "never", "-x"]),
        (["--json"], ["--json"]),
        (["-q", "-V", "update"], ["--version"]),
        (["help"], ["--help"]),
        (["help", "help"], ["--help"]),
        (["help", "list", "check"], ["list", "--help"]),
        (["-q", "help", "--json", "list"], ["list", "--help"]),
        (["--path", "/a", "-h"], ["--help"]),
    ],
)
def test_command_first(arguments: list[str], expected: list[str]) -> None:
    """It comes first, whatever stands before it."""
    assert expected == command_first(arguments)


def test_values() -> None:
    """The options that are known to take a value are those that do."""
    options = {
        name
        for parser in commands_of(build_parser()).values()
        for action in parser._actions
        for name in action.option_strings
        if action.nargs != 0
    }
    assert options == VALUES.keys()


@pytest.mark.parametrize("name", commands_of(build_parser()))
def test_before_and_behind(name: str) -> None:
    """Every option of every command may stand in front of it."""
    rest = {"explain": ["a.b"], "hook": ["status"], "run": ["true", "--json"]}.get(name, [])
    for action in commands_of(build_parser())[name]._actions:
        value = [*action.choices][:1] if action.choices else ["5"]
        for option in set(action.option_strings) - {"-h", "--help"}:
            words = [option, *value] if option in VALUES else [option]
            usual = build_parser().parse_args([name, *words, *rest])
            assert usual == build_parser().parse_args(command_first([*words, name, *rest]))
