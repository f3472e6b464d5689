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
from typing import Any

import shtab

from dropin_cache.commands.options import build_parser

# What each shell's completions of the command are called, in one directory for all of them.
_NAMES = {"bash": "dropin-cache.bash", "zsh": "_dropin-cache", "fish": "dropin-cache.fish"}

# What is written by hand: functions for values that the caches know, and for what `run` runs.
_PARTS = Path(__file__).resolve().parent / "completions"


def _known(kind: str) -> dict[str, Any]:
    """Return what completes a kind of thing that the caches know, for each shell."""
    function = f"_dropin_cache_{kind}s"
    return {"bash": function, "zsh": function, "fish": f"(_dropin_cache_known {kind})"}


# What values are, where the parser cannot know.
_VALUES: dict[str, Any] = {
    "path": shtab.DIRECTORY,
    "python": shtab.FILE,
    "root": shtab.DIRECTORY,
    "packages": _known("package"),
    "package": _known("package"),
    "interface": _known("interface"),
    "name": {
        **dict.fromkeys(("bash", "zsh"), "_dropin_cache_names_and_files"),
        "fish": "(_dropin_cache_known name) (__fish_complete_path (commandline -ct))",
    },
    "command_line": {"zsh": "_dropin_cache_command", "fish": "(_dropin_cache_command)"},
}

# How to install it by hand, which is for packages to do.
_USAGE = re.compile(r"^# Usage:\n(#.*\n)*?(?=# See also)", re.MULTILINE)


def generate() -> dict[str, str]:
    """Return the contents of the files, by name."""
    parser = _parser()
    files = {}
    for shell, name in _NAMES.items():
        made = shtab.complete(parser, shell=shell, preamble=_part(f"values.{shell}"))
        text = _FINISH.get(shell, str)(_USAGE.sub("", made))
        lines = (line.rstrip() for line in text.rstrip().split("\n"))
        files[name] = "".join(f"{line}\n" for line in lines)
    return files


def _part(name: str) -> str:
    """Return what is written by hand, with the program that reads the output of `list`."""
    program = (_PARTS / "known.awk").read_text(encoding="utf-8")
    text = (_PARTS / name).read_text(encoding="utf-8")
    return text.replace("@AWK@", program.strip())


def _finish_bash(text: str) -> str:
    """Have a function of ours decide what is `run`'s."""
    return text.rpartition("\ncomplete ")[0] + "\n" + _part("end.bash")


def _finish_fish(text: str) -> str:
    """Offer options of `run` in front of the command only."""
    using = "_shtab_dropin_cache_using run"
    return text.replace(f"'{using}' -", f"'{using}; and test $_shtab_dropin_cache_npos -eq 0' -")


_FINISH = {"bash": _finish_bash, "fish": _finish_fish}


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
