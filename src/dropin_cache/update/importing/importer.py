"""Ask an interpreter what its plugin packages and drop-ins are, whatever those do to it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Callable

from dropin_cache.errors import PackageBrokenError
from dropin_cache.update.importing import answers, multiplex
from dropin_cache.update.importing.multiplex import Turn
from dropin_cache.update.importing.records import Failure, Start
from dropin_cache.update.importing.worker import OLDEST_PYTHON, Lane, Outcome, Setting
from dropin_cache.update.sandbox.choice import Confinement
from dropin_cache.update.sandbox.visible import View
from dropin_cache.update.state.dependencies import Memory

__all__ = ["OLDEST_PYTHON", "Outcome", "Probe"]

_MOST_LANES = 4
_WORTH_A_LANE = 32  # drop-ins; to start a child takes as long as to import that many small ones


class Probe:
    """An interpreter that imports drop-ins, in as many children as it takes, if any at all."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that a child is made from
        self,
        python: str,
        paths: Sequence[str],
        more_paths: Sequence[str],
        timeout: float,
        confinement: Confinement,
        memory: Memory,
        view: View | None,
    ) -> None:
        """Prepare to ask; nothing is started yet. See `Setting` for the arguments."""
        self.python = python
        self.memory = memory
        self._setting = Setting(python, paths, more_paths, timeout, confinement, memory, view)
        self._lanes = [Lane(self._setting)]

    def __enter__(self) -> Probe:  # noqa: PYI034 - typing has Self from Python 3.11
        """Return the probe itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the children."""
        self.restart()

    def restart(self) -> None:
        """Forget all modules: the next question goes to a new child."""
        for lane in self._lanes:
            lane.close()

    @property
    def running(self) -> bool:
        """Whether there is a child now."""
        return any(lane.running for lane in self._lanes)

    @property
    def start(self) -> Start:
        """What the interpreter is; asked of a child where the ledger does not know it.

        Raises:
            InterpreterError: It is none, does not start, or is too old.
            ZopeInterfaceMissingError: It cannot have plugins.
            NoSandboxError, ConfinementError: It must not be asked.
        """
        first = self._lanes[0]
        if first.start is None and self.memory.start is None:
            multiplex.alone(first.run())
        known = first.start or self.memory.start
        assert known is not None  # noqa: S101 - what runs has answered; for the type checker
        return known

    @property
    def import_roots(self) -> tuple[str, ...]:
        """The directories it imports from."""
        return self.start.path

    def locate(self, package: str) -> tuple[str, ...] | None:
        """Find a plugin package.

        Returns:
            Its `__path__`, or None if it is not installed.

        Raises:
            PackageBrokenError: It is there and cannot be imported.
        """
        known = self.memory.package(package)
        if known is not ...:
            return known  # type: ignore[no-any-return]  # it is what was noted
        request = {"do": "package", "name": package}
        found = multiplex.alone(self._lanes[0].ask(request, answers.package_from_untrusted))
        if isinstance(found, Failure):
            self.memory.forget_package(package)
            raise PackageBrokenError(package, found.error, found.traceback)
        self.memory.note_package(package, found)
        return found  # type: ignore[no-any-return]  # package_from_untrusted has checked it

    def describe(
        self,
        modules: Sequence[str],
        progress: Callable[[int, int, str], object],
        meanwhile: Iterable[Turn[None]] = (),
    ) -> dict[str, Outcome]:
        """Import drop-ins.

        One that ends its child, or has to be ended with it, costs nobody else anything: those
        after it go to a new child.

        Args:
            modules: Dotted names.
            progress: Called before each import with its number, their count and the name.
            meanwhile: What this process can do while the children are at work.

        Returns:
            What each of them is, or why it failed.
        """
        outcomes: dict[str, Outcome] = {}
        left = iter(enumerate(modules))

        def work(lane: Lane, left: Iterator[tuple[int, str]]) -> Turn[None]:
            for number, module in left:
                progress(number, len(modules), module)
                outcomes[module] = yield from lane.describe(module)

        lanes = self._lanes_for(len(modules))
        multiplex.together([*(work(lane, left) for lane in lanes), *meanwhile])
        if len(lanes) > 1:
            # All are one user, who may have only so many processes: what failed may have found
            # no room because of another.
            for lane in lanes[1:]:
                lane.close()
            again = [each for each in enumerate(modules) if isinstance(outcomes[each[1]], Failure)]
            multiplex.alone(work(lanes[0], iter(again)))
        return {module: outcomes[module] for module in modules}

    def _lanes_for(self, imports: int) -> list[Lane]:
        """Return as many lanes as a number of imports is worth."""
        processors = len(os.sched_getaffinity(0))
        # Without a sandbox there is one process for all, so that is no work.
        apart = self._setting.confinement.chosen().tier != "none" if imports else False
        wanted = min(processors, _MOST_LANES, imports // _WORTH_A_LANE) if apart else 1
        while len(self._lanes) < wanted:
            self._lanes.append(Lane(self._setting))
        return self._lanes[: max(1, wanted)]
