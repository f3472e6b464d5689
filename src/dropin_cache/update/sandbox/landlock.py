"""The sandbox made of Landlock and a filter of system calls, for where there are no namespaces.

A supervisor starts prlimit, then the program that confines itself, then setpriv; see `supervisor`
and `confinement` of `payload`, prlimit(1) and setpriv(1). The child has the file system as it is,
in which it can read its view and write nowhere. It sees the numbers of other processes but nothing
of them.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Optional

from dropin_cache.update.payload import confinement
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


class Landlock:
    """The tier `landlock`."""

    tier = "landlock"

    def __init__(self, limits: Limits, *, privileged: bool) -> None:
        """Take what a child may use, and whether it has to become another user."""
        self._limits = limits
        self._account = child_account() if privileged else None
        self.user = None if self._account is None else self._account.uid
        self.alone = confinement.abi() >= confinement.SCOPES

    def lacks(self) -> str | None:
        """Ask the kernel, and look for the tools."""
        if confinement.abi() == 0:
            return "the kernel has no Landlock"
        machine = os.uname().machine
        if not confinement.call_filter(machine, all_of_them=True):
            return f"there is no filter of system calls for {machine}"
        tools = [PRLIMIT, *([SETPRIV] if self._account else [])]
        reasons = (unusable(tool, privileged=self._account is not None) for tool in tools)
        return next((reason for reason in reasons if reason is not None), None)

    works = lacks

    def launch(self, python: str, view: Optional[View] = None) -> Launch:  # noqa: UP045
        """Say how to start an interpreter that can read no more than a view.

        Raises:
            InterpreterError: The child could not run it.
            ImportRootError: The child could not read one of the view's roots.
        """
        view = view or View.of(python)
        if self._account is not None:
            require_reachable(view, python, self._account, on_the_way=True, advice=f"; {_ADVICE}")
        user = os.geteuid() if self._account is None else self._account.uid
        rules = {"read": sorted({entry.source for entry in view.entries})}
        ours = [sys.executable, "-I", "-S", "-B", "-c"]
        arguments = [
            *(*ours, source_of("dropin_cache.update.payload.supervisor").text, LIFELINE),
            *within(self._limits, user),
            *(*ours, source_of(confinement.__name__).text, json.dumps(rules)),
            *([] if self._account is None else without_privilege(self._account)),
            *(python, "-I", "-B"),
        ]
        return Launch(arguments, {**SCRUBBED, "HOME": "/nonexistent"}, "/", self.tier)
