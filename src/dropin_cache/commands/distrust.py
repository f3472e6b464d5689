"""What to do about something that root does not rely on: right for the very case.

Nothing of this makes a directory root's that is somebody's home, or closes one that is for all.
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
    group = _GROUP.match(problem.problem)
    if group:
        return (
            f"Only root may be able to write there: chmod g-w {problem.component}. "
            f"To trust {group[2] or group[1]}: {_GROUPS}"
        )
    if "access control list" in problem.problem:
        return f"Only root may be able to write there: setfacl -b {problem.component}"
    if "hard link" in problem.problem or _is_for_all(problem.component):
        return "Everybody can write there, and is meant to. Use a directory that is root's alone."
    return f"Only root may be able to write there: chmod go-w {problem.component}"


def _is_for_all(directory: str) -> bool:
    """Tell whether a directory is one like /tmp."""
    with contextlib.suppress(OSError):
        return bool(os.stat(directory).st_mode & stat.S_ISVTX)
    return False
