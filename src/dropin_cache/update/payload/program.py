"""The program of the child: import drop-ins and describe them.

It is handed to the interpreter as source, together with that of `_describe`, because the
interpreter need not have this package, nor the child the right to read it where it lies.

Protocol
    Requests come on standard input, answers go to the descriptor given as first argument; both
    are lines of ASCII JSON, one answer for each request, in order. Descriptors 0, 1 and 2 of the
    code it imports are an empty input and whatever it was started with for output, so
    nothing that code prints can get among the answers. Each request has a "token", a random text
    that its answer repeats, so that an answer that a drop-in has prepared fits no request.

    {"do": "start", "path": [DIR...], "more": [DIR...], "tier": TIER, "user": UID or null,
     "closed": [DIR...]}
        Prove that the promises of the sandbox hold, among them that this is that user, and that
        nothing can be written in the last directories; then put the first in front of sys.path,
        the second behind it.
        -> {"version": [3, 11], "zope": true, "path": [DIR...], "files": [FILE...],
            "packages": [NAME...]}      sys.path as it is then; what has been loaded so far;
                                        the entry points of the group dropin_cache.packages
        -> {"promises": [TEXT...]}      what does not hold
    {"do": "warm", "name": NAME}
        Import a plugin package, for those of its drop-ins that are asked about next.
        -> {"imports": GRAPH}
    {"do": "package", "name": NAME}
        Import a plugin package.
        -> {"found": [DIR...], "imports": GRAPH}      its __path__
        -> {"found": null, "imports": GRAPH}          neither it nor a package above it is there
        -> {"error": LINE, "traceback": TEXT, "imports": GRAPH}
    {"do": "module", "name": NAME}
        Import a drop-in.
        -> {"description": TEXT or null, "warnings": [LINE...], "imports": GRAPH,
            "plugins": [{"name": TEXT, "description": TEXT or null,
                         "provided": [[MODULE, NAME]...], "interfaces": [DOTTED...]}...]}
        -> {"error": LINE, "traceback": TEXT, "imports": GRAPH}

    A GRAPH is what has become known of who imports whom since the last answer, as `observation` has
    it: {MODULE: [FILE or null or false, [MODULE...]]...}.

    In a sandbox, "package" and "module" are done in a process that is forked for them and has
    neither the requests nor the way back: what one drop-in does to its process, another does not
    see. The child cannot be looked into by those processes, and passes on their line as it is.

    The child exits with status 0 when its standard input ends. A line of error is at most 500
    characters, a traceback 4,000. A module that forks is an error; its offspring is ended where
    it would have come back from the import. The child is killed when the process that started it
    ends, however that happens: it holds a pipe, the second argument, whose other end closes then.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import re
import signal
import sys
import traceback
from importlib.machinery import PathFinder

from dropin_cache._describe import describe, loaded_markers, one_line
from dropin_cache.update.payload.isolation import apart, shut
from dropin_cache.update.payload.observation import (
    ImportGraph,
    files_of_loaded_modules,
    without_frames_of_ours,
)
from dropin_cache.update.payload.proof import broken_promises

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any, NoReturn

_MAX_TRACEBACK = 4000
_ENTRY_POINTS = "dropin_cache.packages"
_MAX_ENTRY_POINTS = 1 << 20  # characters; where each line is wrong, one takes 200 bytes
_MAX_LINE = 4 << 20  # bytes of an answer; the update takes no more
_OURS = (
    "dropin_cache._describe",
    "dropin_cache.update.payload.isolation",
    "dropin_cache.update.payload.proof",
    "dropin_cache.update.payload.observation",
)


class ForkError(Exception):
    """A module forks when it is imported."""


def _failure(error: BaseException) -> dict[str, Any]:
    try:
        report = traceback.TracebackException.from_exception(error)
        lines = list(without_frames_of_ours(report).format())
    except BaseException:  # noqa: BLE001 - the error's own methods are called for it
        lines = []
    return {"error": one_line(error), "traceback": "".join(lines)[-_MAX_TRACEBACK:]}


class _Child:
    """Answers requests, one after the other."""

    def __init__(self, *private: int) -> None:
        self.private = private  # descriptors
        self.apart = self.alone = False
        # Bound before any drop-in can replace them.
        self.encode = json.JSONEncoder().encode
        self.forked = False
        self.pid = os.getpid()
        self.graph = ImportGraph()
        os.register_at_fork(before=self._note_fork)

    def line(self, request: dict[str, Any]) -> bytes:
        """Return the answer to a request."""
        if not (self.apart and request["do"] in {"package", "module"}):
            return self.encode(self.answer(request)).encode("ascii") + b"\n"
        self.apart = False  # in the other process, and in this one until it is back
        line = apart(lambda: self.line(request), self.private, _MAX_LINE, alone=self.alone)
        self.apart = True
        if isinstance(line, bytes):
            return line
        failure = {"error": line, "traceback": "", "token": request["token"], "imports": {}}
        return self.encode(failure).encode("ascii") + b"\n"

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.pid = os.getpid()
        try:
            answer = getattr(self, "do_" + request["do"])(request)
        except ForkError:
            answer = {"error": "it forks when it is imported", "traceback": ""}
        except BaseException as error:  # noqa: BLE001 - a drop-in may raise anything
            answer = _failure(error)
        return {**answer, "token": request["token"], "imports": self.graph.report()}

    def do_start(self, request: dict[str, Any]) -> dict[str, Any]:
        # Without -I, the first entry is '' for the working directory: nothing to import from.
        sys.path[:] = [entry for entry in sys.path if entry]
        promises = broken_promises(request["tier"], request["closed"], request["user"])
        if promises:
            return {"promises": promises}
        if request["tier"] != "none":
            self.apart, self.alone = True, request["alone"]
            shut()
        sys.path[:] = [*request["path"], *sys.path, *request["more"]]
        path = [entry for entry in sys.path if isinstance(entry, str)]
        packages = sorted(set(_declared_packages(path)))
        files = files_of_loaded_modules()
        self.graph.install()
        try:
            import zope.interface  # noqa: PLC0415 - whether it is there is the answer
        except ImportError:
            zope = False
        else:
            zope = True
        return {
            "version": list(sys.version_info[:2]),
            "zope": zope,
            "path": path,
            "files": files,
            "packages": packages,
        }

    def do_warm(self, request: dict[str, Any]) -> dict[str, Any]:
        with contextlib.suppress(BaseException):  # each drop-in will fail for the same reason
            package = self._imported(request["name"])
            loaded_markers()  # loads ours, if it is in use: in a drop-in that may be too late
            describe(package)  # has zope.interface meet what is in every module, once for all
            # Lists the directories, once for all the processes that are forked from this one.
            PathFinder.find_spec(request["name"] + ".", package.__path__)
        gc.collect()
        gc.freeze()  # what is in memory by now shall stay shared with them
        return {}

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
        newest = next(reversed(sys.modules))
        try:
            module = importlib.import_module(name)
        finally:
            if os.getpid() != self.pid:
                os._exit(1)
            self.graph.attribute(name, newest)
        if self.forked:
            raise ForkError
        return module

    def _note_fork(self) -> None:
        self.forked = True


def _declared_packages(path: list[str]) -> Iterator[str]:
    """List the plugin packages that installed distributions declare, importing nothing of them."""
    for entry in path:
        for name in _names_in(entry):
            if name.endswith((".dist-info", ".egg-info")):
                text = _text_of(os.path.join(entry, name, "entry_points.txt"))
                if _ENTRY_POINTS in text:
                    yield from _entry_points_in(text)


def _entry_points_in(text: str) -> list[str]:
    """Return the modules that a file declares; its format is in PyPA's "Entry points"."""
    import configparser  # noqa: PLC0415 - slow to import, and rarely wanted

    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    try:
        parser.read_string(text)
        values = [value for _, value in parser.items(_ENTRY_POINTS)]
    except configparser.Error:
        return []
    return [re.split(r"[:\[\s]", value, maxsplit=1)[0] for value in values]


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:  # an archive, or not there
        return []


