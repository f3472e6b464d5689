"""The sandbox made of Landlock and a filter of system calls, for where there are no namespaces.

A supervisor starts prlimit, then the program that confines itself, then setpriv; see `supervisor`
and `confinement` of `payload`, prlimit(1) and setpriv(1). The child has the file system as it is,
in which it can read its view and write in a home that the supervisor makes and removes. It sees the
numbers of other processes but nothing of them.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
from typing import Optional

from dropin_cache.update.sandbox import user_namespaces
from dropin_cache.update.sandbox.filter import call_filter, machine
from dropin_cache.update.sandbox.launch import (
    LIFELINE,
    PRLIMIT,
    SCRUBBED,
    SETPRIV,
    USER_NAMESPACE,
    Launch,
    child_account,
    require_reachable,
    source_of,
    unusable,
    within,
    without_privilege,
)
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.trial import NOTHING, trial
from dropin_cache.update.sandbox.visible import View

_ADVICE = "use the namespace sandbox (install bubblewrap), or move it"
_PAYLOAD = "dropin_cache.update.payload"
_CREATE_RULESET, _VERSION = 444, 1  # linux/landlock.h


class Landlock:
    """The tier `landlock`."""

    tier = "landlock"
    _restricts_files = True

    def __init__(self, limits: Limits, *, privileged: bool) -> None:
        """Take what a child may use, and whether it has to become another user."""
        self._limits = limits
        self._account = child_account() if privileged else None
        self.user = None if self._account is None else self._account.uid
        self._filter = call_filter(machine())

    @property
    def apart(self) -> bool:
        """Whether the processes of each child are counted by themselves."""
        return bool(self._users())

    def lacks(self) -> str | None:
        """Ask the kernel, and look for the tools."""
        reason = _missing_in_kernel() if self._restricts_files else None
        if reason is not None:
            return reason
        if not self._filter:
            return "there is no filter of system calls for this machine"
        tools = [PRLIMIT, *([SETPRIV] if self._account else [])]
        reasons = (unusable(tool, privileged=self._account is not None) for tool in tools)
        return next((reason for reason in reasons if reason is not None), None)

    def works(self) -> str | None:
        """Run a program that does nothing, as a child would be run."""
        return self.lacks() or trial(self.launch(NOTHING, View.of(None)))

    def launch(self, python: str, view: Optional[View] = None) -> Launch:  # noqa: UP045
        """Say how to start an interpreter that can read no more than a view.

        Raises:
            InterpreterError: The child could not run it.
            DirectoryError: The child could not read one of the view's roots.
        """
        view = view or View.of(python)
        if self._account is not None:
            require_reachable(view, python, self._account, on_the_way=True, advice=f"; {_ADVICE}")
        user = os.geteuid() if self._account is None else self._account.uid
        drop = [] if self._account is None else without_privilege(self._account)
        users = self._users()
        # Root takes no place from its environment.
        above = None if os.geteuid() == 0 else os.environ.get("TMPDIR")
        home = os.path.abspath(f"{above or '/tmp'}/dropin-cache-{os.urandom(16).hex()}")  # noqa: S108
        read = sorted({entry.source for entry in view.entries})
        rules = {
            "read": read if self._restricts_files else None,
            "write": [home],
            "filter": self._filter.hex(),
            "size": self._limits.file_size,
        }
        ours = [sys.executable, "-I", "-S", "-B", "-c"]
        arguments = [
            *(*ours, source_of(f"{_PAYLOAD}.supervisor").text, LIFELINE),
            json.dumps({"home": home, "as_user": drop}),
            *within(self._limits, user, apart=bool(users)),
            *(*ours, source_of(f"{_PAYLOAD}.confinement").text, json.dumps(rules)),
            USER_NAMESPACE if users else "",
            *(*drop, python, "-I", "-S", "-B"),
        ]
        environment = {**SCRUBBED, "HOME": home, "TMPDIR": home}
        return Launch(arguments, environment, "/", self.tier, users=users, writable=(home,))

    def _users(self) -> tuple[tuple[int, int], ...]:
        """Return who is in a user namespace of the child's own; nobody if it can have none."""
        if self._account is None or not user_namespaces.counted_apart():
            return ()
        users = ((0, 0), (self._account.uid, self._account.uid))
        return users if user_namespaces.impossible(users) is None else ()


class AnotherUser(Landlock):
    """The tier `user`, for where neither namespaces nor Landlock are to be had.

    The child is another user for good, with the same limits and the same filter. It can read what
    everybody can, and write where everybody can. It is used only where somebody has asked for it,
    as for a builder that is a sandbox itself: there nobody else is, and nothing stays.
    """

    tier = "user"
    _restricts_files = False


def _missing_in_kernel() -> str | None:
    """Say why there is no Landlock, landlock_create_ruleset(2); None if there is."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION) > 0:
        return None
    number = ctypes.get_errno()
    if number in {errno.ENOSYS, errno.EOPNOTSUPP}:
        return "the kernel has no Landlock, or it is switched off"
    # What a filter denies is not missing: installing something, or another kernel, is no help.
    return (
        f"Landlock is forbidden here (landlock_create_ruleset: {os.strerror(number)}), by a filter "
        "of system calls such as that of a container or of systemd-nspawn"
    )
