"""What to do about something that root does not rely on: right for the very case.

Nothing of this makes a directory root's that is somebody's home, or closes what is for all.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat

from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.reading import read_file

_USERS = "/proc/self/uid_map"  # user_namespaces(7)
_MAX_SIZE = 1 << 16
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
        return _about_user(others[1], others[2])
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


def _about_user(number: str, name: str | None) -> str:
    if not _is_mapped(int(number)):
        return (
            "In this user namespace, that stands for all users who are not in it. "
            "Run this outside of it, or as an ordinary user."
        )
    user = name or f"'#{number}'"  # as sudo(8) takes a number
    return (
        "Root relies on nothing that others can change. Run this as that user: "
        f"sudo -u {user} dropin-cache ..., or let root have a copy of its own."
    )


def _is_mapped(user: int) -> bool:
    """Tell whether a number is that of a user in this user namespace, as far as is known."""
    with contextlib.suppress(OSError, ValueError):
        lines = read_file(_USERS, _MAX_SIZE).splitlines()
        ranges = [(int(first), int(count)) for first, _, count in map(bytes.split, lines)]
        return any(first <= user < first + count for first, count in ranges)
    return True


def _mode(path: str) -> int:
    """Return what kind of thing a path leads to, and who may use it; 0 if there is nothing."""
    with contextlib.suppress(OSError):
        return os.stat(path).st_mode
    return 0
