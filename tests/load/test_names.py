"""Names of modules in all scripts, and as long as they can be; and paths as long as they can be."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

import load_support
from conftest import Tree
from load_support import directory, read, update
from reader_support import stamp
from tally import LONG, tally

_LONGEST = 255 - len(".py")  # NAME_MAX of limits.h
_DEEPEST = 4095 - len("/app/plugins/dropin.cache")  # PATH_MAX of limits.h, which counts a zero byte
_TWISTED = """
import json, sys
import app.plugins
from twisted import plugin
found = list(plugin.getCache(app.plugins))
imported = [name for name in sys.modules if name.startswith("app.plugins.")]
print(json.dumps([found, len(imported)]))
"""
_LOAD = """
import app.interfaces, app.plugins, dropin_cache, json
found = dropin_cache.getPlugins(app.interfaces.IGreeter, app.plugins)
print(json.dumps([type(plugin).__module__ for plugin in found]))
"""


def names_of_scripts() -> list[str]:
    """Make module names as long as file names can be, some from each script that Unicode has.

    Its data has no scripts by name, but the names of characters begin with them. Of each, the first
    letter is taken, and the first that a parser would replace (NFKC, PEP 3131); in the long form,
    the last, too.
    """
    scripts: dict[str, list[str]] = {}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if character.isidentifier():
            scripts.setdefault(unicodedata.name(character, "UNNAMED").split()[0], []).append(
                character
            )
    ends = (0, -1) if LONG else (0,)
    letters = {script[end] for script in scripts.values() for end in ends}
    for script in scripts.values():
        letters.update([each for each in script if unicodedata.normalize("NFKC", each) != each][:1])
    return sorted(each * (_LONGEST // len(each.encode())) for each in letters)


class TestNames:
    """Names of modules."""

    def test_all_scripts(self, tree: Tree) -> None:
        """Drop-ins of any name are found, cached and loaded, by the names that their files have."""
        names = names_of_scripts()
        # One character, or two that look the same: different files, and so different drop-ins.
        accented = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
        names += [unicodedata.normalize(form, accented) for form in ("NFC", "NFD")]
        write(tree, names)
        done = update(tree)
        assert (0, "") == (done.status, done.err)
        assert (sorted(names), 0, []) == read(tree.path)[:3]
        modules = [f"app.plugins.{name}" for name in sorted(names)]
        assert modules == load_support.answer(_LOAD, tree.path)
        # Twisted reads no directory that has a single such name in it.
        done = load_support.python(_TWISTED, path=tree.path)
        assert "UnicodeEncodeError" == done.stderr.splitlines()[-1].partition(":")[0]
        tally("size", names_of_all_scripts=len(names))

    def test_longest(self, tree: Tree) -> None:
        """Twisted takes the longest names from our cache as from the files."""
        names = ["l" * _LONGEST, "m" * (_LONGEST - 1), "short"]
        write(tree, names)
        without = load_support.answer(_TWISTED, tree.path)
        (directory(tree) / "dropin.cache").unlink()
        assert 0 == update(tree).status
        before = stamp(directory(tree) / "dropin.cache")
        assert [[names, 3], [names, 0]] == [without, load_support.answer(_TWISTED, tree.path)]
        assert before == stamp(directory(tree) / "dropin.cache")


def write(tree: Tree, names: list[str]) -> None:
    """Write an application with drop-ins of these names."""
    tree.application()
    for name in names:
        tree.dropin("one").rename(directory(tree) / f"{name}.py")


class TestDepth:
    """Directories below directories."""

    @pytest.fixture
    def app(self, app: Tree) -> Tree:
        """An application with one drop-in."""
        (directory(app) / "loud.py").unlink()
        return app

    def test_longest_path(self, app: Tree) -> None:
        """Where the path of the cache is the longest that there can be, all is as elsewhere."""
        tree = deep(app, _DEEPEST)
        done = update(tree)
        assert (0, "") == (done.status, done.err)
        assert (["hello"], 0, []) == read(tree.path)[:3]

    def test_longer_files(self, app: Tree) -> None:
        """Drop-ins that Python cannot open because of their paths are broken, and no more."""
        tree = deep(app, 4095 - len("/app/plugins"))
        line = "dropin-cache: warning: app.plugins.hello is left out: ModuleNotFoundError: "
        for arguments, status in (((), 0), (("--strict",), 3)):
            done = update(tree, *arguments)
            assert status == done.status
            assert done.err.startswith(line), done.err
        assert ([], 0, []) == read(tree.path)[:3]

    def test_longer_directory(self, app: Tree) -> None:
        """A directory that has no path cannot be named: exit status 2."""
        tree = deep(app, 4096)
        done = update(tree)
        assert 2 == done.status
        assert done.err.startswith("dropin-cache: error: ")
        assert "Traceback" not in done.err


def deep(tree: Tree, length: int) -> Tree:
    """Copy a tree to where its path has a length, in bytes."""
    path = str(tree.path)
    handle = os.open(path, os.O_RDONLY)
    while len(path) < length:
        left = length - len(path) - 1
        name = "d" * (left if left <= 200 else min(200, left - 2))  # nothing less than "/d" is left
        os.mkdir(name, dir_fd=handle)
        above, handle = handle, os.open(name, os.O_RDONLY, dir_fd=handle)
        os.close(above)
        path = f"{path}/{name}"
    # By descriptor: it may be too long a path already, or be one with what is copied.
    command = ["cp", "-r", tree.path / "app", f"/proc/{os.getpid()}/fd/{handle}/"]
    subprocess.run(command, check=True)
    os.close(handle)
    return Tree(Path(path))
