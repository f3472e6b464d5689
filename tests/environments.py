"""Virtual environments for tests: each an interpreter with a directory of packages of its own."""

from __future__ import annotations

import shutil
import sys
import venv
from pathlib import Path
from typing import NamedTuple

import filelock
import zope.interface

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
    # An installation for development has the project elsewhere than what it needs.
    files = (dropin_cache.__file__, filelock.__file__, zope.interface.__path__[0])
    places = dict.fromkeys(str(Path(file).parent.parent) for file in files)
    (site / "project.pth").write_text("".join(f"{place}\n" for place in places))
    return Environment(str(path / "bin" / "python"), site, path)


def own_environment(path: Path) -> Environment:
    """Make an environment with copies of this project and what it needs, and nothing else."""
    venv.create(path, symlinks=True)
    site = path / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages"
    for package in (dropin_cache, filelock, zope.interface):
        source = Path(package.__file__).parent
        shutil.copytree(source, site.joinpath(*package.__name__.split(".")))
    return Environment(str(path / "bin" / "python"), site, path)
