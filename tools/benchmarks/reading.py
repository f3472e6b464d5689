"""The rows about readers: what an application waits for.

Times are taken inside of a fresh process, by itself, and so is its processor time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

from benchmarks.figures import COST, FASTER, Sample, Task
from benchmarks.sites import Environment, Sites

_TWISTED = 18  # drop-ins of Twisted's own
OURS, THEIRS = "dropin_cache", "twisted.plugin"

# Around what is measured. Both modules are built into the interpreter or loaded by it.
_CLOCK = """
import time
def clock():
    return time.perf_counter_ns(), time.process_time_ns()
before = clock()
"""
_TIMED = """
after = clock()
print(*((after[each] - before[each] - leave_out) / {calls} for each in (0, 1)))
"""
# What either side needs is imported first, so only the call is left.
_LOOKUP = """
import sys
import dropin_cache, twisted.plugin, twisted.plugins
from zope.interface import Interface
from {library} import getPlugins
class INobody(Interface):
    pass
{more}
{clock}
found = list(getPlugins({interface}, twisted.plugins))
leave_out = 0
{timed}
assert bool(found) is {found}
"""
_START = """
{clock}
import sys
sys.path.append(sys.argv[1])
from {library} import IPlugin, getPlugins
import application.plugins
plugin = next(getPlugins(IPlugin, application.plugins))
leave_out = plugin.import_ns
{timed}
"""
_IMPORT = """
{clock}
import zope.interface
leave_out = 0
{timed}
"""
_CACHE = """
import sys
sys.path.append(sys.argv[1])
import dropin_cache, twisted.plugin, {package}
from {library} import getCache
for _ in range({warm}):
    getCache({package})
{clock}
for _ in range({calls}):
    getCache({package})
leave_out = 0
{timed}
assert len(getCache({package})) == {count}
assert not any(name.startswith("{package}.") for name in sys.modules)
"""
_LOOK = """
import os, sys
sys.path.append(sys.argv[1])
import dropin_cache, twisted.plugin, {package}
def look(path):
    for directory in path:
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.name.endswith((".py", ".cache")):
                        os.stat(entry.path)
        except FileNotFoundError:
            pass
look({package}.__path__)
{clock}
for _ in range({calls}):
    look({package}.__path__)
