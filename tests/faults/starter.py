"""Run the command, or a reader, again and again: loaded once, so that what is traced is the work.

Each line of JSON on standard input is a request, and one line answers it. For each, a process is
forked from this one and stopped; a tracer is attached to it, if that is wanted; and it goes on.
Its children are not traced: they are none of the update's privilege.

Everything that such a process leaves running comes to this one, which is the first process of a
PID namespace. That tells what is left, and ends it.

Request: `what` ("update" or "read"), `argv`, `strace` (options, or null for no tracer), `flaw`
(see flaws.py, or null), `user`, `file_size` (RLIMIT_FSIZE, or null), `piece` (the most bytes that
a write to a file takes, or null), `site` (directory to import from).
Answer: `status` (as `subprocess` has it), `out`, `err`, `left` (command lines), `log` (lines).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

_PATIENCE = 5.0  # seconds until everything that a run has started has to be gone
_TRACER = 60.0  # seconds until strace has ended that has nothing left to trace


def load() -> None:
    """Import all that a run imports, however late: Python's own imports are not what is tested."""
    package = importlib.import_module("dropin_cache")
    for module in pkgutil.walk_packages(package.__path__, "dropin_cache."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("filelock", "linecache", "inspect", "pwd", "pkgutil"):
        importlib.import_module(name)


def main() -> None:
    """Answer requests until there are no more."""
    load()
    # Beside this file, and not on the path of what is loaded above.
    sys.path.append(str(Path(__file__).parent))
    with tempfile.TemporaryDirectory() as place:
        for line in iter(sys.stdin.readline, ""):
            sys.stdout.write(json.dumps(_answer(json.loads(line), Path(place))) + "\n")
            sys.stdout.flush()


def _answer(request: dict[str, Any], place: Path) -> dict[str, Any]:
    log = place / "log"
    log.write_text("")
    out, err = os.pipe2(os.O_NONBLOCK), os.pipe2(os.O_NONBLOCK)
    process = os.fork()
    if process == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out[1], 1)
        os.dup2(err[1], 2)
        os.closerange(3, max(*out, *err) + 1)
        # As an interpreter that is started with these, which may be of another kind.
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", 1, encoding="utf-8", closefd=False)  # noqa: SIM115
        os._exit(_run(request))
    os.waitpid(process, os.WUNTRACED)
    tracer = None if request["strace"] is None else _traced(process, request["strace"], log)
    os.kill(process, signal.SIGCONT)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if tracer is not None:
        tracer.wait(_TRACER)
    left = _left()
    texts = []
    for read, write in (out, err):
        os.close(write)
        with open(read, "rb") as stream:
            texts.append((stream.read() or b"").decode(errors="backslashreplace"))
    lines = log.read_text(errors="backslashreplace").splitlines()
    return {"status": status, "out": texts[0], "err": texts[1], "left": left, "log": lines}


def _traced(process: int, options: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Attach strace to a process that is stopped."""
    command = ["strace", "-qq", "-y", "-o", str(log), *options, "-p", str(process)]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while "\nTracerPid:\t0\n" in Path(f"/proc/{process}/status").read_text():
        if tracer.poll() is not None:
            os.kill(process, signal.SIGKILL)
            raise RuntimeError(f"{command} ended with {tracer.returncode}")
        time.sleep(0.0005)
    return tracer


def _left() -> list[str]:
    """Wait until there are no other processes; end those that stay, and return what they are."""
    deadline = time.monotonic() + _PATIENCE
    found: list[str] = []
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.001)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
        os.kill(-1, signal.SIGKILL)  # all that this namespace has but for this process
        while True:  # until there is no child any more
            os.waitpid(-1, 0)
    return found


def _run(request: dict[str, Any]) -> int:
    """Do what is asked for, and end as an interpreter would; in a process of its own."""
    try:
        if request["flaw"] is not None:
            importlib.import_module("flaws").FLAWS[request["flaw"]]()
        if request["site"] is not None:
            sys.path.insert(0, request["site"])
            importlib.import_module("app.plugins")
            logging.basicConfig(format="%(message)s")
        if request["user"]:
            os.setgroups([])
            os.setgid(request["user"])
            os.setuid(request["user"])
        os.kill(os.getpid(), signal.SIGSTOP)  # until the tracer is there
        if request["file_size"] is not None:
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (request["file_size"], resource.RLIM_INFINITY)
            )
        if request["piece"] is not None:
            _shorten_writes(request["piece"])
        status = _WHAT[request["what"]](request["argv"])
        sys.stdout.flush()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        traceback.print_exc()
        return 1
    return status


def _update(argv: list[str]) -> int:
    return sys.modules["dropin_cache.cli"].main(argv)


def _read(_: list[str]) -> int:
    """Print the names of the plugins that there are, twice: the second time is from memory."""
    package = sys.modules["app.plugins"]
    library = sys.modules["dropin_cache"]
    for _ in range(2):
        plugins = library.getPlugins(library.IPlugin, package)
        sys.stdout.write(json.dumps(sorted(plugin.name for plugin in plugins)) + "\n")
    return 0


_WHAT = {"update": _update, "read": _read}


def _shorten_writes(piece: int) -> None:
    """Have the kernel write no more than so many bytes of what it is given, each time.

    The limit of file size does that: it is set a little above what the file has, and the kernel
    writes as much as fits.
    """

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def watch(_frame: Any, event: str, called: Any) -> None:
        file = getattr(called, "__self__", None)
        if isinstance(file, io.FileIO) and getattr(called, "__name__", "") == "write":
            limit(os.fstat(file.fileno()).st_size + piece if event == "c_call" else -1)

    sys.setprofile(watch)


if __name__ == "__main__":
    main()
