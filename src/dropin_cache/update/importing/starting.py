"""Starting a child in the best sandbox that works, and finding out what the interpreter is."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Sequence
from errno import EACCES, EINTR, EINVAL, ENOSYS, EPERM
from typing import Any, Callable

from dropin_cache.errors import (
    ConfinementError,
    DropinCacheError,
    ForeignInterpreterError,
    InterpreterError,
    UntrustedError,
    ZopeInterfaceMissingError,
)
from dropin_cache.update.discovery.interpreters import OLDEST_PYTHON, Interpreter, Start
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing import answers
from dropin_cache.update.importing.answers import AnswerError, ChildError
from dropin_cache.update.importing.child import Child
from dropin_cache.update.importing.records import Failure, Outcome
from dropin_cache.update.importing.unseen import Sight
from dropin_cache.update.sandbox.choice import UNCONFINED, Confinement
from dropin_cache.update.sandbox.filter import another_machine
from dropin_cache.update.sandbox.launch import Sandbox, child_account
from dropin_cache.update.sandbox.visible import View
from dropin_cache.update.state.observations import Observed
from dropin_cache.update.text import one_line

_START_TIMEOUT = 120.0  # seconds; how long an import may take says nothing about an interpreter
_BACKSTOP = 4.0  # how much more time may pass than the processor works


class Session:
    """A child, and what it has told about what it looked at."""

    def __init__(self, child: Child) -> None:
        """Take over a child that has been started."""
        self._child = child
        self._paths: list[tuple[str, ...]] = []
        self._observed: list[Observed] = []

    def ask(self, request: dict[str, Any], timeout: float, validate: Any) -> Any:
        """Put a question to the child and return the answer, validated.

        Raises:
            ChildError: It has ended, or was ended, without a valid answer.
        """
        return self._validated(lambda: self._child.ask(request, timeout), validate)

    def _validated(self, ask: Callable[[], dict[str, Any]], validate: Any) -> Any:
        try:
            answer = ask()
            result = validate(answer)
            self._observed.append(answers.observed_from_untrusted(answer, self._paths))
        except AnswerError as error:
            self.close()  # it may be out of step, or worse
            raise ChildError(f"it tampered with its description: {error}", "", False) from error  # noqa: FBT003
        except ChildError:
            self.close()
            raise
        if isinstance(result, Failure) and not result.traceback:
            return result._replace(traceback=self._child.output())
        return result

    @property
    def observed(self) -> Observed:
        """What was looked at so far."""
        return Observed.of_all(self._observed)

    def kill(self) -> None:
        """Have the child end soon, for another thread that waits for it."""
        self._child.kill()

    def close(self) -> None:
        """End the child, and everything it started."""
        self._child.close()

    def begin_import(self, module: str, processor: float) -> None:
        """Have a plugin module imported, behind those that are on their way.

        Args:
            module: Its dotted name.
            processor: How much processor time it may take, seconds.

        Raises:
            ChildError: The child does not read.
        """
        request = {"do": "module", "name": module, "processor": processor}
        self._child.send(request, processor * _BACKSTOP)

    def end_import(self, module: str, processor: float) -> Outcome:
        """Return what the module is, of those on their way the first.

        Raises:
            ChildError: It has taken the child with it.
        """
        outcome: Outcome = self._validated(
            lambda: self._child.receive(module, processor * _BACKSTOP, processor),
            answers.module_from_untrusted,
        )
        return outcome

    def locate(self, package: str, processor: float) -> tuple[str, ...] | Failure | None:
        """Import a plugin package and return its `__path__`; None if it is not there."""
        request = {"do": "package", "name": package, "processor": processor}
        found: tuple[str, ...] | Failure | None
        found = self.ask(request, processor * _BACKSTOP, answers.package_from_untrusted)
        return found

    def resolve(self, module: str, names: list[str], processor: float) -> tuple[str, ...] | None:
        """Import a module of interfaces and return those of the names that are some.

        None stands for a failure that has reasons of the moment.
        """
        request = {"do": "resolve", "name": module, "names": names, "processor": processor}
        found = self.ask(request, processor * _BACKSTOP, answers.resolved_from_untrusted)
        if isinstance(found, Failure):
            return None if found.passing else ()
        return tuple(found)


class Starter:
    """Starts children, for several threads."""

    def __init__(
        self,
        confinement: Confinement,
        files: Files,
        root: str | None,
        meanwhile: Callable[[], object] | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            confinement: The sandbox.
            files: How to open what children may see.
            root: A directory that is taken for `/`, or None.
            meanwhile: What to do, in a thread, while the first child starts.
        """
        self._confinement, self._files, self._root = confinement, files, root
        self._meanwhile = meanwhile
        self._lock = threading.Lock()
        self._views: dict[str, View] = {}
        self._sights: dict[str, Sight] = {}

    def start(self, interpreter: Interpreter) -> Session:
        """Start a child that is about to import.

        Raises:
            InterpreterError: It does not start.
            NoSandboxError, ConfinementError: It must not be started.
        """
        return self._started(interpreter, asked=False)[0]

    def ask(self, interpreter: Interpreter) -> tuple[Start, Session]:
        """Start a child, and ask it what the interpreter is.

        Raises:
            InterpreterError: It is none, does not start, or is too old.
            ZopeInterfaceMissingError: It cannot have plugins.
            NoSandboxError, ConfinementError: It must not be asked.
        """
        session, start = self._started(interpreter, asked=True)
        assert start is not None  # noqa: S101 - it was asked for; for the type checker
        path, files = (self.visible(interpreter, each) for each in (start.path, start.files))
        # What is not there at all may come, and be shown then.
        missing = (each for each in start.files if not os.path.lexists(each))
        start = start._replace(path=path, files=(*files, *missing))
        try:
            _require_fit(interpreter, start)
        except DropinCacheError:
            session.close()
            raise
        return start, session

    def visible(self, interpreter: Interpreter, paths: Iterable[str]) -> tuple[str, ...]:
        """Return those of some paths that a child can see.

        It cannot have imported anything from others, whatever it says.
        """
        view = self._view(interpreter)
        return tuple(paths) if view is None else view.covered(paths)

    def plugin_path(self, interpreter: Interpreter, paths: Sequence[str]) -> tuple[str, ...]:
        """Return those of the directories on a plugin package's path that there is reason to name.

        Children see nothing in those that are not shown. One that nobody else can change could be
        shown, if somebody who is told of it allows that.
        """
        shown = set(self.visible(interpreter, paths))
        return tuple(path for path in paths if path in shown or self._is_reliable(path))

    def awaited(self, interpreter: Interpreter, paths: Sequence[str]) -> Observed:
        """Return what tells that one of those that are not shown has appeared: its name."""
        shown = set(self.visible(interpreter, paths))
        missing = [each for each in paths if each not in shown and not self._files.kind(each)]
        parts = map(os.path.split, missing)
        return Observed(names=frozenset((name, (place,)) for place, name in parts))

    def _is_reliable(self, directory: str) -> bool:
        with contextlib.suppress(OSError, UntrustedError):
            os.close(self._files.directory(directory))
            return True
        return False

    def unseen(self, interpreter: Interpreter, observed: Observed, files: Files) -> tuple[str, ...]:
        """Return what imports looked at in vain though it is there; see `Sight`."""
        view = self._view(interpreter)
        if view is None:
            return ()
        if interpreter.key not in self._sights:
            sandbox = self._confinement.chosen()
            account = None if sandbox.user is None else child_account()
            closed = sandbox.tier == "landlock"
            self._sights[interpreter.key] = Sight(view, account, files, on_the_way=closed)
        return self._sights[interpreter.key].unseen(observed)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What children should see, and cannot, because it is too much."""
        return tuple(path for view in self._views.values() for path in view.left_out)

    def _started(self, interpreter: Interpreter, *, asked: bool) -> tuple[Session, Start | None]:
        while True:
            with self._lock:
                sandbox = self._confinement.chosen()
            try:
                return self._session(interpreter, sandbox, asked=asked)
            except (OSError, ChildError) as error:
                with self._lock:
                    another = _says_no(error) and self._confinement.doubted(sandbox)
                if not another:
                    self._require_same_machine(interpreter.python)
                    reason = _reason_of(error)
                    raise InterpreterError(interpreter.python, reason) from _cause_of(error)

    def _require_same_machine(self, python: str) -> None:
        """Say so where an interpreter is for another kind of machine: others may be misled.

        Asked only of one that does not start, since the kernel may know a program that runs it.
        """
        with contextlib.suppress(OSError, UntrustedError):
            machine = another_machine(self._files.file(python))
            if machine is not None:
                raise ForeignInterpreterError(python, machine)

    def _session(
        self, interpreter: Interpreter, sandbox: Sandbox, *, asked: bool
    ) -> tuple[Session, Start | None]:
        launch = sandbox.launch(interpreter.python, self._view(interpreter))
        session = Session(Child(launch))
        self._begin_meanwhile()
        try:
            request = {
                "do": "start",
                "path": list(interpreter.paths),
                "more": list(interpreter.more),
                "tier": sandbox.tier,
                "user": sandbox.user,
                "closed": [*self._confinement.closed, *interpreter.paths],
                "writable": list(launch.writable),
                "asked": asked,
            }
            started = session.ask(request, _START_TIMEOUT, answers.started_from_untrusted)
        except BaseException:  # Ctrl-C included
            session.close()
            raise
        if started.promises:
            session.close()
            raise ConfinementError(sandbox.tier, started.promises)
        return session, started.start

    def _begin_meanwhile(self) -> None:
        """Begin what there is to do while children start; whoever needs it does it otherwise."""
        with self._lock:
            todo, self._meanwhile = self._meanwhile, None
        if todo is not None:
            # A user may have as many threads as the limits of processes and of memory leave.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=todo).start()

    def _view(self, interpreter: Interpreter) -> View | None:
        """Return what the children of an interpreter may see; None for what this process sees."""
        if self._confinement.allowed == (UNCONFINED,):
            return None  # who may do what this process may sees what this process sees
        with self._lock:
            if interpreter.key not in self._views:
                roots = [*interpreter.paths, *interpreter.more, *interpreter.shown]
                self._views[interpreter.key] = View.of(
                    interpreter.python, roots, root=self._root, files=self._files
                )
            return self._views[interpreter.key]


def _says_no(error: OSError | ChildError) -> bool:
    """Tell whether it can be the sandbox that does not work; or is it the state of the system?"""
    return isinstance(error, ChildError) or error.errno in {EPERM, EACCES, ENOSYS, EINVAL}


def _reason_of(error: OSError | ChildError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    first = one_line(" ".join(error.output.strip().splitlines()[:1]))
    return f"it did not start as a Python interpreter: {first or error.reason}"


def _cause_of(error: OSError | ChildError) -> Exception:
    """Return what tells whether the interpreter is to blame, or the system has failed."""
    if isinstance(error, ChildError) and error.passing:  # killed, or kept waiting
        return OSError(EINTR, error.reason)
    return error


def _require_fit(interpreter: Interpreter, start: Start) -> None:
    """Require an interpreter that can import plugin modules."""
    if start.version < OLDEST_PYTHON:
        version, oldest = (".".join(map(str, v)) for v in (start.version, OLDEST_PYTHON))
        raise InterpreterError(interpreter.python, f"it is Python {version}, older than {oldest}")
    if not start.zope:
        raise ZopeInterfaceMissingError(interpreter.python, start.path)