def _text_of(file: str) -> str:
    try:
        # A FIFO in its place would have no text either, and without that flag no end.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, encoding="utf-8", errors="replace") as text:
            content = text.read(_MAX_ENTRY_POINTS + 1)
    except OSError:
        return ""
    return content if len(content) <= _MAX_ENTRY_POINTS else ""


def serve(requests: int, answers: int, *private: int) -> None:
    """Answer requests until there are no more.

    Args:
        requests: Descriptor to read from.
        answers: Descriptor to write to.
        private: Other descriptors that drop-ins have no business with.
    """
    write = os.write  # bound before any drop-in can replace it
    child = _Child(requests, answers, *private)
    with open(requests, encoding="ascii") as lines:
        for line in lines:
            answer = memoryview(child.line(json.loads(line)))
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
    # The bootstrap has put our copies there; a drop-in shall get the package's own.
    for name in _OURS:
        sys.modules.pop(name, None)
    answers, lifeline = int(sys.argv[1]), int(sys.argv[2])
    _die_with(lifeline)
    requests = os.dup(0)
    # Not the null device: a chroot may have none.
    nothing, end = os.pipe()
    os.close(end)
    os.dup2(nothing, 0)
    os.close(nothing)
    serve(requests, answers, lifeline)
    # Threads and exit handlers of drop-ins have no say in when this ends.
    os._exit(0)


if __name__ == "__main__":
    main()
