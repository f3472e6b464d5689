"""The sandbox made of namespaces: bubblewrap, then setpriv; see bwrap(1) and setpriv(1).

The child gets a file system that consists of its view, read-only, and a small private /tmp; no
network; and its own processes, System V objects and host name. Whoever is in it is nobody, has no
capabilities and cannot get any. The kernel ends all of it with the first process in it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Optional

from dropin_cache.update.payload.confinement import call_filter
from dropin_cache.update.sandbox.launch import (
    FILTER,
    INFO,
    PRLIMIT,
    SCRUBBED,
    SETPRIV,
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
    alone = True

    def __init__(self, limits: Limits, *, privileged: bool) -> None:
        """Take what a child may use, and whether it has to become another user."""
        self._limits = limits
        self._limiting: list[str] = []
        self._account = child_account() if privileged else None
        self.user = None if self._account is None else self._account.uid
        # Where there is none for the machine, the namespaces have to do.
        self._filter = call_filter(os.uname().machine, all_of_them=False)

    def lacks(self) -> str | None:
        """Look for the tools."""
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

    def launch(self, python: str, view: Optional[View] = None) -> Launch:  # noqa: UP045
        """Say how to start an interpreter that can read no more than a view.

        Raises:
            InterpreterError: The child could not run it.
            ImportRootError: The child could not read one of the view's roots.
        """
        view = view or View.of(python)
        if self._account is not None:
            # What is above does not matter: the child has other directories there.
            require_reachable(view, python, self._account, on_the_way=False)
        command = self._command([python, "-I", "-B"], view)
        return Launch(command, SCRUBBED, "/", self.tier, self._filter)

    def _command(self, program: list[str], view: View) -> list[str]:
        user = os.geteuid() if self._account is None else self._account.uid
        drop = [] if self._account is None else without_privilege(self._account)
        descriptors = ["--info-fd", INFO, *(["--seccomp", FILTER] if self._filter else [])]
        bwrap = [*_FIRST_TO_GO, _BWRAP, *descriptors, *self._isolation(), *self._file_system(view)]
        # Looks at all processes of the machine, and once is enough for a run.
        self._limiting = self._limiting or within(self._limits, user)
        return [*self._limiting, *bwrap, "--", *drop, *program]

    def _isolation(self) -> Iterator[str]:
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
        for name, value in {**SCRUBBED, "HOME": "/tmp", "TMPDIR": "/tmp"}.items():  # noqa: S108
            yield from ("--setenv", name, value)

    def _file_system(self, view: View) -> Iterator[str]:
        size = str(self._limits.file_size)
        yield from ("--perms", "1777", "--size", size, "--tmpfs", "/tmp")  # noqa: S108
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
