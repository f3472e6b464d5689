"""The sandbox made of Landlock and a filter of system calls, for where there are no namespaces.

A supervisor starts prlimit, then the program that confines itself, then setpriv; see `supervisor`
and `confinement` of `payload`, prlimit(1) and setpriv(1). The child has the file system as it is,
in which it can read its view and write in a directory of its own. It sees the numbers of other
processes but nothing of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import sys
from collections.abc import Iterator
from typing import Optional

from dropin_cache.update.files.lock import lock_user
from dropin_cache.update.files.private_directory import private_directory
from dropin_cache.update.sandbox.filter import call_filter, machine
from dropin_cache.update.sandbox.launch import (
    LIFELINE,
    PRLIMIT,
    SCRUBBED,
    SETPRIV,
    Launch,
    child_account,
    require_reachable,
    source_of,
    unusable,
    within,
    without_privilege,
)
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.visible import View

_ADVICE = "use the namespace sandbox (install bubblewrap), or move it"
_PATIENCE = 60.0  # seconds to wait for the sandboxes of another update
_PAYLOAD = "dropin_cache.update.payload"
_CREATE_RULESET, _VERSION = 444, 1  # linux/landlock.h


class Landlock:
    """The tier `landlock`."""

    tier = "landlock"
    at_once = 1  # all are one user, whose processes are counted together

    def __init__(self, limits: Limits, *, privileged: bool) -> None:
        """Take what a child may use, and whether it has to become another user."""
        self._limits = limits
        self._account = child_account() if privileged else None
        self.user = None if self._account is None else self._account.uid
        self._filter = call_filter(machine())
        self._rooms = 0
        self._alone = contextlib.ExitStack()

    def lacks(self) -> str | None:
        """Ask the kernel, and look for the tools."""
        reason = _missing_in_kernel()
        if reason is not None:
            return reason
        if not self._filter:
            return "there is no filter of system calls for this machine"
        tools = [PRLIMIT, *([SETPRIV] if self._account else [])]
        reasons = (unusable(tool, privileged=self._account is not None) for tool in tools)
        return next((reason for reason in reasons if reason is not None), None)

    works = lacks

    @contextlib.contextmanager
    def room(self) -> Iterator[Optional[str]]:  # noqa: UP045
        """Make the child's home, which also is its place for temporary files."""
        account = self._account
        if account is None:
            with private_directory([]) as private:
                yield private
            return
        # The kernel counts the processes of a user, whoever starts them.
        if not self._rooms:
            self._alone.enter_context(lock_user(account.uid, _PATIENCE))
        self._rooms += 1
        try:
            with private_directory(without_privilege(account)) as private:
                yield private
        finally:
            self._rooms -= 1
            if not self._rooms:
                self._alone.close()

    def launch(
        self,
        python: str,
        view: Optional[View] = None,  # noqa: UP045
        private: Optional[str] = None,  # noqa: UP045
    ) -> Launch:
        """Say how to start an interpreter that can read no more than a view.

        Raises:
            InterpreterError: The child could not run it.
            ImportRootError: The child could not read one of the view's roots.
        """
        view = view or View.of(python)
        if self._account is not None:
            require_reachable(view, python, self._account, on_the_way=True, advice=f"; {_ADVICE}")
        user = os.geteuid() if self._account is None else self._account.uid
        writable = () if private is None else (private,)
        rules = {
            "read": sorted({entry.source for entry in view.entries}),
            "write": writable,
            "filter": self._filter.hex(),
        }
        ours = [sys.executable, "-I", "-S", "-B", "-c"]
        arguments = [
            *(*ours, source_of(f"{_PAYLOAD}.supervisor").text, LIFELINE),
            *within(self._limits, user),
            *(*ours, source_of(f"{_PAYLOAD}.confinement").text, json.dumps(rules)),
            *([] if self._account is None else without_privilege(self._account)),
            *(python, "-I", "-S", "-B"),
        ]
        home = private or "/nonexistent"
        environment = {**SCRUBBED, "HOME": home, "TMPDIR": home}
        return Launch(arguments, environment, "/", self.tier, writable=writable)


def _missing_in_kernel() -> str | None:
    """Say why there is no Landlock, landlock_create_ruleset(2); None if there is."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION) > 0:
        return None
    number = ctypes.get_errno()
    if number in {errno.ENOSYS, errno.EOPNOTSUPP}:
        return "the kernel has no Landlock, or it is switched off"
    return f"Landlock may not be used here: {os.strerror(number)} (denied by a container?)"
