"""Ending a child together with everything it has started, wherever that has gone."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from typing import Protocol

from dropin_cache.errors import EXIT_SIGNAL

_PATIENCE = 10.0  # seconds for the kernel, or the supervisor, to end what was killed
_SWEEPS = 10  # what is being killed may start something else
_MARK = "DROPIN_CACHE_CHILD"


class Offspring(Protocol):
    """What a child is the root of.

    Attributes:
        environment: What to add to the environment of the child.
        confined: Whether it is in a sandbox, so that nothing is lost if it is ended at once.
    """

    environment: dict[str, str]
    confined: bool

    def started(self, process: subprocess.Popen[bytes], facts: int) -> None:
        """Take note of a child that has just been started.

        Args:
            process: The child.
            facts: Descriptor from which to read what its sandbox says about it.
        """

    def interrupt(self, process: subprocess.Popen[bytes]) -> None:
        """Have the child end soon, without waiting; it may be dead, but is not reaped."""

    def kill(self, process: subprocess.Popen[bytes]) -> int:
        """End the child, which may be dead but not reaped, and the others; return its status."""


def offspring_of(tier: str) -> Offspring:
    """Return what fits a tier of the sandbox."""
    kinds: dict[str, type[Offspring]] = {"namespace": InNamespace, "none": Marked}
    return kinds.get(tier, Supervised)()


class Marked:
    """Processes that carry a random mark in their environment.

    Code that wants to stay can remove the mark; only a sandbox is proof against that.
    """

    confined = False

    def __init__(self) -> None:
        """Draw the mark."""
        self.environment = {_MARK: os.urandom(16).hex()}

    def started(self, process: subprocess.Popen[bytes], facts: int) -> None:
        """Do nothing: the mark is enough."""

    def interrupt(self, process: subprocess.Popen[bytes]) -> None:
        """Kill the group."""
        # It may outlive the child. It still has its number, since nobody has reaped it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def kill(self, process: subprocess.Popen[bytes]) -> int:
        """Kill the group, then what has left it."""
        self.interrupt(process)
        status = process.wait()
        _sweep("=".join(*self.environment.items()))
        return status


class InNamespace:
    """Processes in a namespace of their own, which the kernel ends with the first of them."""

    confined = True

    def __init__(self) -> None:
        """Know of no process yet."""
        self.environment: dict[str, str] = {}
        self._first: int | None = None  # pidfd

    def started(self, process: subprocess.Popen[bytes], facts: int) -> None:
        """Wait until bwrap has made the namespace, or has failed to and says so on its output."""
        _wait_for_facts(facts)
        with contextlib.suppress(IndexError, OSError):
            # Not what bwrap says: root's is in a namespace itself, where numbers are others.
            first = int(_children(process.pid).split()[0])
            descriptor = os.pidfd_open(first)
            # Between the two lines it may have died, and its number be somebody else's.
            if _parent(first) == process.pid:
                self._first = descriptor
            else:
                os.close(descriptor)

    def interrupt(self, process: subprocess.Popen[bytes]) -> None:
        """Kill bwrap, and with it the first process of the namespace."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def kill(self, process: subprocess.Popen[bytes]) -> int:
        """Kill bwrap, and wait until the namespace is empty."""
        # Its outer process dies first where the child has ended by itself, and does not wait.
        self.interrupt(process)
        status = process.wait()
        if self._first is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
            with selectors.DefaultSelector() as selector:
                # Ready when it is gone; the kernel ends all others in the namespace before.
                selector.register(self._first, selectors.EVENT_READ)
                selector.select(_PATIENCE)
            os.close(self._first)
            self._first = None
        # bwrap tells the signal that ended the child as shells do, since it cannot do otherwise.
        number = status - EXIT_SIGNAL
        return -number if 0 < number < signal.NSIG else status


class Supervised:
    """Processes below a supervisor, which ends them before it ends; see `payload.supervisor`."""

    confined = True

    def __init__(self) -> None:
        """Nothing is needed to find them."""
        self.environment: dict[str, str] = {}

    def started(self, process: subprocess.Popen[bytes], facts: int) -> None:
        """Do nothing: the supervisor is the child."""

    def interrupt(self, process: subprocess.Popen[bytes]) -> None:
        """Ask the supervisor to end them."""
        process.terminate()

    def kill(self, process: subprocess.Popen[bytes]) -> int:
        """Have the supervisor end them; its status is that of the child."""
        self.interrupt(process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_PATIENCE)
        process.kill()
        return process.wait()


def _sweep(mark: str) -> None:
    """Kill what carries a mark."""
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


def _wait_for_facts(descriptor: int) -> None:
    """Read until the end of what bwrap says, which is a JSON object, but not for ever."""
    deadline = time.monotonic() + _PATIENCE
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(descriptor, 4096)
            # What is around bwrap keeps the pipe open.
            if not chunk or b"}" in chunk:
                break


def _children(process: int) -> bytes:
    with open(f"/proc/{process}/task/{process}/children", "rb") as file:
        return file.read()


def _parent(process: int) -> int:
    with open(f"/proc/{process}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])
