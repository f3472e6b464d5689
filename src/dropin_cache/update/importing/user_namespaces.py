"""User namespaces, in which processes are counted apart; user_namespaces(7), setrlimit(2).

The limit of processes is one for all processes of a user in a user namespace. A sandbox that has
one to itself is neither starved by what else runs as its user, nor does it starve that. It holds
root and the sandbox's user, each as itself, so capabilities in there are good for nothing outside.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence

_UNSHARE, _CAT = "/usr/bin/unshare", "/usr/bin/cat"


def make(users: Sequence[tuple[int, int]]) -> int:
    """Make a user namespace.

    Args:
        users: The users it holds: pairs of the numbers of a user and of a group.

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
            for name, which in (("uid_map", 0), ("gid_map", 1)):
                numbers = dict.fromkeys(pair[which] for pair in users)
                lines = "".join(f"{number} {number} 1\n" for number in numbers)
                with open(f"/proc/{holder.pid}/{name}", "w", encoding="ascii") as file:
                    file.write(lines)
            return os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    raise PermissionError("no user namespace can be made")
