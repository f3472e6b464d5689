"""The rows about updates: what package managers wait for.

Each is the time of a whole process, from before it is started until its end is known.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator

from benchmarks.dropins import compile_all, dropin, write
from benchmarks.figures import COST, FASTER, Sample, Task
from benchmarks.processes import Spent
from benchmarks.sites import SETTLED, TRIGGER, Environment, Sites

_CHANGED = "generated_00500.py"
_SANDBOX = ("bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--unshare-all")
_FORKS = """
import os, sys
import twisted.plugins

def fork():
    process = os.fork()
    if process == 0:
        os._exit(0)
    return process

processors = min(4, len(os.sched_getaffinity(0)))
lanes = []
for _ in range(processors):
    lane = os.fork()
    if lane == 0:
        for _ in range(int(sys.argv[1]) // processors):
            os.waitpid(fork(), 0)
        os._exit(0)
    lanes.append(lane)
for lane in lanes:
    os.waitpid(lane, 0)
"""


def tasks(sites: Sites) -> Iterator[Task]:
    """Yield what there is to measure."""
    yield from _triggers(sites)
    thousand = _Thousand(sites)
    yield Task(
        "update-all",
        "update of 18 real and 1,000 trivial drop-ins, all of them imported, sandboxed",
        "the Twisted guide's one-liner without a cache, no sandbox",
        *(FASTER, 1, "ms"),
        thousand.ours_all,
        thousand.theirs_all,
        runs=5,
    )
    yield Task(
        "update-one",
        "update when one of these has changed, sandboxed",
        "the one-liner, its cache being fresh for the others",
        *(FASTER, 3, "ms"),
        thousand.ours_one,
        thousand.theirs_one,
        runs=7,
    )
    yield Task(
        "processors",
        "update of these, all of them imported, by all processors",
        "the same by one processor",
        *(FASTER, None, "ms"),
        thousand.ours_all,
        thousand.ours_by_one,
        runs=5,
    )
    yield Task(
        "floor-all",
        "one process forked for each of these from one that has imported Twisted, and nothing more",
        "the one-liner without a cache",
        *(FASTER, None, "ms"),
        thousand.forks,
        thousand.theirs_all,
        runs=5,
    )
    if shutil.which("bwrap"):
        yield Task(
            "floor-one",
            "import of twisted.plugins by an interpreter in bubblewrap, and nothing more",
            "the one-liner, its cache being fresh for all but one",
            *(FASTER, None, "ms"),
            thousand.sandboxed_import,
            thousand.theirs_one,
            runs=7,
        )


def _triggers(sites: Sites) -> Iterator[Task]:
    def nothing() -> Sample:
        return sites.runner.run([sites.stock.python, "-I", "-c", "pass"], silent=True).sample

    def by_pip() -> Sample:
        sites.runner.remember(sites.twisted.path.name)
        program = str(sites.twisted.path / "bin" / "dropin-cache")
        return sites.runner.run([program, *TRIGGER], silent=True).sample

    work, against = "update --trigger, nothing changed, ", "`python3 -I -c pass`"
    yield Task(
        "trigger-18",
        work + "Twisted's 18 drop-ins",
        against,
        *(COST, 2, "ms"),
        lambda: sites.command(sites.twisted, *TRIGGER, silent=True).sample,
        nothing,
        runs=25,
    )
    yield Task(
        "trigger-18-pip",
        work + "Twisted's 18 drop-ins, by the command that pip installs",
        against,
        *(COST, None, "ms"),
        by_pip,
        nothing,
        runs=11,
    )
    yield Task(
        "trigger-1000",
        work + "1,000 drop-ins, 600 dependency files",
        against,
        *(COST, 3, "ms"),
        lambda: sites.command(sites.depending, *TRIGGER, silent=True).sample,
        nothing,
        runs=15,
    )


class _Thousand:
    """Updates of 1,018 drop-ins, each side in an environment of its own."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._number = 0

    def ours_all(self) -> Sample:
        self._sites.our_thousand.forget()
        return _wall(self._sites.command(self._sites.our_thousand, "update", "-q", "--force"))

    def ours_by_one(self) -> Sample:
        """Do the same on one processor."""
        everywhere = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(everywhere)})  # which those that are started inherit
        try:
            return self.ours_all()
        finally:
            os.sched_setaffinity(0, everywhere)

    def theirs_all(self) -> Sample:
        self._sites.their_thousand.forget()
        return _wall(self._sites.one_liner(self._sites.their_thousand))

    def ours_one(self) -> Sample:
        self._change(self._sites.our_thousand)
        return _wall(self._sites.command(self._sites.our_thousand, "update", "-q"))

    def theirs_one(self) -> Sample:
        self._change(self._sites.their_thousand)
        return _wall(self._sites.one_liner(self._sites.their_thousand))

    def forks(self) -> Sample:
        """Fork as often as an update of all does, by as many processes as there are processors."""
        python = self._sites.our_thousand.python
        return _wall(self._sites.runner.run([python, "-I", "-c", _FORKS, "1018"], silent=True))

    def sandboxed_import(self) -> Sample:
        """Start the least of a sandbox that a child could be content with."""
        inside = [self._sites.our_thousand.python, "-I", "-B", "-c", "import twisted.plugins"]
        return _wall(self._sites.runner.run([*_SANDBOX, *inside], silent=True))

    def _change(self, environment: Environment) -> None:
        self._number += 1
        write(environment.plugins / _CHANGED, dropin(500_000 + self._number))
        compile_all(environment.plugins / _CHANGED)
        time.sleep(SETTLED)


def _wall(spent: Spent) -> Sample:
    # What is in a process namespace when that ends is waited for by nobody, so the processor time
    # of a sandbox is not all known.
    return Sample(spent.wall)
