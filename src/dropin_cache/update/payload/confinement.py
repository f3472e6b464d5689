"""Gives up what a process may do, then becomes another program; landlock(7) and seccomp(2).

It is handed to an interpreter as source, and run as root where the child is to be another user.

Protocol
    Arguments: one line of JSON, {"read": [PATH...]}; then a program and its arguments. The program
    may read, list and execute what is at or below the paths, use /dev/null, and read /dev/zero,
    /dev/random and /dev/urandom; those that do not exist are passed over. It can write nowhere. It
    gets no socket, except pairs that are connected to each other, and cannot look into other
    processes, leave objects in the kernel that outlive it, or reach seldom-used parts of it. All
    of that holds for everything it starts, for ever.

    Exit status 125, and a line on descriptor 2, if it cannot be done; nothing has been run then.

What Landlock knows depends on the kernel: TCP from ABI 4, signals and abstract sockets from ABI 6.
It knows neither UDP nor other sockets nor the mode, owner and times of files, hence the filter of
system calls. The numbers of these differ, so there is a filter for a few machines only.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import struct
import sys
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# linux/landlock.h. The numbers of the calls are the same on all machines.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_TRUNCATE = 1 << 14
_NET = 1 << 0 | 1 << 1  # bind and connect, TCP
_SCOPED = 1 << 0 | 1 << 1  # abstract unix sockets and signals
# Rights to files that each version of the interface knows.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
SCOPES = 6
"""The first version of the interface that confines signals."""

_READABLE = ("/dev/zero", "/dev/random", "/dev/urandom")

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22  # linux/prctl.h
_SECCOMP_MODE_FILTER = 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # linux/seccomp.h
_EACCES = 13
# linux/bpf_common.h: load a word; jump if equal; jump if greater or equal; return.
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_X32 = 0x40000000  # with this bit set, x86-64 has a second number for each call

_JUMP_IF_SET = 0x45
_ENOSYS = 38
_CLONE3 = 435
_CLONE_NEW = 0x7E020000  # all flags of clone(2) that make a namespace
_ARGUMENTS = 16  # where they begin in struct seccomp_data, eight bytes each, little-endian
_JUMP, _AND = 0x05, 0x54
_ALLOWED = (_RETURN, 0, 0, _ALLOW)
_DENIED = (_RETURN, 0, 0, _ERRNO | _EACCES)
_SOCK_STREAM = 1
_FAMILIES = [1, 2, 10, 16]  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK


class _Calls(NamedTuple):
    """The numbers of a machine.

    Attributes:
        audit: What linux/audit.h calls the machine.
        clone: clone
        kernel: ptrace process_vm_readv process_vm_writev pidfd_getfd io_uring_setup bpf
            perf_event_open userfaultfd add_key request_key keyctl unshare setns mount open_tree
            move_mount fsopen mount_setattr
        memory: shmget msgget semget mq_open memfd_create memfd_secret: no limit counts what these
            hold
        others: setpriority sched_setparam sched_setscheduler sched_setaffinity sched_setattr
            ioprio_set: they reach other processes of the same user
        files: truncate fchmod fchmodat fchmodat2 fchown fchownat utimensat setxattr lsetxattr
            fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat; and those
            that only x86-64 has: chmod chown lchown utime utimes futimesat
        socket: socket
        socketpair: socketpair
        prlimit: prlimit64
    """

    audit: int
    clone: int
    kernel: str
    memory: str
    others: str
    files: str
    socket: int
    socketpair: int
    prlimit: int


_X86_64 = _Calls(
    audit=0xC000003E,
    clone=56,
    kernel="101 310 311 438 425 321 298 323 248 249 250 272 308 165 428 429 430 442",
    memory="29 68 64 240 319 447",
    others="141 142 144 203 314 251",
    files="76 91 268 452 93 260 280 188 189 190 463 197 198 199 466 90 92 94 132 235 261",
    socket=41,
    socketpair=53,
    prlimit=302,
)
_AARCH64 = _Calls(
    audit=0xC00000B7,
    clone=220,
    kernel="117 270 271 438 425 280 241 282 217 218 219 97 268 40 428 429 430 442",
    memory="194 186 190 180 279 447",
    others="140 118 119 122 274 30",
    files="45 52 53 452 55 54 88 5 6 7 463 14 15 16 466",
    socket=198,
    socketpair=199,
    prlimit=261,
)
_CALLS = {
    "x86_64": _X86_64,
    "aarch64": _AARCH64,
    "riscv64": _AARCH64._replace(audit=0xC00000F3),
}

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """Return the version of Landlock that the kernel has; 0 if it has none."""
    version = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)
    return max(0, int(version))


def call_filter(machine: str, *, all_of_them: bool) -> bytes:
    """Return a filter of system calls, a program of struct sock_filter; b"" if there is none.

    Calls of another machine's interface are denied, too: their numbers mean other calls.

    Args:
        machine: As uname(2) has it.
        all_of_them: Whether to deny what namespaces keep apart, too: sockets, other processes of
            the same user, attributes of files. Else only what brings code near the kernel's
            depths, or fills memory past all limits.
    """
    calls = _CALLS.get(machine)
    if calls is None:
        return b""
    numbers = f"{calls.kernel} {calls.memory}"
    if all_of_them:
        # Datagrams can be sent to anybody from one end of a pair, too; a limit is set for another
        # process unless the number of it is 0.
        numbers += f" {calls.others} {calls.files} {calls.socket}"
        checked = [
            *_only(calls.socketpair, 1, [_SOCK_STREAM], mask=0xF),
            *_only(calls.prlimit, 0, [0]),
        ]
    else:
        checked = _only(calls.socket, 0, _FAMILIES)  # no namespace keeps others apart
    tests = [(_EQUAL, int(number)) for number in numbers.split()]
    if machine == "x86_64":
        tests.insert(0, (_AT_LEAST, _X32))
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, calls.audit), _DENIED, (_LOAD, 0, 0, 0)]
    # Each test that holds jumps to the first instruction behind them that denies.
    code += [(test, len(tests) - index, 0, number) for index, (test, number) in enumerate(tests)]
    code += [(_JUMP, 0, 0, 1), _DENIED, *checked]
    code += [
        # The flags of clone3 are out of sight; without it, clone is used.
        (_EQUAL, 5, 0, _CLONE3),
        (_EQUAL, 0, 2, calls.clone),
        (_LOAD, 0, 0, _ARGUMENTS),
        (_JUMP_IF_SET, 1, 0, _CLONE_NEW),
        _ALLOWED,
        _DENIED,
        (_RETURN, 0, 0, _ERRNO | _ENOSYS),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _only(
    call: int, argument: int, values: list[int], mask: int = 0xFFFFFFFF
) -> list[tuple[int, int, int, int]]:
    """Return instructions that allow a call if an argument, masked, is one of some values."""
    code = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument), (_AND, 0, 0, mask)]
    code += [(_EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
    code += [_DENIED, _ALLOWED]
    return [(_EQUAL, 0, len(code), call), *code]


def restrict_files(paths: list[str]) -> None:
    """Leave this process, and what it becomes and starts, nothing but reading below some paths."""
    version = abi()
    known = (1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1
    attributes = struct.pack(
        "QQQ",
        known,
        _NET if version >= 4 else 0,  # noqa: PLR2004
        _SCOPED if version >= SCOPES else 0,
    )
    ruleset = _require(
        "landlock_create_ruleset",
        _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(_size(version)), 0),
    )
    for path in paths:
        _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
    for path in _READABLE:
        _allow(ruleset, path, _READ_FILE)
    # Opened for writing it is truncated as well, mostly.
    _allow(ruleset, os.devnull, known & (_READ_FILE | _WRITE_FILE | _TRUNCATE))
    _require("landlock_restrict_self", _libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def restrict_calls(machine: str) -> None:
    """Deny this process, and what it becomes and starts, some system calls."""
    program = call_filter(machine, all_of_them=True)
    if not program:
        raise OSError(0, f"no filter of system calls for {machine}")
    buffer = ctypes.create_string_buffer(program, len(program))
    filters = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    _require("seccomp", _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filters))


def _size(version: int) -> int:
    """Return how much of struct landlock_ruleset_attr a version knows."""
    return 8 if version < 4 else 16 if version < SCOPES else 24  # noqa: PLR2004


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Allow something at and below a path; files have only the rights that make sense there."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= ~_READ_DIR
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
    return result


def main(arguments: list[str]) -> NoReturn:
    """Confine this process and become the program."""
    try:
        _require("no_new_privs", _prctl(_PR_SET_NO_NEW_PRIVS, 1))
        restrict_files(json.loads(arguments[1])["read"])
        restrict_calls(os.uname().machine)
        os.execv(arguments[2], arguments[2:])  # noqa: S606 - that is the protocol
    except OSError as error:
        os.write(2, f"cannot confine: {error.strerror}\n".encode())
    os._exit(125)


if __name__ == "__main__":
    main(sys.argv)
