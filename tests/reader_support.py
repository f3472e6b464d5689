"""What the tests of the reader share: samples, plain views of caches, child processes."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dropin_cache
from conftest import NOBODY, run_python
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint, InterfaceName
from dropin_cache._scan import CACHE_NAME
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Report, Request

if TYPE_CHECKING:
    from types import ModuleType

    import pytest

    from conftest import Tree

# Where this package can be imported from, for interpreters that do not look at PYTHONPATH.
LIBRARY = Path(dropin_cache.__file__).parent.parent

# A round date in the past, so that files made meanwhile are newer.
LONG_AGO = 1_500_000_000 * 10**9

# What a child does before it gives up the privileges of root: afterwards nothing more can be
# imported from an interpreter that lies below a private directory.
_AS_ORDINARY_USER = f"""
import hashlib, importlib, json, logging, os, sys, traceback, zipfile
import filelock
import zope.interface
import dropin_cache._regenerate, dropin_cache._interfaces
import dropin_cache._unpickle, dropin_cache._plugins
import dropin_cache.update.files.lock, dropin_cache.update.files.cache_directory
importlib.invalidate_caches()

class Messages(logging.Handler):
    texts = []
    def emit(self, record):
        self.texts.append(record.getMessage())

logging.getLogger("dropin_cache").addHandler(Messages())
messages = Messages.texts
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
"""


def use(tree: Tree, monkeypatch: pytest.MonkeyPatch, name: str = "app") -> ModuleType:
    """Write an application into a tree and return its plugin package, imported."""
    tree.application(name)
    # Bytecode is trusted within one second of time, in which a test rewrites a file many times.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tree.path))
    return importlib.import_module(f"{name}.plugins")


def forget(*names: str) -> None:
    """Forget imported modules, as a new process would."""
    for name in names:
        sys.modules.pop(name, None)


def cache_of(tree: Tree, package: str = "app") -> Path:
    """Return the path of the cache of a tree's plugin package."""
    return tree.path / package / "plugins" / CACHE_NAME


def plugin_names(plugins: Any) -> list[str]:
    """Return the names of plugins as `Tree.dropin` writes them."""
    return [plugin.name for plugin in plugins]


def stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is written or replaced."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def facts(dropins: Any) -> Any:
    """Return a cache as plain values, which can be compared."""
    if dropins is None:
        return None
    return {
        key: (
            dropin.moduleName,
            dropin.description,
            dropin.fingerprint,
            [
                (plugin.name, plugin.description, plugin.references, plugin.interfaces)
                for plugin in dropin.plugins
            ],
        )
        for key, dropin in dropins.items()
    }


def entry(
    module: str,
    *plugins: tuple[str, str | None, tuple[InterfaceName, ...], tuple[str, ...]],
    description: str | None = None,
    fingerprint: Fingerprint | None = None,
) -> CachedDropin:
    """Make an entry with plugins known by the names of their interfaces."""
    dropin = CachedDropin(module, description)
    dropin.fingerprint = fingerprint
    for plugin in plugins:
        CachedPlugin.from_references(dropin, *plugin)
    return dropin


def fingerprint_of(path: Path) -> Fingerprint:
    """Take the fingerprint of a file, in other words than the library's."""
    status = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Fingerprint(status.st_size, status.st_mtime_ns, digest)


def sample() -> list[CachedDropin]:
    """Make entries with everything that a cache can hold."""
    marker = InterfaceName("dropin_cache", "IPlugin")
    greeter = InterfaceName("app.interfaces", "IGreeter")
    interfaces = ("app.interfaces.IGreeter", "dropin_cache.IPlugin", "zope.interface.Interface")
    return [
        entry(
            "app.plugins.full",
            ("first", "The first.", (marker, greeter), interfaces),
            ("second", None, (), ()),
            description="A drop-in.\n\nWith more than one line, and \N{SNOWMAN}.",
            fingerprint=Fingerprint(123, LONG_AGO, "0" * 64),
        ),
        entry("app.plugins.empty"),
    ]


SAMPLE = encode(sample())


def refresh(
    tree: Tree, package: str = "app.plugins", further: tuple[Path, ...] = (), **options: Any
) -> Report:
    """Run an update of one plugin package that lies in a tree, and in further import roots."""
    paths = (str(tree.path), *map(str, further), str(LIBRARY))
    return update(Request(packages=(package,), paths=paths, **options), lambda *_: None)


def run_ordinary(code: str, home: Path, path: list[Path], env: dict[str, str] | None = None) -> Any:
    """Run code as a user without privileges and return what it assigned to `result`.

    Args:
        code: The program; `messages` is the list of what this package logged, `place` is `home`.
        home: A directory in which that user may have a cache directory.
        path: Directories to import from.
        env: Further environment variables.
    """
    state = home / "state"
    state.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chown(state, NOBODY, NOBODY)
    environment = {
        "XDG_CACHE_HOME": str(state),
        # A user without privileges could not store what would be measured.
        "COVERAGE_PROCESS_START": "",
        "COVERAGE_PROCESS_CONFIG": "",
        **(env or {}),
    }
    done = run_python(
        f"{_AS_ORDINARY_USER}\nplace = {str(home)!r}\n{textwrap.dedent(code)}"
        "\nprint(json.dumps(result))\n",
        path=[*path, LIBRARY],
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
