"""Ending a child together with everything it has started, wherever that has gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import Protocol

from dropin_cache.errors import EXIT_SIGNAL
from dropin_cache.update.sandbox.start import Started
from dropin_cache.update.sandbox.user_namespaces import Namespaces

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

    def interrupt(self, started: Started) -> None:
        """Have the child end soon, without waiting; it may be dead, but is not reaped."""

    def kill(self, started: Started) -> int:
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

    def interrupt(self, started: Started) -> None:
        """Kill the group."""
        _kill_group(started.process)

    def kill(self, started: Started) -> int:
        """Kill the group, then what has left it."""
        _kill_group(started.process)
        status = started.process.wait()
        _sweep("=".join(*self.environment.items()))
        return status


class InNamespace:
    """Processes in a namespace of their own; see `sandbox.user_namespaces`."""

    confined = True

    def __init__(self) -> None:
        """Nothing is needed to find them."""
        self.environment: dict[str, str] = {}

    def interrupt(self, started: Started) -> None:
        """End the namespace."""
        _namespaces_of(started).kill()

    def kill(self, started: Started) -> int:
        """End the namespace, then bwrap if it has not entered that yet."""
        # Not the other way round: bwrap reaps what is in there. Where it is gone, that falls to the
        # first process of the system, which in containers may be one that reaps nothing.
        _namespaces_of(started).end()
        _kill_group(started.process)
        status = started.process.wait()
        # bwrap tells the signal that ended the child as shells do, since it cannot do otherwise.
        number = status - EXIT_SIGNAL
        return -number if 0 < number < signal.NSIG else status


class Supervised:
    """Processes below a supervisor, which ends them before it ends; see `payload.supervisor`."""

    confined = True

    def __init__(self) -> None:
        """Nothing is needed to find them."""
        self.environment: dict[str, str] = {}

    def interrupt(self, started: Started) -> None:
        """Ask the supervisor to end them."""
        started.process.terminate()

    def kill(self, started: Started) -> int:
        """Have the supervisor end them; its status is that of the child."""
        self.interrupt(started)
        try:
            status = started.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            started.process.kill()
            status = started.process.wait()
        if started.namespaces is not None:
            started.namespaces.end()
        return status


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # It may outlive the child. It still has its number, since nobody has reaped it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _namespaces_of(started: Started) -> Namespaces:
    assert started.namespaces is not None  # noqa: S101 - each child of that tier has some
    return started.namespaces


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
