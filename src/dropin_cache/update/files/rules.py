"""Who could change a thing, as far as its owner, mode and access control list tell."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

_OTHER_WRITERS = stat.S_IWGRP | stat.S_IWOTH


class Rules:
    """What a privileged process must not rely on, because others than root can change it."""

    def __init__(self, groups: frozenset[int]) -> None:
        """Take the numbers of the groups, besides 0, that may write."""
        self._groups = groups | {0}

    def problem(self, descriptor: int, *, passing: bool) -> str:
        """Say why a file or directory cannot be relied on, or nothing.

        Args:
            descriptor: What was opened.
            passing: Whether it is only passed through; what is found in it will be checked too.
        """
        status = os.fstat(descriptor)
        if status.st_uid != 0:
            return f"belongs to {user_in_words(status.st_uid)}, not to root"
        if passing and status.st_mode & stat.S_ISVTX:
            return ""  # others can add to it, but can neither rename nor remove what is root's
        if status.st_mode & stat.S_IWOTH:
            return "can be written by others"
        # These bits cover access control lists too: where there is one, they are its mask, the
        # most that any user or group in it gets. Only if they are accepted for the sake of the
        # owning group does it matter whom else the list may name.
        if status.st_mode & stat.S_IWGRP:
            if status.st_gid not in self._groups:
                return f"can be written by {_group(status.st_gid)}"
            if _has_acl(descriptor, status):
                return "can be written by those in its access control list"
        return ""

    def entry_problem(self, status: os.stat_result, directory: os.stat_result) -> str:
        """Say why an entry of a directory must not be used whatever it is, or nothing."""
        if stat.S_ISLNK(status.st_mode) and status.st_uid != 0:
            return f"is a symbolic link of {user_in_words(status.st_uid)}"
        # Whoever can add to a directory can add hard links to files and links that are root's. The
        # count of links does not tell: it is 1 again when root has removed the others, which can
        # be in this very moment. Directories have no hard links.
        shared = directory.st_mode & stat.S_ISVTX and directory.st_mode & _OTHER_WRITERS
        linkable = status.st_uid == 0 or status.st_nlink > 1
        if shared and linkable and not stat.S_ISDIR(status.st_mode):
            return "may be a hard link that others have made"
        return ""


def _has_acl(descriptor: int, status: os.stat_result) -> bool:
    if stat.S_ISDIR(status.st_mode):  # opened as O_PATH, and that cannot be asked
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
    else:
        readable = os.dup(descriptor)
    try:
        os.getxattr(readable, "system.posix_acl_access")
    except OSError as error:
        return error.errno not in (errno.ENODATA, errno.ENOTSUP)
    finally:
        os.close(readable)
    return True


def user_in_words(number: int) -> str:
    """Return the number of a user and, if there is one, the name."""
    import pwd  # noqa: PLC0415 - for refusals only

    with contextlib.suppress(KeyError):
        return f"user {number} ({pwd.getpwuid(number).pw_name})"
    return f"user {number}"


def _group(number: int) -> str:
    import grp  # noqa: PLC0415 - for refusals only

    with contextlib.suppress(KeyError):
        return f"group {number} ({grp.getgrgid(number).gr_name})"
    return f"group {number}"
