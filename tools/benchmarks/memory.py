"""The rows about memory: the most that a process had of it at any time."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Callable

from benchmarks.figures import COST, Sample, Task
from benchmarks.reading import OURS, THEIRS
from benchmarks.sites import ONE_LINER, Environment, Sites

# VmHWM is of the program alone. What wait4(2) tells of a process may be what its parent had when
# it was forked.
_PEAK = """
import re
with open("/proc/self/status") as status:
    own = int(re.search(r"VmHWM:\\s*(\\d+) kB", status.read()).group(1))
"""
_READER = """
import sys
sys.path.append(sys.argv[1])
from {library} import IPlugin, getPlugins
import application.plugins
plugin = next(getPlugins(IPlugin, application.plugins))
"""
_CACHE = """
import sys
sys.path.append(sys.argv[1])
from {library} import getCache
import many
assert len(getCache(many)) == 10000
"""
_UPDATER = """
import sys
sys.path.append(sys.argv[1])
sys.argv[1:] = ["update", "-q", "--force"]
from dropin_cache.cli import main
assert main() == 0
"""
_CHILDREN = """
import resource
print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def tasks(sites: Sites) -> Iterator[Task]:
    """Yield what there is to measure."""

    def reader(library: str) -> Sample:
        program = _READER.format(library=library)
        return _peak(sites, sites.stock, program, str(sites.application(library)))

    def cache(library: str) -> Sample:
        program = _CACHE.format(library=library)
        return _peak(sites, sites.stock, program, str(sites.many(10000)))

    def both(name: str, work: str, sample: Callable[[str], Sample]) -> Task:
        sides = functools.partial(sample, OURS), functools.partial(sample, THEIRS)
        return Task(name, work, "stock Twisted", *(COST, 1, "MiB"), *sides, runs=3)

    yield both("memory-reader", "peak memory up to the first plugin, 18 drop-ins", reader)
    yield both("memory-reader-10000", "peak memory of getCache, 10,000 drop-ins", cache)
    yield from _updates(sites)


def _updates(sites: Sites) -> Iterator[Task]:
    # One update is good for all three rows. Other than time, memory is not a matter of luck.
    @functools.cache
    def ours(_: int) -> list[float]:
        environment = sites.our_thousand
        sites.runner.remember(environment.path.name)
        command = [environment.python, "-IS", "-c", _UPDATER + _PEAK + _CHILDREN]
        out = sites.runner.run([*command, str(environment.site)]).out
        return [float(word) for word in out.split()]

    @functools.cache
    def theirs(_: int) -> Sample:
        sites.their_thousand.forget()
        return _peak(sites, sites.their_thousand, ONE_LINER)

    def both(name: str, work: str, reach: float | None, which: slice) -> Task:
        our_number, their_number = itertools.count(), itertools.count()
        return Task(
            name,
            f"peak memory of update, 18 real and 1,000 trivial drop-ins: {work}",
            "the Twisted guide's one-liner",
            *(COST, reach, "MiB"),
            lambda: Sample(sum(ours(next(our_number))[which])),
            lambda: theirs(next(their_number)),
            runs=2,
        )

    yield both("memory-updater", "the process that writes", 1, slice(1))
    yield both("memory-child", "the largest of its child processes", 1, slice(1, 2))
    yield both("memory-both", "the sum of these", None, slice(2))


def _peak(sites: Sites, environment: Environment, program: str, *arguments: str) -> Sample:
    text = f"{program}\n{_PEAK}\nprint(own)"
    return Sample(float(sites.runner.run([environment.python, "-I", "-c", text, *arguments]).out))
