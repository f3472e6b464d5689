"""The program of the child: import the plugin modules of one owner and describe them.

It is handed to the interpreter as source, together with the other modules of this room and
`_describe`, because the interpreter need not have this package, nor the child the right to read it
where it lies. In a sandbox the interpreter is started without the module site (-I -S): nothing of
anybody's has run when the confinement is completed and proved, and then site does its work.

Protocol
    Requests come on standard input, answers go to the descriptor given as first argument; both
    are lines of ASCII JSON, one answer for each request, in order. Descriptors 0, 1 and 2 of the
    code it imports are an empty input and whatever it was started with for output, so
    nothing that code prints can get among the answers. An answer repeats what the request was
    about ("of"), and has what has been looked at since the last one ("observed", as `observation`
    reports it).

    {"do": "start", "path": [DIR...], "more": [DIR...], "tier": TIER, "user": UID or null,
     "closed": [DIR...], "writable": [DIR...], "asked": true or false}
        Prove that the promises of the sandbox hold, among them that this is that user, and that
        nothing can be written in the closed directories; then put the first directories in front
        of sys.path, the second behind it.
        -> {"of": "start"}
        -> {"of": "start", "promises": [TEXT...]}      what does not hold; the child ends
        -> {"of": "start", "version": [3, 11], "zope": true, "path": [DIR...], "files": [FILE...]}
                if asked: sys.path as it is then; what has been loaded so far, and what the module
                site has looked for in vain
    {"do": "package", "name": NAME}
        Import a plugin package.
        -> {"found": [DIR...]}      its __path__
        -> {"found": null}          neither it nor a package above it is there, or only plugin
                                    modules of others, without the application that asks for them
        -> {"error": LINE, "traceback": TEXT, "passing": true or false}
    {"do": "module", "name": NAME, "processor": SECONDS}
        Import a plugin module, in at most that much processor time.
        -> {"description": TEXT or null, "warnings": [LINE...],
            "plugins": [{"name": TEXT, "description": TEXT or null,
                         "provided": [[MODULE, NAME]...], "interfaces": [DOTTED...]}...]}
        -> {"error": LINE, "traceback": TEXT, "passing": true or false}
    {"do": "resolve", "name": MODULE, "names": [NAME...], "processor": SECONDS}
        Import a module that is none of plugins, and look for interfaces in it.
        -> {"resolved": [NAME...]}

    "passing" tells that a failure has reasons of the moment: no memory, no room, no processes.

    The child exits with status 0 when its standard input ends. A module that forks is an error; its
    offspring is ended where it would have come back from the import. The child is killed when the
    process that started it ends, however that happens: it holds a pipe, the second argument, whose
    other end closes then.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import importlib
import json
import math
import os
import resource
import signal
import sys

from dropin_cache._describe import attribute, describe, one_line
from dropin_cache.update.payload import confinement, proof, startup
from dropin_cache.update.payload.observation import Observation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, NoReturn

_MAX_TRACEBACK = 4000  # characters
_MAX_WARNINGS = 20
_GARBAGE = 100_000  # new objects between two looks for garbage
_MAX_ANSWER = 1 << 20  # bytes; the update takes no more
# What asks for the plugins of a package into which others put modules without requiring it:
# autobahn, txtorcon and TxSNI are used without Twisted as well. Then it is a namespace package.
_APPLICATIONS = {
    "twisted.plugins": "twisted.plugin",
    "dropin_cache.plugins": "dropin_cache.errors",
}
_OF_THE_MOMENT = {
    errno.EAGAIN,
    errno.EDQUOT,
    errno.EINTR,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOSPC,
}


class ForkError(Exception):
    """A module forks when it is imported."""


class _Child:
    """Answers requests, one after the other."""

    def __init__(self) -> None:
        self.forked = False
        self.pid = os.getpid()
        self.observation = Observation()
        os.register_at_fork(before=self._note_fork)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        with contextlib.suppress(KeyError):
            _allow_processor_time(request["processor"])
        try:
            answer = getattr(self, "do_" + request["do"])(request)
        except ForkError:
            answer = {"error": "it forks when it is imported", "traceback": "", "passing": False}
        except BaseException as error:  # noqa: BLE001 - a plugin module may raise anything
            # From Python 3.15 on, a traceback lists directories to say which name was meant.
            with self.observation.paused():
                answer = _failure(error)
        answer["of"] = request.get("name", request["do"])
        return {**answer, "observed": self.observation.report()}

    def do_start(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["tier"] == "namespace":
            with contextlib.suppress(OSError):  # then the mounts alone have to do
                confinement.restrict_files(["/"], request["writable"])
        promises = proof.broken_promises(request["tier"], request["closed"], request["user"])
        if promises:
            return {"promises": promises}
        if sys.flags.no_site:
            import site  # noqa: PLC0415 - see above

            site.main()
        # Who runs an update may want all imports to be lazy. Most applications see none of that.
        getattr(sys, "set_lazy_imports", str)("normal")
        # Without -I, the first entry is '' for the working directory: nothing to import from.
        own = [entry for entry in sys.path if entry]
        sys.path[:] = [*request["path"], *own, *request["more"]]
        answer = startup.about_the_interpreter() if request["asked"] else {}
        # Objects of modules stay. Looking for others takes a tenth of the time of imports.
        gc.set_threshold(_GARBAGE)
        self.observation.install()
        return answer

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
        if name in _APPLICATIONS:
            from importlib.util import find_spec  # noqa: PLC0415 - for this alone

            if find_spec(_APPLICATIONS[name]) is None:
                return {"found": None}
        return {"found": [entry for entry in path if isinstance(entry, str)]}

    def do_module(self, request: dict[str, Any]) -> dict[str, Any]:
        found = describe(self._imported(request["name"]))
        found["warnings"] = found["warnings"][:_MAX_WARNINGS]
        return found

    def do_resolve(self, request: dict[str, Any]) -> dict[str, Any]:
        from zope.interface.interface import InterfaceClass  # noqa: PLC0415 - after site

        module = self._imported(request["name"])
        return {
            "resolved": [
                name
                for name in request["names"]
                if isinstance(attribute(module, name), InterfaceClass)
            ]
        }

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


def _failure(error: BaseException) -> dict[str, Any]:
    try:
        import traceback  # noqa: PLC0415 - slow to import, and mostly nothing fails

        # The source of our frames is mostly not shown to the child, and no dependency of anything.
        report = traceback.TracebackException.from_exception(error, lookup_lines=False)
        _without_frames_of_ours(report)
        lines = list(report.format())
    except BaseException:  # noqa: BLE001 - no descriptors left, or a method of the error's own
        lines = []
    passing = isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno in _OF_THE_MOMENT
    )
    text = "".join(lines)[-_MAX_TRACEBACK:]
    return {"error": one_line(error), "traceback": text, "passing": passing}


def _without_frames_of_ours(report: Any) -> None:
    """Have a traceback begin where the code begins that was imported."""
    ours = (_failure.__code__.co_filename, importlib.__file__, "<frozen importlib")
    while report is not None:
        while report.stack and report.stack[0].filename.startswith(ours):
            del report.stack[0]
        report = report.__cause__ or report.__context__


def _allow_processor_time(seconds: float) -> None:
    """Let this process use some more processor time before it gets SIGXCPU; setrlimit(2)."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = usage.ru_utime + usage.ru_stime
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = math.ceil(used + seconds)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def serve(requests: int, answers: int) -> None:
    """Answer requests until there are no more.

    Args:
        requests: Descriptor to read from.
        answers: Descriptor to write to.
    """
    child = _Child()
    encode = json.JSONEncoder().encode
    with open(requests, encoding="ascii") as lines:
        for line in lines:
            answer = child.answer(json.loads(line))
            text = encode(answer)
            if len(text) >= _MAX_ANSWER:
                error = f"its description is larger than {_MAX_ANSWER >> 20} MiB"
                kept = {name: answer[name] for name in ("of", "observed")}
                text = encode({"error": error, "traceback": "", "passing": False, **kept})
            left = memoryview(text.encode("ascii") + b"\n")
            while left:
                left = left[os.write(answers, left) :]


