"""The sandbox made of namespaces; see bwrap(1).

The child gets a file system that consists of its view, read-only, and a small private /tmp; no
network; and its own processes, System V objects and host name. Whoever is in it is nobody, has no
capabilities and cannot get any. The kernel ends all of it with the first process in it.

Whatever is executed in there may be an image's: the programs, the libraries and what loads them. So
root has become another user, for good, before that. Bubblewrap does it where it enters a user
namespace, before it makes any other, so it is code that was loaded from the host.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Optional

from dropin_cache.update.sandbox import user_namespaces
from dropin_cache.update.sandbox.filter import call_filter, machine
from dropin_cache.update.sandbox.launch import (
    FILTER,
    PRLIMIT,
    PROCESS_NAMESPACE,
    SCRUBBED,
    SETPRIV,
    USER_NAMESPACE,
    Launch,
    child_account,
    require_reachable,
    unusable,
    within,
)
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.trial import NOTHING, trial
from dropin_cache.update.sandbox.visible import View, above

_BWRAP = "/usr/bin/bwrap"
_CHOOM = "/usr/bin/choom"
_FIRST_TO_GO = [_CHOOM, "-n", "1000", "--"]  # where memory runs out; choom(1)
# What bubblewrap leaves as it finds it.
_KEEP_NOTHING = (SETPRIV, "--clear-groups", "--inh-caps=-all", "--ambient-caps=-all", "--")
# Whoever is not called root keeps his capabilities when he becomes somebody else, and they are
# needed until the file system is made; capabilities(7). They reach what belongs to those who are in
# the user namespace. Root is, by a number that nobody has: what is shown may be below directories
# that nobody else can enter.
_ROOT_INSIDE = (1 << 32) - 2
_FIRST = "/proc/1"  # see `user_namespaces`


class Namespace:
    """The tier `namespace`."""

    tier = "namespace"

    def __init__(self, limits: Limits, *, privileged: bool) -> None:
        """Take what a child may use, and whether it has to become another user."""
        self._limits = limits
        self._account = child_account() if privileged else None
        self.user = None if self._account is None else self._account.uid
        self._filter = call_filter(machine())

    @property
    def apart(self) -> bool:
        """Whether the processes of each child are counted by themselves."""
        return self._account is None or user_namespaces.counted_apart()

    def lacks(self) -> str | None:
        """Look for the filter and the tools."""
        if not self._filter:
            return "there is no filter of system calls for this machine"
        privileged = self._account is not None
        tools = [_BWRAP, _CHOOM, PRLIMIT, *([SETPRIV] if privileged else [])]
        reasons = (unusable(tool, privileged=privileged) for tool in tools)
        reason = next((reason for reason in reasons if reason is not None), None)
        return reason or user_namespaces.lacks(privileged=privileged)

    def works(self) -> str | None:
        """Run a program that does nothing, exactly as a child would be run."""
        return self.lacks() or trial(self.launch(NOTHING, View.of(None)))

    def launch(self, python: str, view: Optional[View] = None) -> Launch:  # noqa: UP045
        """Say how to start an interpreter that can read no more than a view.

        Raises:
            InterpreterError: The child could not run it.
            DirectoryError: The child could not read one of the view's roots.
        """
        view = view or View.of(python)
        if self._account is not None:
            # What is above does not matter: the child has other directories there.
            require_reachable(view, python, self._account, on_the_way=False)
        return Launch(
            self._command([python, "-I", "-S", "-B"], view),
            SCRUBBED,
            "/",
            self.tier,
            self._filter,
            self._users(),
            (_home_in(view),),
        )

    def _users(self) -> tuple[tuple[int, int], ...]:
        if self._account is None:
            return ((os.geteuid(), os.geteuid()),)
        return ((self._account.uid, self._account.uid), (_ROOT_INSIDE, 0))

    def _command(self, program: list[str], view: View) -> list[str]:
        keep_nothing = () if self._account is None else _KEEP_NOTHING
        bwrap = [*_FIRST_TO_GO, *keep_nothing, _BWRAP, "--seccomp", FILTER]
        bwrap += [*self._isolation(_home_in(view)), *self._file_system(view)]
        return [*self._limiting, *bwrap, "--", *program]

    @functools.cached_property
    def _limiting(self) -> list[str]:
        # May look at all processes of the machine, and once is enough for a run.
        if self._account is None:
            return within(self._limits, os.geteuid(), apart=False)
        return within(self._limits, self._account.uid, apart=user_namespaces.counted_apart())

    def _isolation(self, home: str) -> Iterator[str]:
        yield from ("--unshare-ipc", "--unshare-net", "--unshare-uts")
        yield from ("--unshare-cgroup-try", "--hostname", "dropin-cache")
        # It has no terminal to push input into.
        yield from ("--new-session", "--cap-drop", "ALL")
        # The child ends with this. bwrap must not end before, as it would with the update: it reaps
        # what is in there, and without that the namespace does not end; pid_namespaces(7).
        yield from ("--userns", USER_NAMESPACE, "--pidns", PROCESS_NAMESPACE)
        if self._account is not None:
            yield from ("--uid", str(self._account.uid), "--gid", str(self._account.gid))
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
        # The first process is outside of all this but for its number. By what /proc has of it, the
        # network and the mounts of the machine could be looked at; and by a child that has its
        # user, where there is no Landlock, all files of his be read and written.
        yield from ("--perms", "0555", "--tmpfs", _FIRST)
        # A user that is not changed owns /dev and /. In /proc, a process could take back that it is
        # the first to be killed where memory runs out, or write into others.
        for place in (_FIRST, "/proc", "/dev", "/"):
            yield from ("--remount-ro", place)
        yield from ("--chdir", "/")


def _home_in(view: View) -> str:
    """Return where a child may write.

    Landlock allows what is below a directory as well. A FIFO that is shown below /tmp could be
    written into if all of /tmp were allowed: a read-only mount does not keep anybody from that.
    """
    below = any(entry.destination.startswith("/tmp/") for entry in view.entries)  # noqa: S108
    return "/tmp/dropin-cache-home" if below else "/tmp"  # noqa: S108
