"""Proves that a sandbox holds, by looking and by trying what must not be possible.

It runs in the child before any code but the standard library's, and is handed to it as source.

The proof is against mistakes of ours, of the administrator and of the tools: a sandbox that was
started and does not confine. OpenSSH's permanently_set_uid() has it from the same distrust.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Callable

_PR_GET_SECCOMP = 21  # linux/prctl.h
_PR_GET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_IS_SET = 39, 47, 1
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION = 0x20080522  # version 3 of capget(2)
# Nobody but root, and the sandbox, has any business there.
_NEVER_WRITABLE = ("/", "/etc", "/usr", "/run", "/run/lock", "/var/tmp", "/dev/shm")  # noqa: S108
_CONFINED = ("namespace", "landlock", "user")

_libc = ctypes.CDLL(None, use_errno=True)


def broken_promises(tier: str, closed: Iterable[str], user: int | None) -> list[str]:
    """Return which promises of a sandbox do not hold, in words; none if all do.

    Args:
        tier: The sandbox; "none" promises nothing.
        closed: Directories in which no file may be made, besides those that are always tried.
        user: Who the child has to have become, or None if it kept its user.
    """
    if tier not in _CONFINED:
        return []
    broken = [*_identity(user), *_capabilities(), *_regained()]
    never = [place for place in _NEVER_WRITABLE if tier != "user" or not _is_open_to_all(place)]
    places = dict.fromkeys([*closed, *never, os.getcwd()])
    broken += [f"it can write in {place}" for place in places if _can_write(place)]
    if tier == "namespace":
        broken += _networks()
    return [*broken, *_sockets()]


def _identity(user: int | None) -> Iterator[str]:
    # setfsuid(2) returns the old value, and -1 is never a new one.
    users = {*os.getresuid(), int(_libc.setfsuid(-1))}
    groups = {*os.getresgid(), int(_libc.setfsgid(-1))}
    if 0 in users:
        yield "it is root"
    if 0 in groups:
        yield "its group is root's"
    if user is not None:
        if users != {user}:
            yield f"it is user {sorted(users)}, not {user}"
        if os.getgroups():
            yield f"it is in the groups {os.getgroups()}"


def _capabilities() -> Iterator[str]:
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    sets = ctypes.create_string_buffer(24)
    if _libc.capget(header, sets) != 0:
        yield "its capabilities cannot be read"
    if any(sets.raw):
        yield "it has capabilities"
    # What is in the bounding set is no matter: a process without capabilities, and without new
    # privileges, cannot get any. It takes CAP_SETPCAP to empty it, which services often lack.
    for capability in range(64):
        if _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_IS_SET, capability) == 1:
            yield f"it passes on capability {capability}"
    if _prctl(_PR_GET_NO_NEW_PRIVS) != 1:
        yield "it can gain privilege by executing a program"
    if _prctl(_PR_GET_SECCOMP) != _SECCOMP_MODE_FILTER:
        yield "no filter of system calls is in place"


def _regained() -> Iterator[str]:
    attempts: dict[str, Callable[[], None]] = {
        "setresuid(0, 0, 0)": lambda: os.setresuid(0, 0, 0),
        "setuid(0)": lambda: os.setuid(0),
        "setresgid(0, 0, 0)": lambda: os.setresgid(0, 0, 0),
        "setgid(0)": lambda: os.setgid(0),
        "setgroups([0])": lambda: os.setgroups([0]),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError:
            continue
        yield f"{name} works"


def _is_open_to_all(directory: str) -> bool:
    """Tell whether everybody may write in a directory, which need not be there."""
    try:
        return bool(os.stat(directory).st_mode & stat.S_IWOTH)
    except OSError:
        return False


def _can_write(directory: str) -> bool:
    """Make a file in a directory, and remove it if that was possible."""
    name = os.path.join(directory, f".dropin-cache-{os.urandom(16).hex()}")
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError:
        return False
    os.close(descriptor)
    os.unlink(name)
    return True


def _networks() -> Iterator[str]:
    with open("/proc/self/net/dev", encoding="ascii") as file:
        names = [line.partition(":")[0].strip() for line in list(file)[2:]]
    others = [name for name in names if name != "lo"]
    if others:
        yield f"it has a network: {' '.join(others)}"


def _sockets() -> Iterator[str]:
    import _socket  # noqa: PLC0415 - `socket` takes five times as long to load

    for family in (_socket.AF_INET, _socket.AF_INET6, _socket.AF_UNIX, _socket.AF_NETLINK):
        for kind in (_socket.SOCK_STREAM, _socket.SOCK_DGRAM):
            try:
                _socket.socket(family, kind).close()
            except OSError:
                continue
            yield f"it can make a socket (family {family}, type {kind})"


def _prctl(option: int, *arguments: int) -> int:
    padded = [*arguments, 0, 0, 0, 0][:4]
    return int(_libc.prctl(option, *map(ctypes.c_ulong, padded)))
