"""What to do about something that root does not rely on: right for the very case.

Nothing of this makes a directory root's that is somebody's home, or closes what is for all.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat

from dropin_cache.errors import UntrustedError

_GROUPS = "trusted-groups in /etc/dropin-cache/dropin-cache.conf"
_OTHERS = re.compile(r"(?:belongs to|is a symbolic link of) user (\d+)(?: \((.+)\))?")
_GROUP = re.compile(r"can be written by group (\d+)(?: \((.+)\))?")


def remedy(problem: UntrustedError) -> str:
    """Return what somebody can do about a refusal, in one line.

    Args:
        problem: What was refused, and why.
    """
    others = _OTHERS.match(problem.problem)
    if others:
        user = others[2] or f"'#{others[1]}'"  # as sudo(8) takes a number
        return (
            "Root relies on nothing that others can change. Run this as that user: "
            f"sudo -u {user} dropin-cache ..., or let root have a copy of its own."
        )
    mode = _mode(problem.component)
    if mode and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # such as /dev/null
        return f"Root uses files and directories only. Leave {problem.component} as it is."
    group = _GROUP.match(problem.problem)
    if group:
        return (
            f"Only root may be able to write there: chmod g-w {problem.component}. "
            f"To trust {group[2] or group[1]}: {_GROUPS}"
        )
    if "access control list" in problem.problem:
        return f"Only root may be able to write there: setfacl -b {problem.component}"
    if "hard link" in problem.problem or mode & stat.S_ISVTX:  # as /tmp has it
        return "Everybody can write there, and is meant to. Use a directory that is root's alone."
    return f"Only root may be able to write there: chmod go-w {problem.component}"


def _mode(path: str) -> int:
    """Return what kind of thing a path leads to, and who may use it; 0 if there is nothing."""
    with contextlib.suppress(OSError):
        return os.stat(path).st_mode
    return 0
