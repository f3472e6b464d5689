"""A child process that imports drop-ins: start it, ask it, and be rid of it."""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import os
import selectors
import signal
import subprocess
import time
from typing import NamedTuple

from dropin_cache import _describe
from dropin_cache._wire import MAX_SIZE
from dropin_cache.update import _program
from dropin_cache.update.sandbox import Launch

MAX_OUTPUT = 1 << 20
"""Bytes that the code of one drop-in may print."""

_TAIL = 4000  # bytes of output kept for the error report
_CHUNK = 1 << 16
_GRACE = 1.0  # seconds for a child to end by itself
_POLL = 0.1  # seconds between looks at a child that is silent and may be dead
_SWEEPS = 10  # what is being killed may start something else
_MARK = "DROPIN_CACHE_CHILD"
# Runs on any Python, to tell one that is too old from what is no Python. Arguments: descriptor of
# the answers and of the lifeline, then size and file name of the two sources.
_BOOTSTRAP = r"""
import sys
sys.path[:] = [entry for entry in sys.path if entry]  # without '', the working directory
import os, types
def source(size, name):
    code = b""
    while len(code) < int(size):
        code += os.read(0, int(size) - len(code))
    return compile(code, name, "exec")
if sys.version_info < (3, 9):
    answer = '{"version": [%d, %d], "zope": true, "path": []}\n' % sys.version_info[:2]
    os.write(int(sys.argv[1]), answer.encode("ascii"))
    sys.exit()
name = "dropin_cache._describe"
sys.modules[name] = types.ModuleType(name)
exec(source(*sys.argv[3:5]), sys.modules[name].__dict__)
exec(source(*sys.argv[5:7]))
"""


class ChildError(Exception):
    """The child gave no answer.

    Attributes:
        reason: What it did instead, in words; the subject is the drop-in.
        output: The end of what it printed.
    """

    def __init__(self, reason: str, output: str) -> None:
        """Keep the facts."""
        super().__init__(reason)
        self.reason = reason
        self.output = output


class _Pipe(NamedTuple):
    read: int
    write: int


class Child:
    """A running child. Every `ChildError` also ends it."""

    def __init__(self, launch: Launch) -> None:
        """Start it.

        Raises:
            OSError: The interpreter cannot be executed.
        """
        sources = [
            (inspect.getsource(part).encode(), str(part.__file__)) for part in (_describe, _program)
        ]
        self._answers, self._output, self._lifeline = _pipe(), _pipe(), _pipe()
        self._mark = f"{_MARK}={os.urandom(16).hex()}"
        self._tail = b""
        self._ended = False
        handed_over = [self._answers.write, self._lifeline.read]
        arguments = [str(descriptor) for descriptor in handed_over]
        for source, name in sources:
            arguments += [str(len(source)), name]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter was asked for
                [*launch.arguments, "-c", _BOOTSTRAP, *arguments],
                stdin=subprocess.PIPE,
                stdout=self._output.write,
                stderr=self._output.write,
                pass_fds=handed_over,
                env={**launch.environment, **dict([self._mark.split("=")])},
                cwd=launch.directory,
                start_new_session=True,  # a group of its own, so that it can be killed as one
            )
        except BaseException:
            self._close(self._answers.read, self._output.read, self._lifeline.write)
            raise
        finally:
            self._close(self._answers.write, self._output.write, self._lifeline.read)
        os.set_blocking(self._output.read, False)
        self._send(b"".join(source for source, _ in sources))

    def ask(self, request: bytes, timeout: float) -> bytes:
        """Send a line and return the line that comes back.

        Args:
            request: The line, without its end.
            timeout: How long the answer may take, seconds.

        Raises:
            ChildError: The child died, or overstepped a limit and was killed.
        """
        self._send(request + b"\n")
        deadline = time.monotonic() + timeout
        printed = 0
        answer = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers.read, selectors.EVENT_READ)
            selector.register(self._output.read, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._end(f"it took longer than {timeout:g} s")
                ready = {key.fd for key, _ in selector.select(min(left, _POLL))}
                if self._output.read in ready:
                    printed += self._read_output(selector)
                    if printed > MAX_OUTPUT:
                        raise self._end(f"it printed more than {MAX_OUTPUT >> 20} MiB")
                if self._answers.read in ready:
                    answer += self._read_answer(len(answer))
                elif not ready and self._is_dead():
                    raise self._end(None)  # though something still holds its end of the pipe
        return bytes(answer[:-1])

    def close(self) -> None:
        """Let the child end, and kill it and its offspring if they do not."""
        if not self._ended:
            self._end("")

    def _send(self, data: bytes) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - it is a pipe; this tells the type checker
        # That a child is dead already is found out when its answer is awaited.
        with contextlib.suppress(BrokenPipeError):
            stdin.write(data)
            stdin.flush()

    def _read_answer(self, so_far: int) -> bytes:
        chunk = os.read(self._answers.read, _CHUNK)
        if not chunk:
            raise self._end(None)
        if so_far + len(chunk) > MAX_SIZE:
            raise self._end(f"its description is larger than {MAX_SIZE >> 20} MiB")
        return chunk

    def _read_output(self, selector: selectors.BaseSelector) -> int:
        chunk = os.read(self._output.read, _CHUNK)
        if not chunk:
            selector.unregister(self._output.read)
        self._tail = (self._tail + chunk)[-_TAIL:]
        return len(chunk)

    def _end(self, reason: str | None) -> ChildError:
        """End the child and everything in its group; without a reason its exit status tells."""
        self._ended = True
        stdin = self._process.stdin
        with contextlib.suppress(OSError, AttributeError):
            stdin.close()  # type: ignore[union-attr]  # the suppressed AttributeError
        patience = time.monotonic() + (0 if reason else _GRACE)
        while not self._is_dead() and time.monotonic() < patience:
            time.sleep(_POLL / 10)
        alone = self._is_dead()
        # The group may outlive the child. It still has its number, since nobody has reaped it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        with contextlib.suppress(BlockingIOError):
            self._tail = (self._tail + os.read(self._output.read, _CHUNK))[-_TAIL:]
        self._close(self._answers.read, self._output.read, self._lifeline.write)
        _sweep(self._mark)
        if reason is None:
            reason = _exit_reason(status) if alone else "it closed the way back to the update"
        return ChildError(reason, self._tail.decode("utf-8", "backslashreplace"))

    def _is_dead(self) -> bool:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    @staticmethod
    def _close(*descriptors: int) -> None:
        for descriptor in descriptors:
            os.close(descriptor)


def _pipe() -> _Pipe:
    """Make a pipe, above the descriptors of a terminal also where those are closed."""
    low = os.pipe()
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3) for descriptor in low]
    for descriptor in low:
        os.close(descriptor)
    return _Pipe(*high)


def _sweep(mark: str) -> None:
    """Kill what a drop-in has left running, wherever it went: it still carries our mark.

    Code that wants to stay can remove the mark; only a sandbox is proof against that.
    """
    for _ in range(_SWEEPS):
        left = [process for process in _processes() if mark.encode() in _environment(process)]
        if not left:
            return
        for process in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)


def _processes() -> list[int]:
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return []


def _environment(process: int) -> bytes:
    """Return the environment of a process, as far as this one may see it."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/environ", "rb") as file:
        return file.read()
    return b""


def _exit_reason(status: int) -> str:
    if status >= 0:
        return f"it ended the process with exit status {status}"
    try:
        return f"it ended the process with {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"it ended the process with signal {-status}"
