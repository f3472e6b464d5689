"""Virtual environments for tests: each an interpreter with a directory of packages of its own."""

from __future__ import annotations

import sys
import venv
from pathlib import Path
from typing import NamedTuple

import dropin_cache


class Environment(NamedTuple):
    """A virtual environment.

    Attributes:
        python: Path of its interpreter.
        site: Its directory of packages.
        path: All of it.
    """

    python: str
    site: Path
    path: Path


def environment(path: Path) -> Environment:
    """Make an environment that finds this project, and what it needs, where it is installed."""
    venv.create(path, symlinks=True)
    version = "python{}.{}".format(*sys.version_info)
    site = path / "lib" / version / "site-packages"
    (site / "project.pth").write_text(f"{Path(dropin_cache.__file__).parent.parent}\n")
    return Environment(str(path / "bin" / "python"), site, path)
