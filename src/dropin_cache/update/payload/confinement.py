"""Gives up what a process may do, for ever; landlock(7) and seccomp(2).

It is handed to interpreters as source. In the tier `landlock` it is a program, run as root where
the child is to be another user:

    Arguments: one line of JSON, {"read": [PATH...], "write": [PATH...], "filter": HEXADECIMAL,
    "size": BYTES}; the number of the descriptor of a user namespace, or nothing; then a program and
    its arguments. The program may read, list and execute what is at or below the paths to read, do
    what it likes below those to write, use /dev/null, and read /dev/zero, /dev/random and
    /dev/urandom; paths that do not exist are passed over. It can write nowhere else, and make none
    of the calls that the filter denies. All of that holds for everything it starts, for ever.
    With null for the paths to read, files are not restricted.

    If there is a namespace, the program is in it, and what it writes is in memory, goes with it,
    and is limited to so many bytes and files, where mounts can be had.

    Exit status 125, and a line on descriptor 2, if it cannot be done; nothing has been run then.

In the tier `namespace` the child itself calls `restrict_files`, where the kernel can: a read-only
mount keeps nobody from writing into a FIFO that lies in it.

What Landlock knows depends on the kernel: TCP from ABI 4, signals and abstract sockets from ABI 6.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

# linux/landlock.h. The numbers of the calls are the same on all machines.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_TRUNCATE = 1 << 14
# Files, directories and links, and nothing else, may be made: no devices, sockets, FIFOs.
_CHANGE = _WRITE_FILE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13 | _TRUNCATE
_NET = 1 << 0 | 1 << 1  # bind and connect, TCP
_SCOPED = 1 << 0 | 1 << 1  # abstract unix sockets and signals
# Rights to files that each version of the interface knows.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_SINCE, _SCOPES_SINCE = 4, 6
_READABLE = ("/dev/zero", "/dev/random", "/dev/urandom")
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22  # linux/prctl.h
_SECCOMP_MODE_FILTER = 2
_NEWNS, _NEWUSER = 0x20000, 0x10000000  # linux/sched.h
_NOSUID, _NODEV = 2, 4  # linux/mount.h
_MAX_FILES = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """Return the version of Landlock that the kernel has.

    Raises:
        OSError: It has none (ENOSYS), it is switched off (EOPNOTSUPP), or this process may not use
            it (EPERM, where a container's own filter of system calls denies it).
    """
    arguments = (None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)
    return _require("landlock_create_ruleset", _libc.syscall(_CREATE_RULESET, *arguments))


def restrict_files(readable: Sequence[str], writable: Sequence[str]) -> None:
    """Leave this process, and what it becomes and starts, nothing but what is below some paths.

    Args:
        readable: What may be read, listed and executed.
        writable: Where anything may be done.

    Raises:
        OSError: It cannot be done.
    """
    version = abi()
    known = (1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1
    attributes = struct.pack(
        "QQQ",
        known,
        _NET if version >= _NET_SINCE else 0,
        _SCOPED if version >= _SCOPES_SINCE else 0,
    )
    # How much of struct landlock_ruleset_attr the version knows.
    size = 8 if version < _NET_SINCE else 16 if version < _SCOPES_SINCE else 24
    ruleset = _require(
        "landlock_create_ruleset",
        _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0),
    )
    for path in readable:
        _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
    for path in writable:
        _allow(ruleset, path, known & (_EXECUTE | _READ_FILE | _READ_DIR | _CHANGE))
    for path in _READABLE:
        _allow(ruleset, path, _READ_FILE)
    # Opened for writing it is truncated as well, mostly.
    _allow(ruleset, os.devnull, known & (_READ_FILE | _WRITE_FILE | _TRUNCATE))
    _require("landlock_restrict_self", _libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def restrict_calls(program: bytes) -> None:
    """Install a filter of system calls: an array of struct sock_filter."""
    buffer = ctypes.create_string_buffer(program, len(program))
    filters = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    _require("seccomp", _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filters))


def enter(namespace: int, places: Sequence[str], size: int) -> None:
    """Enter a user namespace, and have what lies in some directories limited.

    Args:
        namespace: Its descriptor, which is closed.
        places: The directories; each is covered by another, empty one of the same owner.
        size: How much can be written in one, bytes.

    Raises:
        OSError: It cannot be entered.
    """
    _require("setns", _libc.setns(namespace, _NEWUSER))
    os.close(namespace)
    if _libc.unshare(_NEWNS) != 0:
        return
    for place in filter(os.path.isdir, places):
        owner = os.stat(place)
        options = (
            f"size={size},nr_inodes={_MAX_FILES},mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
        )
        kind = ctypes.c_char_p(b"tmpfs")
        flags = ctypes.c_ulong(_NOSUID | _NODEV)
        _libc.mount(kind, os.fsencode(place), kind, flags, options.encode())


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Allow something at and below a path; files have only the rights that make sense there."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
    rule = struct.pack("=Qi", rights, descriptor)
    _require(f"landlock_add_rule {path}", _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
    os.close(descriptor)


def _prctl(option: int, second: int, third: bytes | None = None) -> int:
    zero = ctypes.c_ulong(0)
    return int(_libc.prctl(option, ctypes.c_ulong(second), third, zero, zero))


def _require(what: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return int(result)


def main(arguments: list[str]) -> NoReturn:
    """Confine this process and become the program."""
    try:
        rules = json.loads(arguments[1])
        if arguments[2]:
            enter(int(arguments[2]), rules["write"], rules["size"])
        _require("no_new_privs", _prctl(_PR_SET_NO_NEW_PRIVS, 1))
        if rules["read"] is not None:
            restrict_files(rules["read"], rules["write"])
        restrict_calls(bytes.fromhex(rules["filter"]))
        os.execv(arguments[3], arguments[3:])  # noqa: S606 - that is the protocol
    except OSError as error:
        os.write(2, f"cannot confine: {error.strerror}\n".encode())
    os._exit(125)


if __name__ == "__main__":
    main(sys.argv)
