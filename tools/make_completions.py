"""Writes the shell completions to a directory, which is the argument.

They are made from the parser of the commands, and are part of the source tree, because nobody who
builds a package should need shtab for it. The tests compare them with what this would write. Those
of `update-dropin-cache` are not made: they are a few lines that lead to these.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import shtab

from dropin_cache.commands.options import build_parser

# What each shell's completions of the command are called, in one directory for all of them.
_NAMES = {"bash": "dropin-cache.bash", "zsh": "_dropin-cache", "fish": "dropin-cache.fish"}

# What values are, where the parser cannot know.
_VALUES = {
    "name": shtab.FILE,
    "path": shtab.DIRECTORY,
    "python": shtab.FILE,
    "root": shtab.DIRECTORY,
}

# How to install it by hand, which is for packages to do.
_USAGE = re.compile(r"^# Usage:\n(#.*\n)*?(?=# See also)", re.MULTILINE)


def generate() -> dict[str, str]:
    """Return the contents of the files, by name."""
    parser = _parser()
    files = {}
    for shell, name in _NAMES.items():
        text = _USAGE.sub("", shtab.complete(parser, shell=shell))
        lines = (line.rstrip() for line in text.rstrip().split("\n"))
        files[name] = "".join(f"{line}\n" for line in lines)
    return files


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the commands, with what their values are."""
    parser = build_parser()
    (commands,) = (
        action.choices
        for action in parser._actions  # noqa: SLF001 - shtab looks there, too
        if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001 - likewise
    )
    for each in commands.values():
        for action in each._actions:  # noqa: SLF001 - likewise
            if action.dest in _VALUES:
                action.complete = _VALUES[action.dest]
    return parser


def main() -> None:
    """Write the files."""
    directory = Path(sys.argv[1])
    for name, text in generate().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
