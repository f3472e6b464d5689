"""What the tests of load share: processes, and how much memory they needed at most."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from conftest import Tree

_PEAK = """
def peak():
    # Not getrusage(2), whose figure begins with what the parent had at its fork.
    with open("/proc/self/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10
"""
_UPDATE = """
import sys
from dropin_cache import cli

status = cli.main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(peak()))
sys.exit(status)
"""
_READER = """
import app.plugins, dropin_cache, json, logging, sys

messages = []
handler = logging.Handler()
handler.emit = lambda record: messages.append(record.getMessage())
logging.getLogger("dropin_cache").addHandler(handler)
found = list(dropin_cache.getCache(app.plugins))
imported = [name for name in sys.modules if name.startswith("app.plugins.")]
print(json.dumps([found, len(imported), messages, peak()]))
"""

SLACK = 4 << 20
"""Bytes by which the memory of one process differs from that of another that does the same."""

FACTOR = 30
"""How much memory text may take that has been parsed; update/child.py has the same."""


class Update(NamedTuple):
    """How an update ended.

    Attributes:
        status: Its exit status.
        out: What it printed.
        err: What it printed as errors and warnings.
        peak: How much memory it had in use at most, bytes; without that of its children.
    """

    status: int
    out: str
    err: str
    peak: int


class Reading(NamedTuple):
    """What a reader found.

    Attributes:
        found: The names of the drop-ins.
        imported: How many modules of the plugin package it has imported.
        messages: What it logged.
        peak: How much memory it had in use at most, bytes.
    """

    found: list[str]
    imported: int
    messages: list[str]
    peak: int


def python(
    code: str, *arguments: str | Path, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code in which `peak` tells how much memory the process had in use at most, in bytes."""
    env = {**os.environ, "COLUMNS": "300"}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    command = [sys.executable, "-B", "-c", _PEAK + textwrap.dedent(code), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=env)


def update(tree: Tree, *arguments: str) -> Update:
    """Update the caches of the application in a tree."""
    return run_update(tree.path.parent, "app.plugins", "--path", tree.path, *arguments)


def directory(tree: Tree) -> Path:
    """Return the directory of the application's drop-ins."""
    return tree.path / "app/plugins"


def run_update(place: Path, *arguments: str | Path) -> Update:
    """Run `dropin-cache update`.

    Args:
        place: Where a file can be put.
        arguments: Its command line.
    """
    report = place / "peak"
    done = python(_UPDATE, report, "update", *arguments)
    return Update(done.returncode, done.stdout, done.stderr, int(report.read_text()))


def read(path: Path, before: str = "") -> Reading:
    """Let a reader look for the drop-ins of the application in a directory.

    Args:
        path: The directory.
        before: What else to run, first.
    """
    return Reading(*answer(before + _READER, path))


def answer(code: str, path: Path) -> Any:
    """Run code that imports from a directory; return what it prints as JSON."""
    return parsed(python(code, path=path))


def parsed(done: subprocess.CompletedProcess[str]) -> Any:
    """Return what a process printed as JSON."""
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)
