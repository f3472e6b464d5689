"""A reader that is polled for long needs no more memory and no more descriptors than at first."""

from __future__ import annotations

from typing import NamedTuple

import pytest

import load_support
from conftest import Tree
from load_support import SLACK, directory, update
from tally import LONG, tally

_POLLS = 100_000 if LONG else 1_500
_BLOCKS = 500  # memory blocks more or less: tables of the interpreter that happen to grow
_POLL = """
import app.interfaces, app.plugins, gc, json, logging, os, sys
from dropin_cache import _plugins

logging.disable()  # of what is broken it tells once, and here that is no end of things
polls, how, place = int(sys.argv[1]), sys.argv[2], app.plugins.__path__[0]
with open(f"{place}/hello.py") as file:
    text = file.read()

expected = {"hello", "loud"}
wrong = 0

def change(number):
    name = f"d{number}" if how == "new names" else f"d{number % 7}"
    if how == "new names":
        with open(f"{place}/{name}.py", "w") as file:
            file.write("raise ValueError")
        if number:
            os.unlink(f"{place}/d{number - 1}.py")
    elif name in expected:
        os.unlink(f"{place}/{name}.py")
        expected.remove(name)
    else:
        with open(f"{place}/{name}.py", "w") as file:
            file.write(f"# {number}\\n{text}")
        expected.add(name)

def figures():
    gc.collect()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return sys.getallocatedblocks(), resident, len(os.listdir("/proc/self/fd"))

for number in range(polls):
    if number == polls // 2:
        first = figures()
    if number % 3 == 0:
        change(number // 3)
    if number % 2:
        found = set(_plugins.getCache(app.plugins))
    else:
        plugins = _plugins.getPlugins(app.interfaces.IGreeter, app.plugins)
        found = {type(plugin).__module__.rpartition(".")[2] for plugin in plugins}
    wrong += found != expected
last = figures()
print(json.dumps([*(b - a for a, b in zip(first, last)), wrong]))
"""
_FLAWED = """
from dropin_cache import _plugins
import os

kept = []
look = _plugins._dropins_of
def flawed(bucket, snapshot):
    kept.append(LOSS)
    return look(bucket, snapshot)
_plugins._dropins_of = flawed
"""
_FLAWS = {
    "memory": _FLAWED.replace("LOSS", "[bytearray(100) for _ in range(100)]"),
    "descriptors": _FLAWED.replace("LOSS", "os.open(bucket.directory, os.O_RDONLY)"),
}


class Growth(NamedTuple):
    """What a process had more of after many polls than after half of them.

    Attributes:
        blocks: Blocks of memory that the interpreter gave away.
        resident: Bytes of memory in use.
        descriptors: Open files.
        wrong: How often it found other plugins than there were.
    """

    blocks: int
    resident: int
    descriptors: int
    wrong: int

    @property
    def leaks(self) -> list[str]:
        """What it has lost."""
        return [
            name
            for name, lost in (
                ("memory", self.blocks > _BLOCKS or self.resident > SLACK),
                ("descriptors", self.descriptors > 0),
            )
            if lost
        ]


def poll(tree: Tree, polls: int, how: str, flaw: str = "") -> Growth:
    """Poll the plugins of an application while drop-ins come and go."""
    done = load_support.python(flaw + _POLL, str(polls), how, path=tree.path)
    return Growth(*load_support.parsed(done))


class TestReader:
    """A reader in a process that runs for long."""

    @pytest.mark.parametrize("how", ["same names", "new names", "unwritable"])
    def test_polled(self, app: Tree, how: str) -> None:
        """It loses nothing, whether names come back or are ever new, and where it cannot write."""
        if how == "unwritable":
            (directory(app) / "dropin.cache").mkdir()  # which stops root, too
        else:
            assert 0 == update(app).status
        growth = poll(app, _POLLS, how)
        counts = {f"leaks_of_{name}": name in growth.leaks for name in ("memory", "descriptors")}
        tally("leaks", polls=_POLLS, wrong_answers=growth.wrong)
        tally("leaks", **{name: int(lost) for name, lost in counts.items()})
        assert ([], 0) == (growth.leaks, growth.wrong), growth


class TestSelfCheck:
    """The harness, when there is something to find."""

    @pytest.mark.parametrize("what", list(_FLAWS))
    def test_leak_is_found(self, app: Tree, what: str) -> None:
        """A reader that loses something each time is found out."""
        growth = poll(app, 1000, "same names", _FLAWS[what])
        assert what in growth.leaks, growth
