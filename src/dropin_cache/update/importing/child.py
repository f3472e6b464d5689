"""A child process that imports plugin modules: start it, ask it, and be rid of it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import threading
import time
from typing import Any, NamedTuple

from dropin_cache.update.importing import answers, bootstrap
from dropin_cache.update.importing.answers import ChildError
from dropin_cache.update.importing.processes import offspring_of
from dropin_cache.update.sandbox.launch import Launch
from dropin_cache.update.sandbox.start import Started, start

MAX_ANSWER = 1 << 20
"""Bytes of an answer: parsing takes up to thirty times as much."""

MAX_OUTPUT = 1 << 20
"""Bytes that the code of one plugin module may print."""

_TAIL = 4000  # bytes of output kept for the error report
_CHUNK = 1 << 16
_START_TIMEOUT = 60.0  # seconds for an interpreter to read the program
_GRACE = 1.0  # seconds for a child to end by itself
_POLL = 0.1  # seconds between looks at a child that is silent and may be dead


class _Pipe(NamedTuple):
    read: int
    write: int


class Child:
    """A running child. Every `ChildError` also ends it."""

    def __init__(self, launch: Launch) -> None:
        """Start it.

        Raises:
            OSError: The interpreter cannot be executed.
            ChildError: It does not read its program.
            UnreadableError: The child's program cannot be read.
        """
        self._offspring = offspring_of(launch.tier)
        self._tail = self._early = b""
        self._unread = bytearray()  # answers that have come already
        self._processor = 0.0
        self._ended = False
        self._reaping = threading.Lock()
        self._answers, self._output, self._lifeline = _pipe(), _pipe(), _pipe()
        try:
            program = bootstrap.program(self._answers.write, self._lifeline.read)
            self._started = self._start(launch, program.arguments)
        except BaseException:
            _close(self._answers.read, self._output.read, self._lifeline.write)
            raise
        finally:
            _close(self._answers.write, self._output.write, self._lifeline.read)
        self._process = self._started.process
        os.set_blocking(self._output.read, False)
        try:
            os.set_blocking(self._process.stdin.fileno(), False)  # type: ignore[union-attr]  # a pipe
            self._send(program.text, time.monotonic() + _START_TIMEOUT)
        except BaseException:  # Ctrl-C: nobody else knows of the child yet
            self.close()
            raise

    def _start(self, launch: Launch, arguments: list[str]) -> Started:
        environment = {**launch.environment, **self._offspring.environment}
        return start(
            launch._replace(environment=environment),
            arguments,
            self._lifeline.read,
            self._answers.write,
            stdin=subprocess.PIPE,
            stdout=self._output.write,
            stderr=self._output.write,
            start_new_session=True,  # a group of its own, so that it can be killed as one
        )

    def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Send a request and return the answer to it; the errors are those of `receive`.

        Args:
            request: What `payload.program` describes.
            timeout: How long it may take, seconds.
        """
        self.send(request, timeout)
        about = request.get("name", request["do"])
        return self.receive(about, timeout, request.get("processor", 0.0))

    def send(self, request: dict[str, Any], timeout: float) -> None:
        """Send a request; several may be on their way.

        Args:
            request: What `payload.program` describes.
            timeout: How long that may take, seconds.

        Raises:
            ChildError: The child does not read.
        """
        data = json.dumps(request).encode("ascii") + b"\n"
        self._send(data, time.monotonic() + timeout)

    def receive(self, about: str, timeout: float, processor: float = 0.0) -> dict[str, Any]:
        """Return the next answer, parsed.

        Args:
            about: What it must be about.
            timeout: How long it may take, seconds.
            processor: How much processor time the child was told that it may take, seconds.

        Raises:
            ChildError: The child died, or overstepped a limit and was ended.
            AnswerError: It is no answer to that.
        """
        self._tail, self._early = self._early, b""
        self._processor = processor
        line = self._read_line(time.monotonic() + timeout, timeout)
        return answers.from_untrusted(line, about)

    def kill(self) -> None:
        """Have the child end soon; another thread is about to find that out, and to clean up."""
        with self._reaping:  # a child that has been waited for may have left its number to others
            if self._process.returncode is None:
                self._offspring.interrupt(self._started)

    def close(self) -> None:
        """Let the child end, and kill it and its offspring if they do not."""
        if not self._ended:
            self._end("")

    def output(self) -> str:
        """Return the end of what was printed since the last request."""
        with contextlib.suppress(BlockingIOError):
            self._tail = (self._tail + os.read(self._output.read, _CHUNK))[-_TAIL:]
        return self._tail.decode("utf-8", "backslashreplace")

    def _read_line(self, deadline: float, timeout: float) -> bytes:
        printed = 0
        events = select.poll()
        for descriptor in (self._answers.read, self._output.read):
            events.register(descriptor, select.POLLIN)
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            ready = [each for each, _ in events.poll(max(0.0, min(left, _POLL)) * 1000)]
            if self._output.read in ready:
                size = self._read_output()
                if size == 0:
                    events.unregister(self._output.read)
                printed += size
                if printed > MAX_OUTPUT:
                    raise self._end(f"it printed more than {MAX_OUTPUT >> 20} MiB")
            if self._answers.read in ready:
                self._read_answers()
            elif not ready and self._is_dead():
                raise self._end(None)  # though something still holds its end of the pipe
            if left <= 0 and b"\n" not in self._unread:
                raise self._end(f"it took longer than {timeout:g} s", passing=True)
        line, _, self._unread = self._unread.partition(b"\n")
        return bytes(line)

    def _send(self, data: bytes, deadline: float) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - it is a pipe; this tells the type checker
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(stdin.fileno(), left) :]
            except BlockingIOError:
                # A plugin module can open the other end and fill the pipe.
                if not self._wait_to_send(stdin.fileno(), deadline):
                    raise self._end("it keeps the process from reading") from None
            except BrokenPipeError:
                return  # that a child is dead is found out when its answer is awaited

    def _wait_to_send(self, descriptor: int, deadline: float) -> bool:
        """Wait until something can be sent, and tell whether it can.

        Whatever is installed may print when an interpreter starts. It reads only when that is read.
        """
        events = select.poll()
        events.register(descriptor, select.POLLOUT)
        events.register(self._output.read, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            ready = [each for each, _ in events.poll(left * 1000)]
            if descriptor in ready:
                return True
            if ready:
                chunk = os.read(self._output.read, _CHUNK)
                self._early = (self._early + chunk)[-_TAIL:]  # what comes before the answer
                if not chunk:
                    events.unregister(self._output.read)
        return False

    def _read_answers(self) -> None:
        chunk = os.read(self._answers.read, _CHUNK)
        if not chunk:
            raise self._end(None)
        self._unread += chunk
        if len(self._unread) > MAX_ANSWER and b"\n" not in self._unread:
            raise self._end(f"its description is larger than {MAX_ANSWER >> 20} MiB")

    def _read_output(self) -> int:
        chunk = os.read(self._output.read, _CHUNK)
        self._tail = (self._tail + chunk)[-_TAIL:]
        return len(chunk)

    def _end(self, reason: str | None, *, passing: bool = False) -> ChildError:
        """End the child and everything it started; without a reason its exit status tells."""
        self._ended = True
        stdin = self._process.stdin
        with contextlib.suppress(OSError, AttributeError):
            stdin.close()  # type: ignore[union-attr]  # the suppressed AttributeError
        # In a sandbox nothing is lost with a child that has answered.
        hurried = bool(reason) or (reason == "" and self._offspring.confined)
        patience = time.monotonic() + (0 if hurried else _GRACE)
        while not self._is_dead() and time.monotonic() < patience:
            time.sleep(_POLL / 20)
        alone = self._is_dead()
        with self._reaping:
            status = self._offspring.kill(self._started)
        printed = self.output()
        _close(self._answers.read, self._output.read, self._lifeline.write)
        if reason is None and alone:
            reason, passing = _exit_reason(status, self._processor)
        return ChildError(reason or "it closed the way back to the update", printed, passing)

    def _is_dead(self) -> bool:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None


def _pipe() -> _Pipe:
    """Make a pipe, above the descriptors of a terminal also where those are closed."""
    low = os.pipe()
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3) for descriptor in low]
    _close(*low)
    return _Pipe(*high)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _exit_reason(status: int, processor: float) -> tuple[str, bool]:
    """Say how a child ended by itself, and whether that may have reasons of the moment."""
    if status >= 0:
        return f"it ended the process with exit status {status}", False
    if -status == signal.SIGXCPU:
        return f"it took more than {processor:g} s of processor time", True
    try:
        name = signal.Signals(-status).name
    except ValueError:  # a real-time signal
        name = f"signal {-status}"
    return f"it ended the process with {name}", True
