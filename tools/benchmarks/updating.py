"""The rows about updates: what package managers wait for.

Each is the time of a whole process, from before it is started until its end is known.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator

from benchmarks.dropins import compile_all
from benchmarks.figures import COST, FASTER, Sample, Task
from benchmarks.processes import Spent
from benchmarks.sites import SETTLED, TRIGGER, Environment, Sites

# What the imports of all owners cost, each owner's in an interpreter of its own, and nothing more.
_IMPORTS = """
import subprocess, sys
from importlib.metadata import distributions
owners = {}
for distribution in distributions():
    for file in distribution.files or ():
        there = str(file.parent) == "twisted/plugins" and file.suffix == ".py"
        if there and file.stem != "__init__":
            owners.setdefault(distribution.name, []).append(f"import twisted.plugins.{file.stem}")
commands = [[sys.executable, "-I", "-B", "-c", ";".join(each)] for each in owners.values()]
running = []
for command in sorted(commands, key=len):
    if len(running) == int(sys.argv[1]):
        running.pop(0).wait()
    running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
for each in running:
    each.wait()
"""
_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


def tasks(sites: Sites) -> Iterator[Task]:
    """Yield what there is to measure."""
    yield from _triggers(sites)
    yield from _real(sites)
    thousand = _Updates(sites, sites.our_thousand, sites.their_thousand)
    yield Task(
        "update-all",
        "update of 18 real and 1,000 trivial plugin modules, all of them imported, sandboxed",
        "the Twisted guide's one-liner without a cache, no sandbox",
        *(COST, 1.5, "ms"),
        thousand.ours_all,
        thousand.theirs_all,
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
    yield from _commands(sites)


def _real(sites: Sites) -> Iterator[Task]:
    real = _Updates(sites, sites.our_real, sites.their_real)
    yield Task(
        "update-real",
        "update of the plugin modules of six packages, all of them imported, sandboxed",
        "the Twisted guide's one-liner without a cache, no sandbox",
        *(COST, 2.5, "ms"),
        real.ours_all,
        real.theirs_all,
        runs=11,
    )
    yield Task(
        "floor-real",
        "the imports of each of these packages by an interpreter of its own, and nothing more",
        "the one-liner without a cache",
        *(COST, None, "ms"),
        real.imports,
        real.theirs_all,
        runs=7,
    )
    yield Task(
        "update-upgraded",
        "update after an upgrade of one of these packages, daphne, sandboxed",
        "the one-liner, its cache being fresh for the others",
        *(COST, 1, "ms"),
        real.ours_upgraded,
        real.theirs_upgraded,
        runs=11,
    )


def _commands(sites: Sites) -> Iterator[Task]:
    def run(environment: Environment, *command: str) -> Sample:
        program = [environment.python, "-I", str(environment.path / "bin" / command[0])]
        return _wall(sites.runner.run([*_user(), *program, *command[1:]]))

    for name in ("twistd", "twist"):
        yield Task(
            f"command-{name}",
            f"`{name} --help` of stock Twisted with the cache that an update has written",
            "the same without a cache, by a user who cannot write one",
            *(FASTER, None, "ms"),
            functools.partial(run, sites.fresh, name, "--help"),
            functools.partial(run, sites.uncached, name, "--help"),
            runs=9,
        )


def _triggers(sites: Sites) -> Iterator[Task]:
    def nothing() -> Sample:
        return sites.runner.run([sites.stock.python, "-I", "-c", "pass"], silent=True).sample

    def by_pip() -> Sample:
        sites.runner.remember(sites.twisted.path.name)
        program = str(sites.twisted.path / "bin" / "dropin-cache")
        return sites.runner.run([program, *TRIGGER], silent=True).sample

    def bare() -> Sample:
        return sites.runner.run([*_user(), sites.stock.python, "-I", "-c", "pass"]).sample

    def checked() -> Sample:
        sites.runner.remember(sites.twisted.path.name)
        return sites.runner.run([*_user(), sites.twisted.script, "check"]).sample

    work, against = "update --trigger, nothing changed, ", "`python3 -I -c pass`"
    yield Task(
        "trigger-18",
        work + "Twisted's 18 drop-ins",
        against,
        *(COST, 1.2, "ms"),
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
    yield Task(
        "check-nobody",
        "check, nothing changed, Twisted's 18 drop-ins, by nobody",
        "`python3 -I -c pass` by nobody",
        *(COST, 2, "ms"),
        checked,
        bare,
        runs=25,
    )


class _Updates:
    """Updates of the same plugin modules, each side in an environment of its own."""

    def __init__(self, sites: Sites, ours: Environment, theirs: Environment) -> None:
        self._sites, self._ours, self._theirs = sites, ours, theirs

    def ours_all(self) -> Sample:
        self._ours.forget()
        return _wall(self._sites.command(self._ours, "update", "-q", "--force"))

    def ours_by_one(self) -> Sample:
        """Do the same on one processor."""
        everywhere = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(everywhere)})  # which those that are started inherit
        try:
            return self.ours_all()
        finally:
            os.sched_setaffinity(0, everywhere)

    def theirs_all(self) -> Sample:
        self._theirs.forget()
        return _wall(self._sites.one_liner(self._theirs))

    def ours_upgraded(self) -> Sample:
        _upgrade(self._ours)
        return _wall(self._sites.command(self._ours, "update", "-q"))

    def theirs_upgraded(self) -> Sample:
        _upgrade(self._theirs)
        return _wall(self._sites.one_liner(self._theirs))

    def imports(self) -> Sample:
        """Import what each owner has, as many owners at once as there are processors."""
        count = str(len(os.sched_getaffinity(0)))
        command = [self._theirs.python, "-I", "-B", "-c", _IMPORTS, count]
        return _wall(self._sites.runner.run(command, silent=True))


def _user() -> tuple[str, ...]:
    """Return what makes a command an ordinary user's."""
    return _NOBODY if os.geteuid() == 0 else ()


def _upgrade(environment: Environment) -> None:
    """Write daphne's files again, as an upgrade does: new files, compiled, and another date."""
    (metadata,) = environment.site.glob("daphne-*.dist-info")
    package = environment.site / "daphne"
    module = environment.plugins / "fd_endpoint.py"
    for file in (module, *package.rglob("*.py"), *metadata.iterdir()):
        if file.is_file():
            content = file.read_bytes()
            file.unlink()
            file.write_bytes(content)
    os.utime(environment.site)
    compile_all(package)
    compile_all(module)
    time.sleep(SETTLED)


def _wall(spent: Spent) -> Sample:
    # What is in a process namespace when that ends is waited for by nobody, so the processor time
    # of a sandbox is not all known.
    return Sample(spent.wall)
