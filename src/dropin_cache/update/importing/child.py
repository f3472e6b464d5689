"""A child process that imports drop-ins: start it, ask it, and be rid of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from typing import NamedTuple

from dropin_cache.update.importing.answers import ChildError
from dropin_cache.update.importing.multiplex import Turn, Wait, alone
from dropin_cache.update.importing.processes import offspring_of
from dropin_cache.update.sandbox.launch import FILTER, INFO, LIFELINE, Launch, readable, source_of

MAX_ANSWER = 4 << 20
"""Bytes of an answer: parsing takes up to thirty times as much."""

MAX_OUTPUT = 1 << 20
"""Bytes that the code of one drop-in may print."""

_TAIL = 4000  # bytes of output kept for the error report
_CHUNK = 1 << 16
_START_TIMEOUT = 30.0  # seconds for an interpreter to read the program
_GRACE = 1.0  # seconds for a child to end by itself
_POLL = 0.1  # seconds between looks at a child that is silent and may be dead
# What the child is handed; the last is its main program.
_PARTS = (
    "dropin_cache._describe",
    "dropin_cache.update.payload.isolation",
    "dropin_cache.update.payload.proof",
    "dropin_cache.update.payload.observation",
    "dropin_cache.update.payload.program",
)
# Runs on any Python, to tell one that is too old from what is no Python. Arguments: descriptor of
# the answers and of the lifeline, then for each part its size, name and file name.
_BOOTSTRAP = r"""
import sys
sys.path[:] = [entry for entry in sys.path if entry]  # without '', the working directory
import os, types
try:
    # Where memory runs out, this is to be killed before anything else.
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
except (IOError, OSError):
    pass
def source(size, file):
    code = b""
    while len(code) < int(size):
        chunk = os.read(0, int(size) - len(code))
        if not chunk:
            sys.exit()
        code += chunk
    return compile(code, file, "exec")
if sys.version_info < (3, 9):
    import json
    stream = os.fdopen(0, "rb")
    stream.read(sum(int(size) for size in sys.argv[3::3]))
    answer = {"version": sys.version_info[:2], "zope": True, "path": [], "files": []}
    answer.update(packages=[], imports={}, token=json.loads(stream.readline().decode())["token"])
    os.write(int(sys.argv[1]), (json.dumps(answer) + "\n").encode("ascii"))
    sys.exit()
parts = sys.argv[3:]
while len(parts) > 3:
    size, name, file = parts[:3]
    del parts[:3]
    sys.modules[name] = types.ModuleType(name)
    exec(source(size, file), sys.modules[name].__dict__)
