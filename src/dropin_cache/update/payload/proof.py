"""Proves to the child that its sandbox holds, by trying what it must not be able to do.

It runs in the child before anything is imported for anybody. Code of `.pth` files and of
sitecustomize has run by then, in the same sandbox; what that could spoil is this proof, not the
sandbox. It is self-contained: it is handed to the child as source.

The proof is against mistakes of ours, of the administrator and of the tools: a sandbox that was
started and does not confine. OpenSSH's permanently_set_uid() has it from the same distrust.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Callable

_PR_GET_NO_NEW_PRIVS, _PR_CAPBSET_READ, _PR_CAP_AMBIENT = 39, 23, 47  # linux/prctl.h
_PR_CAP_AMBIENT_IS_SET = 1
_CAPABILITY_VERSION = 0x20080522  # version 3 of capget(2)
# Nobody but root, and the sandbox, has any business there.
_NEVER_WRITABLE = ("/", "/etc", "/usr", "/run", "/run/lock", "/var/tmp", "/dev/shm")  # noqa: S108
_CONFINED = ("namespace", "landlock")

_libc = ctypes.CDLL(None, use_errno=True)


def broken_promises(tier: str, forbidden: list[str], user: int | None = None) -> list[str]:
    """Return which promises of a sandbox do not hold, in words; none if all do.

    Args:
        tier: The sandbox; only "namespace" and "landlock" promise anything.
        forbidden: Directories in which no file may be made, besides those that are always tried
            and those of sys.path.
        user: Who the child has to have become, or None if it kept its user.
    """
    if tier not in _CONFINED:
        return []
    places = dict.fromkeys([*forbidden, *sys.path, *_NEVER_WRITABLE, os.getcwd()])
    if tier == "landlock":
        places["/tmp"] = None  # noqa: S108 - in the other tier it has one of its own
    # Without root the bounding set cannot be emptied, except in a namespace; and need not be,
    # because a program that could use it is not executed with privilege.
    bounded = tier == "namespace" or user is not None
    broken = [*_identity(user), *_capabilities(bounded=bounded), *_regained()]
    broken += [f"it can write in {place}" for place in places if _can_write(place)]
    return [*broken, *(_namespace_network() if tier == "namespace" else _landlock_network())]


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


def _capabilities(*, bounded: bool) -> Iterator[str]:
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    sets = ctypes.create_string_buffer(24)
    if _libc.capget(header, sets) != 0:
        yield "its capabilities cannot be read"
    if any(sets.raw):
        yield "it has capabilities"
    for capability in range(64):
        if bounded and _prctl(_PR_CAPBSET_READ, capability) == 1:
            yield f"it could get capability {capability}"
        if _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_IS_SET, capability) == 1:
            yield f"it passes on capability {capability}"
    if _prctl(_PR_GET_NO_NEW_PRIVS) != 1:
        yield "it can gain privilege by executing a program"


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


def _namespace_network() -> Iterator[str]:
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if others:
        yield f"it has a network: {' '.join(others)}"


def _landlock_network() -> Iterator[str]:
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try:
                socket.socket(family, kind).close()
            except OSError:
                continue
            yield f"it can make a socket of {family.name}, {kind.name}"


def _prctl(option: int, *arguments: int) -> int:
    padded = [*arguments, 0, 0, 0, 0][:4]
    return int(_libc.prctl(option, *map(ctypes.c_ulong, padded)))
