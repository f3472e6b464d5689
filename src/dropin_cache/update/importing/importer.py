"""Have interpreters import plugin modules: each owner's together, and in a sandbox of their own."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Callable

from dropin_cache.errors import DropinCacheError, PackageBrokenError
from dropin_cache.update.discovery.interpreters import Interpreter, Start
from dropin_cache.update.files.failures import is_failure
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing.answers import ChildError
from dropin_cache.update.importing.records import Failure, Imported, Job, Outcome
from dropin_cache.update.importing.starting import Session, Starter
from dropin_cache.update.importing.threads import Task, in_threads
from dropin_cache.update.sandbox.choice import Confinement
from dropin_cache.update.state.observations import Observed
from dropin_cache.update.text import one_line

Progress = Callable[[int, int, str], object]

_PATIENCE = 8.0  # of an owner, in times of the processor time that one import may take
_AHEAD = 32  # modules that a child is told of before it has answered

MAX_DESCRIPTIONS = 32 << 20
"""Characters in the descriptions of one owner's plugin modules."""


class Importer:
    """The children of a run. They end with it."""

    def __init__(
        self,
        confinement: Confinement,
        files: Files,
        root: str | None,
        processor: float,
        meanwhile: Callable[[], object] | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            confinement: The sandbox.
            files: How to open what children may see.
            root: A directory that is taken for `/`, or None.
            processor: How much processor time one import may take, seconds.
            meanwhile: What to do, in a thread, while the first child starts.
        """
        self._confinement, self._processor = confinement, processor
        self._patience = _PATIENCE * processor
        self._starter = Starter(confinement, files, root, meanwhile)
        # Children that have not run anybody's code, and those that have that of a plugin package.
        self._fresh: dict[str, Session] = {}
        self._warm: dict[tuple[str, str], Session] = {}
        self._stopped = threading.Event()
        self._running: set[Session] = set()

    def __enter__(self) -> Importer:  # noqa: PYI034 - typing has Self from Python 3.11
        """Return the importer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the children."""
        self.restart()
        for session in list(self._running):  # this process was interrupted
            self._end(session)

    def restart(self) -> None:
        """End the children: the next question goes to a new one."""
        for sessions in (self._fresh, self._warm):
            while sessions:
                sessions.popitem()[1].close()

    @property
    def setting(self) -> str:
        """What imports are tried with: what fails with another setting may not fail with this."""
        limits = " ".join(map(str, self._confinement.limits))
        return f"{self._confinement.chosen().tier} {self._processor:g} {limits}"

    @property
    def left_out(self) -> tuple[str, ...]:
        """Directories that children should see, and cannot, because they are too many."""
        return self._starter.left_out

    @property
    def warm(self) -> set[str]:
        """The keys of interpreters of which a child has imported a plugin package."""
        return {key for key, _ in self._warm}

    @property
    def keeps_apart(self) -> bool:
        """Whether each owner has a sandbox of its own; without one, all share a process."""
        return self._confinement.chosen().tier != "none"

    def ask(self, interpreter: Interpreter) -> Start:
        """Ask an interpreter what it is; errors are those of `Starter.ask`."""
        start, session = self._starter.ask(interpreter)
        self._fresh[interpreter.key] = session
        return start

    def locate(
        self, interpreter: Interpreter, package: str
    ) -> tuple[tuple[str, ...] | None, Observed]:
        """Find a plugin package.

        Returns:
            Its `__path__`, None if it is not installed; and what its import looked at.

        Raises:
            PackageBrokenError: It is there and cannot be imported.
            InterpreterError, NoSandboxError, ConfinementError: As for `ask`.
        """
        session = self._fresh.pop(interpreter.key, None) or self._starter.start(interpreter)
        try:
            with self._another_started(interpreter):
                found = session.locate(package, self._processor)
        except ChildError as error:
            raise PackageBrokenError(package, one_line(error.reason), error.output) from error
        if isinstance(found, Failure):
            session.close()
            raise PackageBrokenError(package, found.error, found.traceback)
        if found is None:
            session.close()
        else:
            self._warm[interpreter.key, package] = session
            awaited = self._starter.awaited(interpreter, found)
            found = self._starter.plugin_path(interpreter, found)
            return found, Observed.of_all([session.observed, awaited])
        return found, session.observed

    def unseen(self, interpreter: Interpreter, observed: Observed, files: Files) -> tuple[str, ...]:
        """Return what imports looked at in vain though it is there: the sandbox does not show it.

        Args:
            interpreter: Where.
            observed: What was looked at.
            files: How to look at what there is.
        """
        return self._starter.unseen(interpreter, observed, files)

    def import_all(
        self,
        jobs: Sequence[tuple[Interpreter, Job]],
        owners: dict[str, str],
        progress: Progress,
        follow_up: Callable[[Interpreter, Job, Imported], Iterable[Task]],
    ) -> dict[Job, Imported]:
        """Import the plugin modules of owners, as many at once as there are processors.

        Args:
            jobs: What to import, and where.
            owners: Whose the plugin package is, by the keys of interpreters: that owner's modules
                can go on where the package was imported.
            progress: Called before each import with its number, their count and the name.
            follow_up: Called by several threads when a job is done; returns further tasks.
        """
        done: dict[Job, Imported] = {}
        counted = _Counted(sum(len(job.modules) for _, job in jobs), progress)

        def task_of(interpreter: Interpreter, job: Job) -> Task:
            def task() -> Iterable[Task]:
                warm = None
                if job.owner == owners.get(job.interpreter, ""):
                    warm = self._warm.pop((job.interpreter, job.package), None)
                done[job] = self._import(interpreter, job, warm, counted)
                return follow_up(interpreter, job, done[job])

            return task

        # The longest first, so that no processor is without work at the end.
        tasks = [task_of(*each) for each in sorted(jobs, key=lambda each: -len(each[1].modules))]
        apart = self._confinement.chosen().apart
        in_threads(tasks, len(os.sched_getaffinity(0)) if apart else 1, self.stop)
        return done

    def resolve(
        self, interpreter: Interpreter, wanted: dict[str, list[str]]
    ) -> tuple[set[tuple[str, str]], set[str], Observed]:
        """Find out which interfaces a process that has not imported any plugin module can reach.

        Args:
            interpreter: Where.
            wanted: Names of interfaces, by the module that they are in.

        Returns:
            Those that can be reached, pairs of module and name; the modules of which that could not
            be found out, for reasons of the moment; and what was looked at.
        """
        found: set[tuple[str, str]] = set()
        undecided: set[str] = set()
        observed: list[Observed] = []
        session: Session | None = None
        lost = 0.0  # seconds
        for module, names in sorted(wanted.items()):
            if lost > self._patience:
                undecided.add(module)
                continue
            since = time.monotonic()
            try:
                session = session or self._started(interpreter)
                resolved = session.resolve(module, names, self._processor)
                if resolved is None:
                    undecided.add(module)
                else:
                    found.update((module, name) for name in resolved)
            except ChildError as error:
                undecided.update([module] if error.passing else [])
                if session is not None:
                    observed.append(self._end(session))
                session = None
                lost += time.monotonic() - since
        if session is not None:
            observed.append(self._end(session))
        return found, undecided, Observed.of_all(observed)

    def stop(self) -> None:
        """Have the threads come to their ends."""
        self._stopped.set()
        for session in list(self._running):
            session.kill()

    def _import(
        self,
        interpreter: Interpreter,
        job: Job,
        session: Session | None,
        announce: Callable[[str], None],
    ) -> Imported:
        """Import the modules of one owner, one after the other."""
        outcomes: dict[str, Outcome] = {}
        outcome: Outcome
        observed: list[Observed] = []
        first = begun = 0  # where the child began, and behind the last that it was told of
        room = MAX_DESCRIPTIONS
        lost = 0.0  # seconds, in which nothing came of it
        if session is not None:
            self._running.add(session)
        for index, module in enumerate(job.modules):
            if lost > self._patience:
                reason = "others of its owner took too long"
                outcomes[module] = Failure(reason, "", passing=True)
                continue
            announce(module)
            since = time.monotonic()
            try:
                session = session or self._started(interpreter)
                # The child goes on while this process looks at what it has answered.
                for each in job.modules[begun : index + _AHEAD]:
                    session.begin_import(each, self._processor)
                    begun += 1
                outcome = session.end_import(module, self._processor)
            except ChildError as error:
                outcome = Failure(one_line(error.reason), error.output, error.passing)
                if session is not None:
                    observed.append(self._end(session))
                session = None
                # It may be the others' doing.
                if begun - first > 1 and not self._stopped.is_set():
                    outcome, seen = self._import_alone(interpreter, module)
                    observed.append(seen)
                first = begun = index + 1
                lost += time.monotonic() - since
            room -= _size(outcome)
            if room < 0:
                most = f"{MAX_DESCRIPTIONS >> 20} MiB"
                outcome = Failure(f"with it the descriptions of its owner would exceed {most}")
            outcomes[module] = outcome
        if session is not None:
            observed.append(self._end(session))
        return Imported(outcomes, Observed.of_all(observed))

    def _import_alone(self, interpreter: Interpreter, module: str) -> tuple[Outcome, Observed]:
        """Import a module in a child of its own."""
        try:
            session = self._started(interpreter)
        except ChildError as error:
            return Failure(one_line(error.reason), error.output, error.passing), Observed()
        outcome: Outcome
        try:
            session.begin_import(module, self._processor)
            outcome = session.end_import(module, self._processor)
        except ChildError as error:
            outcome = Failure(one_line(error.reason), error.output, error.passing)
        return outcome, self._end(session)

    @contextlib.contextmanager
    def _another_started(self, interpreter: Interpreter) -> Iterator[None]:
        """Have a processor without work start the child that will most likely be wanted next."""

        def start() -> None:
            with contextlib.suppress(DropinCacheError, ChildError):  # whoever needs one is told
                self._fresh[interpreter.key] = self._starter.start(interpreter)

        thread = threading.Thread(target=start)
        if len(os.sched_getaffinity(0)) > 1 and self.keeps_apart:
            # A user may have as many threads as the limits of processes and of memory leave.
            with contextlib.suppress(RuntimeError):
                thread.start()
        try:
            yield
        finally:
            if thread.ident is not None:  # it has been started
                thread.join()

    def _started(self, interpreter: Interpreter) -> Session:
        """Start a child; that it cannot be is no fault of what was to be imported.

        Raises:
            ChildError: It cannot be started, for reasons of the moment.
        """
        try:
            session = self._fresh.pop(interpreter.key, None) or self._starter.start(interpreter)
        except DropinCacheError as error:
            if is_failure(error.__cause__):
                raise ChildError(str(error), "", True) from error  # noqa: FBT003
            raise
        self._running.add(session)
        if self._stopped.is_set():
            self._end(session)
            raise ChildError("the update was interrupted", "", True)  # noqa: FBT003
        return session

    def _end(self, session: Session) -> Observed:
        """End a child; return what its imports looked at."""
        self._running.discard(session)
        session.close()
        return session.observed


class _Counted:
    """Tells of imports with their numbers, whichever thread begins them."""

    def __init__(self, count: int, progress: Progress) -> None:
        self._count, self._progress = count, progress
        self._lock = threading.Lock()
        self._number = 0

    def __call__(self, module: str) -> None:
        with self._lock:
            self._progress(self._number, self._count, module)
            self._number += 1


def _size(outcome: Outcome) -> int:
    """Return about how many characters an outcome has."""
    if isinstance(outcome, Failure):
        return len(outcome.error) + len(outcome.traceback)
    return len(outcome.description or "") + sum(
        len(plugin.name) + len(plugin.description or "") for plugin in outcome.plugins
    )
