"""What `--help` says beyond the options: purposes, examples, exit statuses; and how wide it is."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
from typing import Any

PURPOSES = {
    "update": "bring caches up to date",
    "check": "tell whether caches are up to date",
    "list": "show what is in the caches, without importing anything",
    "explain": "tell the state of a plugin module, a plugin or a file, and the reason",
    "clean": "remove the caches that this program wrote: those of what is selected, or all",
    "hook": "turn automatic updates after pip on or off, or show whether they are on",
    "run": "run an installer, then update the caches of what it changed",
}
"""The commands."""

DESCRIPTION = "Keep the plugin caches (dropin.cache) of Python sites fresh."

_EXAMPLES = {
    "": {
        "dropin-cache update": "of this Python or the activated environment",
        "dropin-cache check --python ~/venv": "of an environment",
        "dropin-cache explain NAME": "why a plugin is not found",
        "dropin-cache help update": "the options of a command",
    },
    "update": {
        "dropin-cache update": "all plugin packages",
        "dropin-cache update -v twisted.plugins": "one, with tracebacks",
        "dropin-cache update --python ~/venv": "those of an environment",
        "update-dropin-cache --root /mnt": "those of a system in a directory",
    },
    "check": {
        "dropin-cache check": "all plugin packages",
        "dropin-cache check -q && echo fresh": "only the exit status",
        "dropin-cache check --format nagios": "for monitoring",
    },
    "list": {
        "dropin-cache list": "all plugins",
        "dropin-cache list -v twisted.plugins": "of one package, with all details",
        "dropin-cache list --interface matsim.IMaterial": "what provides it",
    },
    "explain": {
        "dropin-cache explain twisted.plugins.twisted_web": "a plugin module",
        "dropin-cache explain plates/twisted/plugins/steel.py": "a file",
        "dropin-cache explain --interface matsim.IMaterial NAME": "why it is not found",
    },
    "clean": {
        "dropin-cache clean --python ~/venv": "of an environment",
        "dropin-cache clean": "all",
    },
    "hook": {
        "dropin-cache hook enable": "update after each run of this environment's pip",
        "dropin-cache hook status": "whether that is on",
    },
    "run": {
        "dropin-cache run uv sync": "what uv changes",
        "dropin-cache run --python ~/venv make install": "what make changes in ~/venv",
    },
}
_STATUSES = {
    0: "done; for check: every cache is fresh",
    1: "check: a cache is stale, missing or corrupt",
    2: "usage: no such option, package, directory, interpreter or name; a bad configuration file",
    3: "plugin modules are broken (check, and update --strict)",
    4: "refused: users other than root could change what root would rely on",
    5: "it could not be done: no permission, read-only or full disk, lock timeout, no sandbox",
}
_OF_COMMANDS = {"": (0, 1, 2, 3, 4, 5), "check": (0, 1, 2, 3, 4, 5), "update": (0, 2, 3, 4, 5)}
_OF_OTHERS = (0, 2, 4, 5)
_OF_RUN = (
    "exit status: that of the command that it runs; 127 if there is no such command, 126 if it "
    "cannot be run, 2 if what --python or --path names cannot be used."
)
_MORE = (
    "A command that a signal ends exits with 128 plus the signal's number (130 for Ctrl-C), and "
    "leaves no cache half written. With --trigger, update always exits with 0. run exits with the "
    "status of the command that it runs; 127 if there is no such command, 126 if it cannot be run."
)
_WIDEST = 80  # columns
_COLUMN = re.compile(r" *\S.*?  +(?=\S)")


def epilog(command: str = "") -> str:
    """Return what stands behind the options.

    Args:
        command: The command; if it is none, the help is about all of them.
    """
    examples = _EXAMPLES[command]
    widest = max(map(len, examples))
    lines = [f"  {line:{widest}}  {what}" for line, what in examples.items()]
    return "\n".join(["examples:", *lines, "", *_exit_statuses(command)])


def _exit_statuses(command: str) -> list[str]:
    if command == "run":
        return [_OF_RUN]
    done = {"": _STATUSES[0], "check": "every cache is fresh"}.get(command, "done")
    meanings = {**_STATUSES, 0: done}
    these = _OF_COMMANDS.get(command, _OF_OTHERS)
    lines = [f"  {status}  {meanings[status]}" for status in these]
    return ["exit status:", *lines, *([] if command else ["", _MORE])]


class Formatter(argparse.HelpFormatter):
    """Keeps lines of epilogs apart, and all of them within the terminal's width, or 80 columns."""

    def __init__(self, prog: str, **more: Any) -> None:
        """Take the program's name, and what else argparse knows."""
        width = min(shutil.get_terminal_size().columns, _WIDEST) - 2
        super().__init__(prog, **{"width": width, **more})

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(_folded(line, width, indent) for line in text.splitlines())


def _folded(line: str, width: int, indent: str) -> str:
    """Fold a line; what stands in a column stays there."""
    column = _COLUMN.match(line)
    margin = " " * (
        column.end() if column and column.end() < width // 2 else 4 * line.startswith(" ")
    )
    return textwrap.fill(
        line,
        width,
        initial_indent=indent,
        subsequent_indent=indent + margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
