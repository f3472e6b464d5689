"""The sandbox made of namespaces: bubblewrap, then setpriv; see bwrap(1) and setpriv(1).

The child gets a file system that consists of its view, read-only, and a small private /tmp; no
network; and its own processes, System V objects and host name. Whoever is in it is nobody, has no
capabilities and cannot get any. The kernel ends all of it with the first process in it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Optional

from dropin_cache.update.sandbox.filter import call_filter, machine
from dropin_cache.update.sandbox.launch import (
    FILTER,
    INFO,
    PRLIMIT,
    SCRUBBED,
    SETPRIV,
    USER_NAMESPACE,
    Launch,
    child_account,
    readable,
    require_reachable,
    unusable,
    within,
    without_privilege,
)
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.visible import View, above
from dropin_cache.update.text import one_line

_BWRAP = "/usr/bin/bwrap"
_CHOOM = "/usr/bin/choom"
_FIRST_TO_GO = [_CHOOM, "-n", "1000", "--"]  # where memory runs out; choom(1)
_PATIENCE = 10  # seconds for a trial that takes some ten milliseconds
# Only until setpriv has used them, which gives them up together with all others.
_FOR_SETPRIV = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")


class Namespace:
    """The tier `namespace`."""

    tier = "namespace"
    at_once = 64  # each counts its processes by itself

    def __init__(self, limits: Limits, *, privileged: bool) -> None:
        """Take what a child may use, and whether it has to become another user."""
        self._limits = limits
        self._limiting: list[str] = []
        self._account = child_account() if privileged else None
        self.user = None if self._account is None else self._account.uid
        self._filter = call_filter(machine())

    def lacks(self) -> str | None:
        """Look for the filter and the tools."""
        if not self._filter:
            return "there is no filter of system calls for this machine"
        tools = [_BWRAP, _CHOOM, PRLIMIT, *([SETPRIV] if self._account else [])]
        reasons = (unusable(tool, privileged=self._account is not None) for tool in tools)
        return next((reason for reason in reasons if reason is not None), None)

    def works(self) -> str | None:
        """Run a program that does nothing, exactly as a child would be run."""
        reason = self.lacks()
        if reason is not None:
            return reason
        command = self._command(["/usr/bin/true"], View.of(None))
        descriptor = readable(self._filter)
        # Of its facts nothing is wanted; they go to the output, which nobody reads.
        numbers = {INFO: "1", FILTER: str(descriptor)}
        command = _without_user_namespace(command)
        try:
            done = subprocess.run(  # noqa: S603 - absolute paths only
                [numbers.get(argument, argument) for argument in command],
                pass_fds=[descriptor],
                env=SCRUBBED,
                input=b"",
                capture_output=True,
                check=False,
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return f"bwrap: no end after {_PATIENCE} s"
        finally:
            os.close(descriptor)
        if done.returncode == 0:
            return None
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return one_line(lines[-1]) if lines else f"bwrap: exit status {done.returncode}"

    def room(self) -> contextlib.AbstractContextManager[None]:
        """Make nothing: the child has a /tmp of its own."""
        return contextlib.nullcontext()

    def launch(
        self,
        python: str,
        view: Optional[View] = None,  # noqa: UP045
        private: Optional[str] = None,  # noqa: ARG002, UP045
    ) -> Launch:
        """Say how to start an interpreter that can read no more than a view.

        Raises:
            InterpreterError: The child could not run it.
            ImportRootError: The child could not read one of the view's roots.
        """
        view = view or View.of(python)
        if self._account is not None:
            # What is above does not matter: the child has other directories there.
            require_reachable(view, python, self._account, on_the_way=False)
        users = () if self._account is None else ((0, 0), (self._account.uid, self._account.gid))
        return Launch(
            self._command([python, "-I", "-S", "-B"], view),
            SCRUBBED,
            "/",
            self.tier,
            self._filter,
            users,
            (_home_in(view),),
        )

    def _command(self, program: list[str], view: View) -> list[str]:
        user = os.geteuid() if self._account is None else self._account.uid
        drop = [] if self._account is None else without_privilege(self._account)
        descriptors = ["--info-fd", INFO, "--seccomp", FILTER]
        if self._account is not None:
            descriptors += ["--userns", USER_NAMESPACE]
        bwrap = [*_FIRST_TO_GO, _BWRAP, *descriptors, *self._isolation(_home_in(view))]
        bwrap += self._file_system(view)
        # Looks at all processes of the machine, and once is enough for a run.
        self._limiting = self._limiting or within(self._limits, user)
        return [*self._limiting, *bwrap, "--", *drop, *program]

    def _isolation(self, home: str) -> Iterator[str]:
        yield from ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts")
        yield from ("--unshare-cgroup-try", "--hostname", "dropin-cache")
        # With the update, the child goes, too; and it has no terminal to push input into.
        yield from ("--die-with-parent", "--new-session")
        yield from ("--cap-drop", "ALL")
        if self._account is None:
            yield "--unshare-user"
        else:
            for capability in _FOR_SETPRIV:
                yield from ("--cap-add", capability)
        yield "--clearenv"
        for name, value in {**SCRUBBED, "HOME": home, "TMPDIR": home}.items():
            yield from ("--setenv", name, value)

    def _file_system(self, view: View) -> Iterator[str]:
        size = str(self._limits.file_size)
        yield from ("--perms", "1777", "--size", size, "--tmpfs", "/tmp")  # noqa: S108
        home = _home_in(view)
        if home != "/tmp":  # noqa: S108
            yield from ("--perms", "1777", "--dir", home)
        made = {"/tmp"}  # noqa: S108
        for entry in view.entries:
            # Else bwrap makes them with the mode of those above the source. The child could not
            # reach an interpreter below /root, for example.
            for directory in reversed(list(above(entry.destination))):
                if directory not in made:
                    made.add(directory)
                    yield from ("--perms", "0755", "--dir", directory)
            yield from ("--ro-bind", *entry)
        for link in view.links:
            yield from ("--symlink", *link)
        yield from ("--proc", "/proc", "--dev", "/dev")
        # A user that is not changed owns /dev and /. In /proc, a process could take back that it is
        # the first to be killed where memory runs out, or write into others.
        yield from ("--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/")
        yield from ("--chdir", "/")


def _home_in(view: View) -> str:
    """Return where a child may write.

    Landlock allows what is below a directory as well. A FIFO that is shown below /tmp could be
    written into if all of /tmp were allowed: a read-only mount does not keep anybody from that.
    """
    below = any(entry.destination.startswith("/tmp/") for entry in view.entries)  # noqa: S108
    return "/tmp/dropin-cache-home" if below else "/tmp"  # noqa: S108


def _without_user_namespace(command: list[str]) -> list[str]:
    """Leave out what a trial need not have, and what may not be had."""
    if USER_NAMESPACE not in command:
        return command
    place = command.index(USER_NAMESPACE)
    return command[: place - 1] + command[place + 1 :]
