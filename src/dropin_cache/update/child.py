"""A child process that imports drop-ins: start it, ask it, and be rid of it."""

from __future__ import annotations

import contextlib
import inspect
import os
import selectors
import signal
import subprocess
import time
from typing import NamedTuple

from dropin_cache import _describe
from dropin_cache._wire import MAX_SIZE
from dropin_cache.update.sandbox import Launch

MAX_OUTPUT = 1 << 20
"""Bytes that the code of one drop-in may print."""

_TAIL = 4000  # bytes of output kept for the error report
_CHUNK = 1 << 16
_GRACE = 1.0  # seconds for a child to end by itself
_POLL = 0.1  # seconds between looks at a child that is silent and may be dead
# The source is handed over because the interpreter need not have this package, nor the child the
# right to read it where it lies.
_BOOTSTRAP = (
    "import os, sys\n"
    "code = b''\n"
    "while len(code) < int(sys.argv[2]):\n"
    "    code += os.read(0, int(sys.argv[2]) - len(code))\n"
    "exec(compile(code, sys.argv[3], 'exec'))\n"
)


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
        source = inspect.getsource(_describe).encode()
        self._answers, self._output = _Pipe(*os.pipe()), _Pipe(*os.pipe())
        self._tail = b""
        self._ended = False
        bootstrap = ["-c", _BOOTSTRAP, str(self._answers.write), str(len(source))]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter was asked for
                [*launch.arguments, *bootstrap, _describe.__file__],
                stdin=subprocess.PIPE,
                stdout=self._output.write,
                stderr=self._output.write,
                pass_fds=[self._answers.write],
                env=launch.environment,
                cwd=launch.directory,
                start_new_session=True,  # a group of its own, so that it can be killed as one
            )
        except BaseException:
            os.close(self._answers.read)
            os.close(self._output.read)
            raise
        finally:
            os.close(self._answers.write)
            os.close(self._output.write)
        os.set_blocking(self._output.read, False)
        self._send(source)

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
        os.close(self._answers.read)
        os.close(self._output.read)
        if reason is None:
            reason = _exit_reason(status) if alone else "it closed the way back to the update"
        return ChildError(reason, self._tail.decode("utf-8", "backslashreplace"))

    def _is_dead(self) -> bool:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None


def _exit_reason(status: int) -> str:
    if status >= 0:
        return f"it ended the process with exit status {status}"
    try:
        return f"it ended the process with {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"it ended the process with signal {-status}"
