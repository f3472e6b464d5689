"""The program of the child: import drop-ins and describe them.

It is handed to the interpreter as source, together with that of `_describe`, because the
interpreter need not have this package, nor the child the right to read it where it lies.

Protocol
    Requests come on standard input, answers go to the descriptor given as first argument; both
    are lines of ASCII JSON, one answer for each request, in order. Descriptors 0, 1 and 2 of the
    code it imports are the null device for input and whatever it was started with for output, so
    nothing that code prints can get among the answers.

    {"do": "start", "path": [DIR...]}
        Put the directories in front of sys.path.
        -> {"version": [3, 11], "zope": true, "path": [DIR...]}   (sys.path as it is then)
    {"do": "package", "name": NAME}
        Import a plugin package.
        -> {"found": [DIR...]}       its __path__
        -> {"found": null}           not installed: neither it nor a package above it
        -> {"error": LINE, "traceback": TEXT}
    {"do": "module", "name": NAME}
        Import a drop-in.
        -> {"description": TEXT or null, "warnings": [LINE...],
            "plugins": [{"name": TEXT, "description": TEXT or null,
                         "provided": [[MODULE, NAME]...], "interfaces": [DOTTED...]}...]}
        -> {"error": LINE, "traceback": TEXT}

    The child exits with status 0 when its standard input ends. A line of error is at most 500
    characters, a traceback 4,000. A module that forks is an error; its offspring is ended where
    it would have come back from the import. The child is killed when the process that started it
    ends, however that happens: it holds a pipe, the second argument, whose other end closes then.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import signal
import sys
import traceback

from dropin_cache._describe import describe, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, NoReturn

_MAX_TRACEBACK = 4000


class ForkError(Exception):
    """A module forks when it is imported."""


def _failure(error: BaseException) -> dict[str, Any]:
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
    except BaseException:  # noqa: BLE001 - the error's own methods are called for it
        lines = []
    return {"error": one_line(error), "traceback": "".join(lines)[-_MAX_TRACEBACK:]}


class _Child:
    """Answers requests, one after the other."""

    def __init__(self) -> None:
        self.forked = False
        self.pid = os.getpid()
        os.register_at_fork(before=self._note_fork)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return getattr(self, "do_" + request["do"])(request)  # type: ignore[no-any-return]
        except ForkError:
            return {"error": "it forks when it is imported", "traceback": ""}
        except BaseException as error:  # noqa: BLE001 - a drop-in may raise anything
            return _failure(error)

    def do_start(self, request: dict[str, Any]) -> dict[str, Any]:
        # Without -I, the first entry is '' for the working directory: nothing to import from.
        sys.path[:] = request["path"] + [entry for entry in sys.path if entry]
        try:
            import zope.interface  # noqa: PLC0415 - whether it is there is the answer
        except ImportError:
            zope = False
        else:
            zope = True
        path = [entry for entry in sys.path if isinstance(entry, str)]
        return {"version": list(sys.version_info[:2]), "zope": zope, "path": path}

    def do_package(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["name"]
        if not all(name.split(".")):
            return {"found": None}
        try:
            package = self._imported(name)
        except ModuleNotFoundError as error:
            # Only the package itself, or one above it; what they import in vain is an error.
            if error.name is not None and (name + ".").startswith(error.name + "."):
                return {"found": None}
            raise
        path = getattr(package, "__path__", None)
        if path is None:  # a module, no package
            return {"found": None}
        return {"found": [entry for entry in path if isinstance(entry, str)]}

    def do_module(self, request: dict[str, Any]) -> dict[str, Any]:
        return describe(self._imported(request["name"]))

    def _imported(self, name: str) -> ModuleType:
        """Import a module; one that forks is refused, and ended where it comes back twice."""
        self.forked = False
        try:
            module = importlib.import_module(name)
        finally:
            if os.getpid() != self.pid:
                os._exit(1)
        if self.forked:
            raise ForkError
        return module

    def _note_fork(self) -> None:
        self.forked = True


def serve(requests: int, answers: int) -> None:
    """Answer requests until there are no more.

    Args:
        requests: Descriptor to read from.
        answers: Descriptor to write to.
    """
    # Bound before any drop-in can replace them.
    write, encode = os.write, json.JSONEncoder().encode
    child = _Child()
    with open(requests, encoding="ascii") as lines:
        for line in lines:
            answer = memoryview(encode(child.answer(json.loads(line))).encode("ascii") + b"\n")
            while answer:
                answer = answer[write(answers, answer) :]


def _die_with(lifeline: int) -> None:
    """Have the kernel kill this process when the other end of a pipe closes, fcntl(2)."""
    os.set_inheritable(lifeline, False)  # noqa: FBT003 - positional only
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_RDONLY | os.O_ASYNC)


def main() -> NoReturn:
    """Run as the child: keep the requests from the drop-ins, serve, and leave without clean-up."""
    # The bootstrap has put our copy there; a drop-in shall get the package's own.
    sys.modules.pop("dropin_cache._describe", None)
    _die_with(int(sys.argv[2]))
    requests = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    serve(requests, int(sys.argv[1]))
    # Threads and exit handlers of drop-ins have no say in when this ends.
    os._exit(0)


if __name__ == "__main__":
    main()