def _die_with(lifeline: int) -> None:
    """Have the kernel kill this process when the other end of a pipe closes, fcntl(2)."""
    os.set_inheritable(lifeline, False)  # noqa: FBT003 - positional only
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_RDONLY | os.O_ASYNC)


def _close_all_but(*kept: int) -> None:
    """Close what the sandbox was made of: bwrap leaves it the descriptor of its user namespace."""
    with contextlib.suppress(OSError):  # the tier landlock has nothing to close, nor to list
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            if descriptor > 2 and descriptor not in kept:  # noqa: PLR2004 - the standard three
                with contextlib.suppress(OSError):  # that of the listing itself
                    os.close(descriptor)


def main() -> NoReturn:
    """Run as the child: keep the requests from what is imported, serve, leave without clean-up."""
    # The bootstrap has put our copies there; a plugin module shall get the package's own.
    for name in [name for name in sys.modules if name.partition(".")[0] == "dropin_cache"]:
        del sys.modules[name]
    answers, lifeline = int(sys.argv[1]), int(sys.argv[2])
    if sys.flags.no_site:  # a sandbox, and nothing of anybody's has opened anything yet
        _close_all_but(answers, lifeline)
    _die_with(lifeline)
    requests = os.dup(0)
    # Not the null device: a chroot may have none.
    nothing, end = os.pipe()
    os.close(end)
    os.dup2(nothing, 0)
    os.close(nothing)
    serve(requests, answers)
    # Threads and exit handlers of plugin modules have no say in when this ends.
    os._exit(0)


if __name__ == "__main__":
    main()
