"""Drop-ins that are generated, and files in general."""

from __future__ import annotations

import compileall
import os
import subprocess
from pathlib import Path

_DROPIN = '''"""The drop-in number {number}."""
from zope.interface import implementer
from {library} import IPlugin
{more}

@implementer(IPlugin)
class Plugin:
    """A plugin of number {number}."""


first = Plugin()
second = Plugin()
'''

# Tells what its own import takes, so that this can be left out.
_TIMED_DROPIN = '''"""The drop-in number {number}."""
import time
before = time.perf_counter_ns()
from zope.interface import implementer
from {library} import IPlugin


@implementer(IPlugin)
class Plugin:
    """A plugin of number {number}."""


plugin = Plugin()
plugin.import_ns = time.perf_counter_ns() - before
'''


def dropin(number: int, library: str = "twisted.plugin", more: str = "") -> str:
    """Return the source of a trivial drop-in.

    Args:
        number: Tells it from the others.
        library: Where it gets `IPlugin` from.
        more: Further imports.
    """
    return _DROPIN.format(number=number, library=library, more=more)


def timed_dropin(number: int, library: str) -> str:
    """Return the source of one whose plugin tells what its own import took.

    Args:
        number: Tells it from the others.
        library: Where it gets `IPlugin` from.
    """
    return _TIMED_DROPIN.format(number=number, library=library)


def write(file: Path, text: str) -> None:
    """Write a file, and the directories above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def compile_all(path: Path) -> None:
    """Compile a module, or the modules below a directory, as installers do."""
    compiled = compileall.compile_dir if path.is_dir() else compileall.compile_file
    if not compiled(path, quiet=1, force=True):
        raise SystemExit(f"bench: error: {path} does not compile")


def close(path: Path) -> None:
    """Make all below a directory read-only: for root, whom modes do not stop, by a mount."""
    if os.geteuid() != 0:
        _set_modes(path, 0o555)
        return
    for options in (["--bind", str(path), str(path)], ["-o", "remount,bind,ro", str(path)]):
        subprocess.run(["mount", *options], check=True)  # noqa: S603, S607 - of our own choice


def reopen(path: Path) -> None:
    """Undo that in a directory of an earlier run, whose mounts are gone."""
    if os.geteuid() != 0:
        _set_modes(path, 0o755)


def _set_modes(path: Path, mode: int) -> None:
    for directory, _, _ in os.walk(path):
        Path(directory).chmod(mode)
