"""What to do about what keeps a user from reading or writing: owners, permissions, attributes."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from errno import EACCES, EISDIR, EROFS

from dropin_cache.errors import NotWrittenError

AGAIN = "Fix that, and run the same command again."
"""What is left to do where the message says all that is known."""


def about_writing(problem: NotWrittenError) -> str:
    """Return what can be done about a cache that cannot be written.

    Args:
        problem: What keeps it from being written.
    """
    directory = os.path.dirname(problem.path)
    if problem.obstacle.startswith(problem.ATTRIBUTE):
        what = problem.obstacle[len(problem.ATTRIBUTE) :]
        return f"Somebody wants it to stay as it is. If not any more, as root: chattr -i -a {what}"
    if problem.obstacle == problem.LOCKS:
        return _about_locks()
    if problem.errno == EROFS:
        return "Update before it is made read-only, or mount it writable."
    if problem.errno == EISDIR:
        return f"A directory has the name of the cache. If it is of no use: rmdir {problem.path}"
    if problem.errno == EACCES:
        return _about_access(directory)
    return AGAIN


def _about_locks() -> str:
    if os.geteuid() == 0:
        return "Move away what is in the way there, and run the same command again."
    return "Name a directory of yours for locks: XDG_RUNTIME_DIR=DIR dropin-cache ..."


def _about_access(directory: str) -> str:
    """Say what to do about a directory in which this user cannot write."""
    user = os.geteuid()
    with contextlib.suppress(OSError):
        status = os.stat(directory)
        if status.st_uid == user and status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            return f"It is your own directory: chmod u+rwx {directory}"
    if user == 0:
        return "It is not for permissions. SELinux, AppArmor or a file server may forbid it."
    return f"Run this as a user who may write there{such_as_owner(directory)}"


def such_as_owner(path: str) -> str:
    """Name the owner of something and how to be that user, if it is known and another one.

    Args:
        path: What it is.

    Returns:
        The end of a sentence.
    """
    with contextlib.suppress(OSError, KeyError):
        owner = os.stat(path).st_uid
        if owner != os.geteuid():
            name = pwd.getpwuid(owner).pw_name
            return ": sudo dropin-cache ..." if owner == 0 else f": sudo -u {name} dropin-cache ..."
    return "."