leave_out = 0
{timed}
"""


def program(text: str, calls: int = 1, **values: object) -> str:
    """Return a program with its blanks filled."""
    timed = _TIMED.format(calls=calls)
    return text.format(clock=_CLOCK, timed=timed, calls=calls, **values)


def tasks(sites: Sites) -> Iterator[Task]:
    """Yield what there is to measure."""
    yield from _lookups(sites)
    yield from _starts(sites)
    cached = {_TWISTED: (200, 9), 1000: (20, 7), 10000: (3, 5)}
    for count, (calls, runs) in cached.items():
        yield from _repeated(sites, count, calls, runs)
    yield Task(
        "growth",
        "getCache in a warm process, 10,000 drop-ins",
        "the same, 1,000 drop-ins",
        *(COST, 10, "ms"),
        _caching(sites, 10000, _CACHE, calls=3, warm=1, library=OURS),
        _caching(sites, 1000, _CACHE, calls=20, warm=1, library=OURS),
        runs=5,
    )
    yield Task(
        "floor-growth",
        "the scandir and stat calls alone, 10,000 drop-ins",
        "the same, 1,000 drop-ins",
        *(COST, None, "ms"),
        _caching(sites, 10000, _LOOK, calls=3),
        _caching(sites, 1000, _LOOK, calls=20),
        runs=5,
    )


def _lookups(sites: Sites) -> Iterator[Task]:
    def side(
        library: str,
        site: Callable[[], Environment],
        interface: str = "INobody",
        more: str = "",
    ) -> Callable[[], Sample]:
        found = interface != "INobody"
        text = program(_LOOKUP, library=library, interface=interface, more=more, found=found)
        return lambda: _printed(sites, site().python, text)

    def both(name: str, work: str, reach: float | None, runs: int, *what: Any) -> Task:
        against = "stock Twisted, same caches"
        ours, theirs = (side(library, *what) for library in (OURS, THEIRS))
        return Task(name, work, against, FASTER, reach, "ms", ours, theirs, runs)

    work = "getPlugins(I) in a fresh process, real drop-ins, "
    service = "IServiceMaker", "from twisted.application.service import IServiceMaker"
    yield both("lookup", work + "cache fresh", 30, 15, lambda: sites.fresh)
    yield both(
        *("lookup-loading", work + "cache fresh, I=IServiceMaker, its plugins loaded", None, 7),
        *(lambda: sites.fresh, *service),
    )
    yield both("flattened", work + "all mtimes equal, read-only", 20, 7, lambda: sites.flattened)


def _starts(sites: Sites) -> Iterator[Task]:
    def start(library: str) -> list[str]:
        return [program(_START, library=library), str(sites.application(library))]

    def whole(*arguments: str) -> Sample:
        return sites.runner.run([python, "-I", "-c", *arguments]).sample

    python, alone = sites.stock.python, program(_IMPORT)
    work = "a new process up to its first plugin, whose own import is left out"
    yield Task(
        "start-zope",
        work,
        "`import zope.interface` alone",
        *(COST, 1.2, "ms"),
        lambda: _printed(sites, python, *start(OURS)),
        lambda: _printed(sites, python, alone),
        runs=25,
    )
    yield Task(
        "start-zope-whole",
        "the whole process that imports the library and a first plugin",
        "the whole process that imports zope.interface",
        *(COST, None, "ms"),
        lambda: whole(*start(OURS)),
        lambda: whole(alone),
        runs=25,
    )
    yield Task(
        "start-twisted",
        work,
        "stock Twisted",
        *(FASTER, 4, "ms"),
        lambda: _printed(sites, python, *start(OURS)),
        lambda: _printed(sites, python, *start(THEIRS)),
        runs=15,
    )


def _repeated(sites: Sites, count: int, calls: int, runs: int) -> Iterator[Task]:
    def both(name: str, work: str, reach: float | None, calls: int, warm: int) -> Task:
        work, against = f"{work}, {count:,} drop-ins", "stock Twisted, same caches"
        ours, theirs = (
            _caching(sites, count, _CACHE, calls=calls, warm=warm, library=library)
            for library in (OURS, THEIRS)
        )
        return Task(name, work, against, FASTER, reach, "ms", ours, theirs, runs)

    yield both(f"cached-{count}", "getCache in a warm process", 5, calls, warm=1)
    if count != _TWISTED:  # `lookup` shows the first call for it
        yield both(f"first-{count}", "the first getCache of a process", None, 1, warm=0)
    yield Task(
        f"polled-{count}",
        f"getCache polled in a loop, nothing changed, {count:,} drop-ins",
        "the scandir and stat calls alone",
        *(COST, 3, "ms"),
        _caching(sites, count, _CACHE, calls=calls, warm=1, library=OURS),
        _caching(sites, count, _LOOK, calls=calls),
        runs,
    )


def _caching(sites: Sites, count: int, text: str, **values: Any) -> Callable[[], Sample]:
    """Return what measures something that a process does over and over with many drop-ins."""
    own = count == _TWISTED
    package = "twisted.plugins" if own else "many"
    filled = program(text, package=package, count=count, **values)

    def sample() -> Sample:
        if own:
            return _printed(sites, sites.twisted.python, filled, "/nonexistent")
        return _printed(sites, sites.stock.python, filled, str(sites.many(count)))

    return sample


def _printed(sites: Sites, python: str, *arguments: str) -> Sample:
    """Return the two numbers that a program prints."""
    out = sites.runner.run([python, "-I", "-c", *arguments]).out
    return Sample(*map(float, out.split()))
