"""Environments that a command may change: named by it, chosen for it, or kept by its installer.

They are found by where they lie. Installers could be asked, but what answers as `poetry` may be
anybody's, and root runs this, too. What is found is looked at and never executed here: whether an
interpreter can be trusted is decided by the update.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence

from dropin_cache.installers.sites import are_own
from dropin_cache.update.files.reading import read_file

_CHOSEN = ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT")
"""Variables that choose an environment: conda's is its own, uv reads all three."""

_PROJECT = ".venv"  # uv's, pdm's, pipenv's and poetry's, in the directory of the project

# Where installers keep environments: variables that name the place, by preference; where it is
# without; and where in there they are. {cache} and {data} are those of the XDG specification.
_KEPT = (
    (("POETRY_VIRTUALENVS_PATH",), "", "*"),
    (("POETRY_CACHE_DIR",), "{cache}/pypoetry", "virtualenvs/*"),
    (("WORKON_HOME",), "{data}/virtualenvs", "*"),  # pipenv
    ((), "~/.virtualenvs", "*"),  # virtualenvwrapper
    (("PIPX_HOME",), "{data}/pipx", "venvs/*"),
    ((), "~/.local/pipx", "venvs/*"),
    (("PIPX_GLOBAL_HOME",), "/opt/pipx", "venvs/*"),
    (("UV_TOOL_DIR",), "{data}/uv/tools", "*"),
    (("HATCH_DATA_DIR",), "{data}/hatch", "env/virtual/*/*/*"),
    (("HATCH_ENV_TYPE_VIRTUAL_PATH",), "", "*"),
    ((), "{data}/pdm/venvs", "*"),
)
_CONDA = "~/.conda/environments.txt"  # a path in each line
_MAX_SIZE = 1 << 20  # bytes of that

INSTALLERS = frozenset(
    ("conda", "hatch", "mamba", "micromamba", "pdm", "pipenv", "pipx", "poetry", "rye", "uv")
)
"""Commands whose environments are not that of the interpreter which runs them."""


def chosen(command: Sequence[str]) -> list[str]:
    """Return the environments that a command names, or that are chosen for it: their prefixes.

    Args:
        command: The program and its arguments.
    """
    found = [os.environ.get(name, "") for name in _CHOSEN]
    for word in command:
        path = word.partition("=")[2] if word.startswith("-") else word
        if os.sep in path or os.path.isdir(path):
            # An environment, a project, or a program of an environment.
            found += [path, os.path.join(path, _PROJECT), os.path.dirname(os.path.dirname(path))]
    above = os.getcwd()
    while True:
        found.append(os.path.join(above, _PROJECT))
        if above == "/":
            break
        above = os.path.dirname(above)
    return _environments(filter(None, found))


def kept() -> list[str]:
    """Return the environments that installers keep in places of their own: their prefixes."""
    homes = {
        "cache": os.environ.get("XDG_CACHE_HOME") or "~/.cache",
        "data": os.environ.get("XDG_DATA_HOME") or "~/.local/share",
    }
    found: list[str] = []
    for variables, default, inside in _KEPT:
        named = next(filter(None, map(os.environ.get, variables)), None)
        place = os.path.expanduser(named or default.format(**homes))
        # Another user may have left any number of them there; see `sites.is_own`.
        if os.path.isabs(place) and are_own(place):
            found += glob.glob(os.path.join(glob.escape(place), inside))
    listed = os.path.expanduser(_CONDA)
    if are_own(listed):
        with contextlib.suppress(OSError):
            found += os.fsdecode(read_file(listed, _MAX_SIZE)).splitlines()
    return _environments(found)


def interpreter_in(prefix: str) -> str:
    """Return the path that an environment's interpreter has."""
    return os.path.join(os.path.abspath(prefix), "bin", "python")


def _environments(prefixes: Iterator[str] | Sequence[str]) -> list[str]:
    """Return those that are environments, each once."""
    absolute = dict.fromkeys(map(os.path.abspath, prefixes))
    return [prefix for prefix in absolute if os.path.exists(interpreter_in(prefix))]
