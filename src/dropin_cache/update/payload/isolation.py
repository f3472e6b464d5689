"""Runs something in a process of its own, so that nothing it does lasts. Used in the child.

It imports only the standard library, because it is handed to the child as source.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Callable

_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36  # linux/prctl.h
_CHUNK = 1 << 16
_TRIES = 40  # to fork
_PAUSE = 0.05  # seconds between them


def shut() -> None:
    """Keep other processes of the same user from looking into this one, or reaching its pipes.

    That is what proc(5) makes of a process that must not be dumped; it holds for those that this
    one starts, too, until they undo it for themselves. Those that lose their parent become this
    one's children, so that it can tell whether there are any.
    """
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def apart(
    work: Callable[[], bytes], closed: Iterable[int], limit: int, *, alone: bool
) -> bytes | str:
    """Do something in a process of its own.

    Args:
        work: What to do; it returns a line, which ends as lines do.
        closed: Descriptors that the process must not have.
        limit: Bytes of the longest line.
        alone: Whether this process can signal none but what it has started, so that what is left
            of the process can be ended, too.

    Returns:
        The line, whatever is in it; or in words, what became of the process instead.
    """
    write, leave = os.write, os._exit  # bound before anybody can replace them
    back, forth = os.pipe()
    process = _forked(alone=alone)
    if process == 0:
        try:
            for descriptor in (back, *closed):
                os.close(descriptor)
            left = memoryview(work())
            while left:
                left = left[write(forth, left) :]
            leave(0)
        finally:
            leave(1)
    os.close(forth)
    line = _line_from(back, process, limit)
    os.close(back)
    whole = line.endswith(b"\n") and line.count(b"\n") == 1 and len(line) <= limit
    if line and not whole:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if alone:
        _end_others()
    if whole:
        return bytes(line)
    if len(line) > limit:
        return f"its description is larger than {limit >> 20} MiB"
    return (
        "it tampered with its description" if line else _ending(os.waitstatus_to_exitcode(status))
    )


def _line_from(pipe: int, process: int, limit: int) -> bytearray:
    """Read until a line, or too much, has come, or the process has ended.

    That is not the same as the end of the pipe, which what it has left behind may keep open.
    """
    line = bytearray()
    ended = os.pidfd_open(process)
    events = select.poll()
    for descriptor in (pipe, ended):
        events.register(descriptor, select.POLLIN)
    while not line.endswith(b"\n") and len(line) <= limit:
        if pipe not in dict(events.poll()):
            break
        chunk = os.read(pipe, _CHUNK)
        if not chunk:
            break
        line += chunk
    os.close(ended)
    return line


def _forked(*, alone: bool) -> int:
    """Fork, if need be when processes of others have ended that count for the same limit."""
    for _ in range(_TRIES):
        try:
            return os.fork()
        except BlockingIOError:
            if alone:
                _end_others()
            time.sleep(_PAUSE)
    return os.fork()


def _end_others() -> None:
    """Kill all that this process may signal, but not itself, until nothing is left; kill(2)."""
    with contextlib.suppress(ChildProcessError):
        while True:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(-1, signal.SIGKILL)
            reaped, _ = os.waitpid(-1, os.WNOHANG)
            if not reaped:  # pragma: no cover - depends on how quickly they end
                time.sleep(_PAUSE / 100)


def _ending(code: int) -> str:
    if code >= 0:
        return f"it ended the process with exit status {code}"
    try:
        return f"it ended the process with {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"it ended the process with signal {-code}"
