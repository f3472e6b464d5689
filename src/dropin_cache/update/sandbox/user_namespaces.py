"""User namespaces and what ends with them; user_namespaces(7), pid_namespaces(7), setrlimit(2).

The limit of processes is one for all processes of a user in a user namespace. A sandbox that has
one to itself is neither starved by what else runs as its user, nor does it starve that. And a
process of root's that enters one can become a user of it for good, by what it has loaded outside.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import select
import subprocess
import time
from collections.abc import Sequence
from errno import EPERM

from dropin_cache.update.sandbox.launch import unusable

_UNSHARE, _CAT = "/usr/bin/unshare", "/bin/cat"
_COUNTED_APART_SINCE = (5, 14)
_PATIENCE = 10.0  # seconds for the kernel to end what is in there


def counted_apart() -> bool:
    """Tell whether the kernel counts the processes in each by themselves."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return version is not None and tuple(map(int, version.groups())) >= _COUNTED_APART_SINCE


def lacks(*, privileged: bool) -> str | None:
    """Say which of the programs that make them must not or cannot be run; None if all can."""
    reasons = (unusable(tool, privileged=privileged) for tool in (_UNSHARE, _CAT))
    return next((reason for reason in reasons if reason is not None), None)


@functools.cache
def impossible(users: tuple[tuple[int, int], ...]) -> str | None:
    """Say why root can make none here; None if one can. The argument is that of `Namespaces`."""
    reason = lacks(privileged=True)
    if reason is not None:
        return reason
    try:
        Namespaces(users).end()
    except OSError as error:
        return error.strerror or str(error)
    return None


class Namespaces:
    """A user namespace, and a process namespace in it, which last as long as this process.

    Attributes:
        users: A descriptor of the user namespace.
        processes: A descriptor of the process namespace.
    """

    def __init__(self, users: Sequence[tuple[int, int]]) -> None:
        """Make them.

        Args:
            users: The users it holds: pairs of the number that one has in there, and outside. All
                groups are in it, each as itself; only root's own if somebody else makes it.

        Raises:
            OSError: There can be none here.
        """
        # The first process of the namespace, which says when it is in there. It ends when its input
        # does, with this process at the latest, and everything else in there ends with it.
        self._first = subprocess.Popen(  # noqa: S603 - absolute paths only
            [_UNSHARE, "--user", "--pid", "--fork", _CAT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            bufsize=0,
            start_new_session=True,  # what a terminal sends to a group is not for it
        )
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(self._end_first)
            try:
                self._fill(users)
            except OSError as error:
                reason = f"no user namespace can be made here ({error.strerror})"
                raise OSError(error.errno, reason) from error
            self.users = self._open("user")
            cleanup.callback(os.close, self.users)
            self.processes = self._open("pid_for_children")
            cleanup.callback(os.close, self.processes)
            self._cleanup = cleanup.pop_all()

    def kill(self) -> None:
        """End all processes in there, without waiting."""
        self._first.stdin.close()  # type: ignore[union-attr]  # a pipe

    def end(self) -> None:
        """End all processes in there, and wait for that."""
        self._cleanup.close()

    def _fill(self, users: Sequence[tuple[int, int]]) -> None:
        assert self._first.stdin is not None  # noqa: S101 - for the type checker: these are pipes
        assert self._first.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._first.stdin.write(b".")
        if not self._first.stdout.read(1):
            raise PermissionError(EPERM, "the system does not allow it")
        self._write("uid_map", "".join(f"{inside} {outside} 1\n" for inside, outside in users))
        if os.geteuid() == 0:
            self._write("gid_map", _all_groups())
        else:
            self._write("setgroups", "deny")
            self._write("gid_map", f"{os.getegid()} {os.getegid()} 1\n")

    def _write(self, name: str, text: str) -> None:
        with open(f"/proc/{self._first.pid}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    def _open(self, kind: str) -> int:
        return os.open(f"/proc/{self._first.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)

    def _end_first(self) -> None:
        self.kill()
        assert self._first.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        with self._first.stdout as nothing, contextlib.suppress(subprocess.TimeoutExpired):
            # It is closed when all is over. To wait for a process with a timeout is to sleep
            # between looks at it, for longer and longer.
            deadline = time.monotonic() + _PATIENCE
            over = select.poll()
            over.register(nothing, 0)  # which leaves POLLHUP
            over.poll(_PATIENCE * 1000)
            self._first.wait(max(0, deadline - time.monotonic()))


def _all_groups() -> str:
    """Return a map of all groups; capabilities do not reach what is of one that is left out."""
    with open("/proc/self/gid_map", encoding="ascii") as file:
        ranges = [line.split() for line in file]
    return "".join(f"{first} {first} {count}\n" for first, _, count in ranges)
