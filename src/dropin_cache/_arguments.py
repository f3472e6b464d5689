"""What can be told of a command line before anything is loaded: which of its words is the command.

Options may stand in front of it. `commands.options` has from here which of them take a value.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VALUES = {
    "--python": "EXE|ENVIRONMENT",
    "--path": "DIR",
    "--root": "DIR",
    "--sandbox": "TIER",
    "--timeout": "S",
    "--lock-timeout": "S",
    "--settle": "S",
    "--interface": "DOTTED",
    "--package": "DOTTED",
    "--format": "FORMAT",
    "--color": "WHEN",
}
"""The options that take a value, and what help texts call it."""

_HELP, _VERSION = ("-h", "--help"), ("-V", "--version")


def command_first(arguments: Sequence[str]) -> list[str]:
    """Put the command in front of options that stand before it; `help` is an option, too.

    Args:
        arguments: The command line, without the program's name.
    """
    start, options = 0, []
    while start < len(arguments) and arguments[start].startswith("-"):
        options.append(arguments[start])
        start += 2 if arguments[start] in VALUES else 1
    before, command, rest = arguments[:start], arguments[start : start + 1], arguments[start + 1 :]
    if set(_VERSION).intersection(before):
        return ["--version"]
    if command == ["help"]:
        return [
            *[each for each in rest if each != "help" and not each.startswith("-")][:1],
            "--help",
        ]
    if not command:
        known = set(options).intersection(_HELP)
        return ["--help"] if known else [each for each in options if each not in VALUES]
    return [*command, *before, *rest]
