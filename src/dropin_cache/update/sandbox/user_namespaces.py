"""User namespaces, in which processes are counted apart; user_namespaces(7), setrlimit(2).

The limit of processes is one for all processes of a user in a user namespace. A sandbox that has
one to itself is neither starved by what else runs as its user, nor does it starve that. And a
process of root's that enters one can become a user of it for good, by what it has loaded outside.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
from collections.abc import Sequence

_UNSHARE, _CAT = "/usr/bin/unshare", "/usr/bin/cat"
_COUNTED_APART_SINCE = (5, 14)


def counted_apart() -> bool:
    """Tell whether the kernel counts the processes in each by themselves."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return version is not None and tuple(map(int, version.groups())) >= _COUNTED_APART_SINCE


@functools.cache
def impossible(users: tuple[tuple[int, int], ...]) -> str | None:
    """Say why none can be made here; None if one can. The arguments are those of `make`."""
    try:
        os.close(make(users))
    except OSError as error:
        return f"no user namespace can be made here: {error.strerror or error}"
    return None


def make(users: Sequence[tuple[int, int]]) -> int:
    """Make a user namespace.

    Args:
        users: The users it holds: pairs of the number that one has in there, and outside. All
            groups are in it, each as itself.

    Returns:
        Its descriptor, which is the caller's to close.

    Raises:
        OSError: There can be none here.
    """
    # It holds the namespace until there is a descriptor of it, and says when it is in there.
    holder = subprocess.Popen(  # noqa: S603 - absolute paths only
        [_UNSHARE, "--user", _CAT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        bufsize=0,
    )
    with contextlib.suppress(BrokenPipeError), holder:
        assert holder.stdin is not None  # noqa: S101 - for the type checker: these are pipes
        assert holder.stdout is not None  # noqa: S101
        holder.stdin.write(b".")
        if holder.stdout.read(1):
            uids = "".join(f"{inside} {outside} 1\n" for inside, outside in users)
            for name, lines in (("uid_map", uids), ("gid_map", _all_groups())):
                with open(f"/proc/{holder.pid}/{name}", "w", encoding="ascii") as file:
                    file.write(lines)
            return os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    raise PermissionError("the system does not allow it")


def _all_groups() -> str:
    """Return a map of all groups; capabilities do not reach what is of one that is left out."""
    with open("/proc/self/gid_map", encoding="ascii") as file:
        ranges = [line.split() for line in file]
    return "".join(f"{first} {first} {count}\n" for first, _, count in ranges)
