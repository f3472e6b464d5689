"""One of the children that an interpreter imports drop-ins in, replaced when it is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Union

from dropin_cache.errors import ConfinementError, InterpreterError, ZopeInterfaceMissingError
from dropin_cache.update.importing import answers
from dropin_cache.update.importing.answers import AnswerError, ChildError
from dropin_cache.update.importing.multiplex import Turn
from dropin_cache.update.importing.records import Description, Failure, Start
from dropin_cache.update.sandbox.choice import Confinement, Sandbox
from dropin_cache.update.sandbox.visible import View
from dropin_cache.update.state.dependencies import Memory
from dropin_cache.update.text import one_line

if TYPE_CHECKING:
    from dropin_cache.update.importing.child import Child

OLDEST_PYTHON = (3, 9)

_START_TIMEOUT = 30.0  # seconds; how long an import may take says nothing about an interpreter

Outcome = Union[Description, Failure]


class Setting(NamedTuple):
    """What children are made from.

    Attributes:
        python: Path of the interpreter.
        paths: Directories to import from, in front of its own.
        more_paths: Directories to import from, behind its own.
        timeout: How long one import may take, seconds.
        confinement: The sandbox.
        memory: What is known of the interpreter.
        view: What the children may see; None for what this process sees.
    """

    python: str
    paths: Sequence[str]
    more_paths: Sequence[str]
    timeout: float
    confinement: Confinement
    memory: Memory
    view: View | None

    def can_see(self, file: Any) -> bool:
        """Tell whether the children can read a file; one that is missing, they can miss."""
        return self.view is None or not file or self.view.covers(file)

    def note_imports(self, answer: dict[str, Any]) -> None:
        """Keep what an answer tells about who imports whom."""
        graph = answers.imports_from_untrusted(answer)
        self.memory.note_imports(
            {
                name: module if self.can_see(module.file) else module._replace(file=None)
                for name, module in graph.items()
            }
        )


class Lane:
    """A child, started when it is needed; after it, another one.

    Attributes:
        start: What the last child was; None if there has been none.
        apart: Whether drop-ins are kept from each other in the child.
    """

    def __init__(self, setting: Setting) -> None:
        """Start nothing yet."""
        self.start: Start | None = None
        self.apart = False
        self._setting = setting
        self._child: Child | None = None
        # Whether the child has imported a drop-in, and whether the last one was its first.
        self._used = self._alone = False
        self._warm: str | None = None  # the plugin package that the child has imported

    @property
    def running(self) -> bool:
        """Whether there is a child now."""
        return self._child is not None

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def run(self) -> Turn[Child]:
        """Return the child, a new one if there is none.

        Raises:
            InterpreterError: It is none, does not start, or is too old.
            ZopeInterfaceMissingError: It cannot have plugins.
            NoSandboxError, ConfinementError: It must not be asked.
        """
        if self._child is None:
            self.start = yield from self._started()
            self._setting.memory.note_start(self.start)
        return self._child  # type: ignore[return-value]  # _started has set it

    def ask(self, request: dict[str, Any], validate: Callable[[dict[str, Any]], Any]) -> Turn[Any]:
        """Put a question to the child; whatever goes wrong with it is a `Failure`."""
        child = yield from self.run()
        try:
            answer = yield from _exchange(child, request, self._setting.timeout)
            result = validate(answer)
            self._setting.note_imports(answer)
            if isinstance(result, Failure) and not result.traceback:
                return result._replace(traceback=child.output())
        except ChildError as error:
            self._child = None
            return Failure(one_line(error.reason), error.output)
        except AnswerError as error:
            self.close()  # it may be out of step, or worse
            return Failure(f"it tampered with its description: {error}")
        return result

    def describe(self, module: str) -> Turn[Outcome]:
        """Import a drop-in; return what it is, or why it failed."""
        outcome = yield from self._describe(module)
        shared = self._child is None or not self.apart
        if isinstance(outcome, Failure) and shared and not self._alone:
            # It may be another's doing, which has run in the same child before.
            self.close()
            outcome = yield from self._describe(module)
        return outcome

    def _describe(self, module: str) -> Turn[Outcome]:
        package = module.rpartition(".")[0]
        if self._warm not in {None, package}:
            self.close()  # one package's code has no say in what another's drop-ins are
        yield from self.run()
        if self.apart and self._warm is None:
            self._warm = package
            yield from self.ask({"do": "warm", "name": package}, lambda _: None)
            yield from self.run()
        self._alone, self._used = not self._used, True
        request = {"do": "module", "name": module}
        outcome: Outcome = yield from self.ask(request, answers.module_from_untrusted)
        return outcome

    def _started(self) -> Turn[Start]:
        # Most runs need no child, and so none of what it takes to have one.
        from dropin_cache.update.importing.child import Child  # noqa: PLC0415

        setting = self._setting
        self._used, self._warm = False, None
        while True:
            sandbox = setting.confinement.chosen()
            self.apart = sandbox.tier != "none"
            launch = sandbox.launch(setting.python, setting.view)
            setting.memory.starting()
            try:
                self._child = Child(launch)
                return (yield from self._fit(self._child, sandbox))
            except OSError as error:
                raise InterpreterError(setting.python, error.strerror or str(error)) from error
            except ChildError as error:
                self._child = None
                if not setting.confinement.doubted(sandbox):
                    first = one_line(" ".join(error.output.strip().splitlines()[:1]))
                    reason = f"it did not start as a Python interpreter: {first or error.reason}"
                    raise InterpreterError(setting.python, reason) from error
            except BaseException:  # Ctrl-C included
                self.close()
                raise

    def _fit(self, child: Child, sandbox: Sandbox) -> Turn[Start]:
        """Return what the interpreter is, if it is fit to import drop-ins."""
        setting = self._setting
        python = setting.python
        request = {
            "do": "start",
            "path": list(setting.paths),
            "more": list(setting.more_paths),
            "tier": sandbox.tier,
            "user": sandbox.user,
            "alone": sandbox.alone,
            "closed": list(setting.confinement.closed),
        }
        try:
            answer = yield from _exchange(child, request, max(setting.timeout, _START_TIMEOUT))
            promises = answers.promises_from_untrusted(answer)
            if promises:
                raise ConfinementError(sandbox.tier, promises)
            start = answers.start_from_untrusted(answer)
            setting.note_imports(answer)
        except AnswerError as error:
            raise InterpreterError(python, f"it answered nonsense: {error}") from error
        if start.version < OLDEST_PYTHON:
            version, oldest = (".".join(map(str, v)) for v in (start.version, OLDEST_PYTHON))
            raise InterpreterError(python, f"it is Python {version}, older than {oldest}")
        if not start.zope:
            raise ZopeInterfaceMissingError(python)
        # What a child cannot see, it cannot have imported from, whatever it says.
        path, files = (tuple(filter(setting.can_see, each)) for each in (start.path, start.files))
        return start._replace(path=path, files=files)


def _exchange(child: Child, request: dict[str, Any], timeout: float) -> Turn[dict[str, Any]]:
    """Send a request and return its answer, parsed."""
    token = os.urandom(8).hex()
    line = yield from child.ask(json.dumps({**request, "token": token}).encode(), timeout)
    return answers.from_untrusted(line, token)
