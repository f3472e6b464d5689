"""Ask an interpreter what its plugin packages and drop-ins are, whatever those do to it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Union

from dropin_cache._text import one_line
from dropin_cache.errors import (
    ConfinementError,
    InterpreterError,
    PackageBrokenError,
    ZopeInterfaceMissingError,
)
from dropin_cache.update import answers
from dropin_cache.update.answers import AnswerError, ChildError
from dropin_cache.update.memory import Memory
from dropin_cache.update.records import Description, Failure, Start
from dropin_cache.update.sandbox import Confinement, Sandbox
from dropin_cache.update.view import View

if TYPE_CHECKING:
    from dropin_cache.update.child import Child

OLDEST_PYTHON = (3, 9)

_START_TIMEOUT = 30.0  # seconds; how long an import may take says nothing about an interpreter

Outcome = Union[Description, Failure]


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
        """Prepare to ask; nothing is started yet.

        Args:
            python: Path of the interpreter.
            paths: Directories to import from, in front of its own.
            more_paths: Directories to import from, behind its own.
            timeout: How long one import may take, seconds.
            confinement: The sandbox.
            memory: What is known of the interpreter.
            view: What its children may see; None for what this process sees.
        """
        self.python = python
        self.memory = memory
        self._paths, self._more_paths, self._timeout = paths, more_paths, timeout
        self._confinement, self._view = confinement, view
        self._child: Child | None = None
        self._start: Start | None = memory.start
        # Whether the child has imported a drop-in, and whether the last one was its first.
        self._used = self._alone = False
        self._apart = False  # whether drop-ins are kept from each other in the child
        self._warm: str | None = None  # the plugin package that the child has imported

    def __enter__(self) -> Probe:  # noqa: PYI034 - typing has Self from Python 3.11
        """Return the probe itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the child."""
        self.restart()

    def restart(self) -> None:
        """Forget all modules: the next question goes to a new child."""
        if self._child is not None:
            self._child.close()
            self._child = None

    @property
    def start(self) -> Start:
        """What the interpreter is; asked of a child where the ledger does not know it.

        Raises:
            InterpreterError: It is none, does not start, or is too old.
            ZopeInterfaceMissingError: It cannot have plugins.
            NoSandboxError, ConfinementError: It must not be asked.
        """
        if self._start is None:
            self._running()
        assert self._start is not None  # noqa: S101 - what runs has answered; for the type checker
        return self._start

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
        found = self._ask({"do": "package", "name": package}, answers.package_from_untrusted)
        if isinstance(found, Failure):
            self.memory.forget_package(package)
            raise PackageBrokenError(package, found.error, found.traceback)
        self.memory.note_package(package, found)
        return found  # type: ignore[no-any-return]  # package_from_untrusted has checked it

    def describe(
        self, modules: Sequence[str], progress: Callable[[int, int, str], object]
    ) -> dict[str, Outcome]:
        """Import drop-ins.

        One that ends its child, or has to be ended with it, costs nobody else anything: those
        after it go to a new child.

        Args:
            modules: Dotted names.
            progress: Called before each import with its number, their count and the name.

        Returns:
            What each of them is, or why it failed.
        """
        outcomes: dict[str, Outcome] = {}
        for number, module in enumerate(modules):
            progress(number, len(modules), module)
            outcomes[module] = self._describe(module)
            shared = self._child is None or not self._apart
            if isinstance(outcomes[module], Failure) and shared and not self._alone:
                # It may be another's doing, which has run in the same child before.
                self.restart()
                outcomes[module] = self._describe(module)
        return outcomes

    def _describe(self, module: str) -> Outcome:
        package = module.rpartition(".")[0]
        if self._warm not in {None, package}:
            self.restart()  # one package's code has no say in what another's drop-ins are
        self._running()
        if self._apart and self._warm is None:
            self._warm = package
            self._ask({"do": "warm", "name": package}, lambda _: None)
            self._running()
        self._alone, self._used = not self._used, True
        request = {"do": "module", "name": module}
        return self._ask(request, answers.module_from_untrusted)  # type: ignore[no-any-return]

    def _running(self) -> Child:
        """Return the child, a new one if there is none."""
        if self._child is None:
            self._start = self._started()
            self.memory.note_start(self._start)
        return self._child  # type: ignore[return-value]  # _started has set it

    def _started(self) -> Start:
        # Most runs need no child, and so none of what it takes to have one.
        from dropin_cache.update.child import Child  # noqa: PLC0415

        self._used, self._warm = False, None
        sandbox = self._confinement.chosen()
        self._apart = sandbox.tier != "none"
        launch = sandbox.launch(self.python, self._view)
        self.memory.starting()
        try:
            self._child = Child(launch)
            return self._fit(self._child, sandbox)
        except OSError as error:
            raise InterpreterError(self.python, error.strerror or str(error)) from error
        except ChildError as error:
            self._child = None
            first = one_line(" ".join(error.output.strip().splitlines()[:1]))
            reason = "it did not start as a Python interpreter"
            raise InterpreterError(self.python, f"{reason}: {first or error.reason}") from error
        except BaseException:  # Ctrl-C included
            self.restart()
            raise

    def _fit(self, child: Child, sandbox: Sandbox) -> Start:
        """Return what the interpreter is, if it is fit to import drop-ins."""
        request = {
            "do": "start",
            "path": list(self._paths),
            "more": list(self._more_paths),
            "tier": sandbox.tier,
            "user": sandbox.user,
            "alone": sandbox.alone,
            "closed": list(self._confinement.closed),
        }
        try:
            answer = _exchange(child, request, max(self._timeout, _START_TIMEOUT))
            promises = answers.promises_from_untrusted(answer)
            if promises:
                raise ConfinementError(sandbox.tier, promises)
            start = answers.start_from_untrusted(answer)
            self._note_imports(answer)
        except AnswerError as error:
            raise InterpreterError(self.python, f"it answered nonsense: {error}") from error
        if start.version < OLDEST_PYTHON:
            version, oldest = (".".join(map(str, v)) for v in (start.version, OLDEST_PYTHON))
            raise InterpreterError(self.python, f"it is Python {version}, older than {oldest}")
        if not start.zope:
            raise ZopeInterfaceMissingError(self.python)
        # What a child cannot see, it cannot have imported from, whatever it says.
        path, files = (tuple(filter(self._can_see, each)) for each in (start.path, start.files))
        return start._replace(path=path, files=files)

    def _ask(self, request: dict[str, Any], validate: Callable[[dict[str, Any]], Any]) -> Any:
        """Put a question to the child; whatever goes wrong with it is a `Failure`."""
        child = self._running()
        try:
            answer = _exchange(child, request, self._timeout)
            result = validate(answer)
            self._note_imports(answer)
            if isinstance(result, Failure) and not result.traceback:
                return result._replace(traceback=child.output())
        except ChildError as error:
            self._child = None
            return Failure(one_line(error.reason), error.output)
        except AnswerError as error:
            self.restart()  # it may be out of step, or worse
            return Failure(f"it tampered with its description: {error}")
        return result

    def _note_imports(self, answer: dict[str, Any]) -> None:
        graph = answers.imports_from_untrusted(answer)
        self.memory.note_imports(
            {
                name: module if self._can_see(module.file) else module._replace(file=None)
                for name, module in graph.items()
            }
        )

    def _can_see(self, file: Any) -> bool:
        """Tell whether the children can read a file; one that is missing, they can miss."""
        return self._view is None or not file or self._view.covers(file)


def _exchange(child: Child, request: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Send a request and return its answer, parsed."""
    token = os.urandom(8).hex()
    line = child.ask(json.dumps({**request, "token": token}).encode(), timeout)
    return answers.from_untrusted(line, token)