size, name, file = parts
exec(source(size, file))
"""


class _Pipe(NamedTuple):
    read: int
    write: int


class Child:
    """A running child. Every `ChildError` also ends it."""

    def __init__(self, launch: Launch) -> None:
        """Start it.

        Raises:
            OSError: The interpreter cannot be executed.
            UnreadableError: The child's program cannot be read.
        """
        sources = [source_of(part) for part in _PARTS]
        program = [source.text.encode() for source in sources]
        self._answers, self._output, self._lifeline, facts = _pipe(), _pipe(), _pipe(), _pipe()
        filtering = readable(launch.filter)
        self._offspring = offspring_of(launch.tier)
        self._tail = b""
        self._ended = False
        handed_over = [self._answers.write, self._lifeline.read]
        arguments = [str(descriptor) for descriptor in handed_over]
        for source, text in zip(sources, program):
            arguments += [str(len(text)), source.name, source.file]
        wanted = {INFO: facts.write, FILTER: filtering, LIFELINE: self._lifeline.read}
        command = [str(wanted.get(argument, argument)) for argument in launch.arguments]
        handed_over += [wanted[argument] for argument in launch.arguments if argument in wanted]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter was asked for
                [*command, "-c", _BOOTSTRAP, *arguments],
                stdin=subprocess.PIPE,
                stdout=self._output.write,
                stderr=self._output.write,
                pass_fds=handed_over,
                env={**launch.environment, **self._offspring.environment},
                cwd=launch.directory,
                start_new_session=True,  # a group of its own, so that it can be killed as one
            )
        except BaseException:
            self._close(self._answers.read, self._output.read, self._lifeline.write, facts.read)
            raise
        finally:
            self._close(self._answers.write, self._output.write, self._lifeline.read)
            self._close(facts.write, filtering)
        os.set_blocking(self._output.read, False)
        try:
            self._offspring.started(self._process, facts.read)
            os.set_blocking(self._process.stdin.fileno(), False)  # type: ignore[union-attr]  # a pipe
            alone(self._send(b"".join(program), time.monotonic() + _START_TIMEOUT))
        except BaseException:  # Ctrl-C: nobody else knows of the child yet
            self._end("")
            raise
        finally:
            self._close(facts.read)

    def ask(self, request: bytes, timeout: float) -> Turn[bytes]:
        """Send a line and return the line that comes back.

        Args:
            request: The line, without its end.
            timeout: How long the answer may take, seconds.

        Raises:
            ChildError: The child died, or overstepped a limit and was killed.
        """
        self._tail = b""
        deadline = time.monotonic() + timeout
        yield from self._send(request + b"\n", deadline)
        printed = 0
        answer = bytearray()
        watched = [self._answers.read, self._output.read]
        while not answer.endswith(b"\n"):
            # What has come counts, even if this is late to look because of another child.
            left = max(0.0, deadline - time.monotonic())
            ready = yield Wait(tuple(watched), (), min(left, _POLL))
            if self._output.read in ready:
                size = self._read_output()
                if size == 0:
                    watched.remove(self._output.read)
                printed += size
                if printed > MAX_OUTPUT:
                    raise self._end(f"it printed more than {MAX_OUTPUT >> 20} MiB")
            if self._answers.read in ready:
                answer += self._read_answer(len(answer))
            elif not ready and self._is_dead():
                raise self._end(None)  # though something still holds its end of the pipe
            if not left and not answer.endswith(b"\n"):
                raise self._end(f"it took longer than {timeout:g} s")
        return bytes(answer[:-1])

    def close(self) -> None:
        """Let the child end, and kill it and its offspring if they do not."""
        if not self._ended:
            self._end("")

    def output(self) -> str:
        """Return the end of what was printed since the last request."""
        with contextlib.suppress(BlockingIOError):
            self._tail = (self._tail + os.read(self._output.read, _CHUNK))[-_TAIL:]
        return self._tail.decode("utf-8", "backslashreplace")

    def _send(self, data: bytes, deadline: float) -> Turn[None]:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - it is a pipe; this tells the type checker
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(stdin.fileno(), left) :]
            except BlockingIOError:
                # A drop-in of the same user can open the other end and fill the pipe.
                patience = max(0.0, deadline - time.monotonic())
                if not (yield Wait((), (stdin.fileno(),), patience)):
                    raise self._end("it keeps the process from reading") from None
            except BrokenPipeError:
                return  # that a child is dead is found out when its answer is awaited

    def _read_answer(self, so_far: int) -> bytes:
        chunk = os.read(self._answers.read, _CHUNK)
        if not chunk:
            raise self._end(None)
        if so_far + len(chunk) > MAX_ANSWER:
            raise self._end(f"its description is larger than {MAX_ANSWER >> 20} MiB")
        return chunk

    def _read_output(self) -> int:
        chunk = os.read(self._output.read, _CHUNK)
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
        status = self._offspring.kill(self._process)
        printed = self.output()
        self._close(self._answers.read, self._output.read, self._lifeline.write)
        if reason is None:
            reason = _exit_reason(status) if alone else "it closed the way back to the update"
        return ChildError(reason, printed)

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


def _exit_reason(status: int) -> str:
    if status >= 0:
        return f"it ended the process with exit status {status}"
    try:
        return f"it ended the process with {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"it ended the process with signal {-status}"
