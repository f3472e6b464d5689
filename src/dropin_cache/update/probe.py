"""Ask an interpreter what its plugin packages and drop-ins are, whatever those do to it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Callable, Union

from dropin_cache._text import one_line
from dropin_cache.errors import InterpreterError, PackageBrokenError, ZopeInterfaceMissingError
from dropin_cache.update import answers
from dropin_cache.update.answers import AnswerError, Description, Failure
from dropin_cache.update.child import Child, ChildError
from dropin_cache.update.sandbox import Unconfined

OLDEST_PYTHON = (3, 9)

_START_TIMEOUT = 30.0  # seconds; how long an import may take says nothing about an interpreter

Outcome = Union[Description, Failure]


class Probe:
    """An interpreter that imports drop-ins, in as many children as it takes."""

    def __init__(self, python: str, paths: Sequence[str], timeout: float) -> None:
        """Start the interpreter.

        Args:
            python: Path of the interpreter.
            paths: Directories to import from, in front of its own.
            timeout: How long one import may take, seconds.

        Raises:
            InterpreterError: It is none, does not start, or is too old.
            ZopeInterfaceMissingError: It cannot have plugins.
        """
        self.python = python
        self._paths = paths
        self._timeout = timeout
        self._child: Child | None = None
        # Whether the child has imported a drop-in, and whether the last one was its first.
        self._used = self._alone = False
        self.import_roots = self._start()

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

    def locate(self, package: str) -> tuple[str, ...] | None:
        """Find a plugin package.

        Returns:
            Its `__path__`, or None if it is not installed.

        Raises:
            PackageBrokenError: It is there and cannot be imported.
        """
        found = self._ask({"do": "package", "name": package}, answers.package_from_untrusted)
        if isinstance(found, Failure):
            raise PackageBrokenError(package, found.error, found.traceback)
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
            if isinstance(outcomes[module], Failure) and not self._alone:
                # It may be another's doing, which has run in the same child before.
                self.restart()
                outcomes[module] = self._describe(module)
        return outcomes

    def _describe(self, module: str) -> Outcome:
        self._running()
        self._alone, self._used = not self._used, True
        request = {"do": "module", "name": module}
        return self._ask(request, answers.module_from_untrusted)  # type: ignore[no-any-return]

    def _running(self) -> Child:
        """Return the child, a new one if there is none."""
        if self._child is None:
            self._start()
        return self._child  # type: ignore[return-value]  # _start has set it

    def _start(self) -> tuple[str, ...]:
        self._used = False
        try:
            self._child = Child(Unconfined().launch(self.python))
            return self._fit_path(self._child)
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

    def _fit_path(self, child: Child) -> tuple[str, ...]:
        """Return the interpreter's `sys.path` if it is fit to import drop-ins."""
        request = {"do": "start", "path": [os.path.abspath(path) for path in self._paths]}
        line = child.ask(json.dumps(request).encode(), max(self._timeout, _START_TIMEOUT))
        try:
            start = answers.start_from_untrusted(line)
        except AnswerError as error:
            raise InterpreterError(self.python, f"it answered nonsense: {error}") from error
        if start.version < OLDEST_PYTHON:
            version, oldest = (".".join(map(str, v)) for v in (start.version, OLDEST_PYTHON))
            raise InterpreterError(self.python, f"it is Python {version}, older than {oldest}")
        if not start.zope:
            raise ZopeInterfaceMissingError(self.python)
        return start.path

    def _ask(self, request: dict[str, Any], validate: Callable[[bytes], Any]) -> Any:
        """Put a question to the child; whatever goes wrong with it is a `Failure`."""
        child = self._running()
        try:
            return validate(child.ask(json.dumps(request).encode(), self._timeout))
        except ChildError as error:
            self._child = None
            return Failure(one_line(error.reason), error.output)
        except AnswerError as error:
            self.restart()  # it may be out of step, or worse
            return Failure(f"it tampered with its description: {error}")
