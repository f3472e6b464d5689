"""Run processes one at a time, and measure them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import Sample

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}

_STATE = "/var/cache/dropin-cache"


class Spent(NamedTuple):
    """What a process came to.

    Attributes:
        wall: Nanoseconds from before it was started until its end was known.
        cpu: Nanoseconds of processor time, user's and system's, with all that it waited for.
        out: What it printed.
    """

    wall: int
    cpu: int
    out: str

    @property
    def sample(self) -> Sample:
        """Its times."""
        return Sample(self.wall, self.cpu)


class Runner:
    """Starts processes with an environment that nobody's shell has a say in."""

    def __init__(self, home: Path) -> None:
        """Make it.

        Args:
            home: Stands for the home directory, and holds what updates remember.
        """
        self._home = home
        self._environment = {**_ENVIRONMENT, "HOME": str(home)}
        self._state: str | None = None

    def remember(self, state: str) -> None:
        """Have updates remember what they did apart from what they do in other environments.

        Root's place for that is one for the machine. tools/bench has started us where mounts are
        ours alone, and where another directory can lie in that place.

        Args:
            state: A name for it.
        """
        if state == self._state:
            return
        place = self._home / "states" / state
        place.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            if self._state is not None:
                subprocess.run(["umount", _STATE], check=True)  # noqa: S603, S607
            subprocess.run(["mount", "--bind", place, _STATE], check=True)  # noqa: S603, S607
        else:
            self._environment["XDG_CACHE_HOME"] = str(place)
        self._state = state

    def run(self, command: Sequence[str], *, silent: bool = False) -> Spent:
        """Run a command to its end.

        Args:
            command: The command.
            silent: Whether it has to print nothing.

        Raises:
            SystemExit: It failed, or said what it should not.
        """
        before = time.perf_counter_ns()
        process = subprocess.Popen(  # noqa: S603 - of this program's own choice
            command,
            env=self._environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None  # noqa: S101 - for the type checker
        with process.stdout as stream:
            out = stream.read()  # ends when the process does, or all that it left behind
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter_ns() - before
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 or (silent and out):
            raise SystemExit(
                f"bench: error: exit status {process.returncode} of {' '.join(command)[:300]}:\n"
                f"{out[-3000:]}"
            )
        return Spent(wall, round((usage.ru_utime + usage.ru_stime) * 1e9), out)
