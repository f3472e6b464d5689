"""The filter of system calls, the same in every tier of the sandbox; seccomp(2).

It denies what brings code near the kernel's depths, what fills memory past all limits, what reaches
other processes of the same user, and what neither a read-only mount nor Landlock keeps apart:
sockets, attributes of files, locks, watches on directories. The numbers of calls differ between
machines, so there is a filter for a few machines only; calls of another machine's interface are
denied.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # linux/seccomp.h
_EACCES, _ENOSYS = 13, 38
# linux/bpf_common.h: load a word; jump if equal, if greater or equal, if a bit is set; return.
_LOAD, _EQUAL, _AT_LEAST, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_JUMP, _AND = 0x05, 0x54
_X32 = 0x40000000  # with this bit set, x86-64 has a second number for each call
_CLONE3 = 435
_CLONE_NEW = 0x7E020000  # all flags of clone(2) that make a namespace
_ARGUMENTS = 16  # where they begin in struct seccomp_data, eight bytes each, little-endian
_ALLOWED = (_RETURN, 0, 0, _ALLOW)
_DENIED = (_RETURN, 0, 0, _ERRNO | _EACCES)
_DONE = (_RETURN, 0, 0, _ERRNO)  # without having been done
_SOCK_STREAM = 1
# FS_IOC_SETFLAGS, its 32-bit form, and FS_IOC_FSSETXATTR of linux/fs.h; TIOCSTI, TIOCLINUX.
_IOCTLS = dict.fromkeys((0x40086602, 0x40046602, 0x401C5820, 0x5412, 0x541C), _DENIED)
# F_SETLK, F_SETLKW and their kind for open files; F_SETLEASE and F_NOTIFY: linux/fcntl.h.
_FCNTLS = {**dict.fromkeys((6, 7, 37, 38), _DONE), 1024: _DENIED, 1026: _DENIED}

# linux/audit.h, by e_machine of elf(5): what a program is, whatever uname(2) is told to say.
_ELF_MACHINES = {62: "x86_64", 183: "aarch64", 243: "riscv64"}


class _Calls(NamedTuple):
    """The numbers of a machine.

    Attributes:
        audit: What linux/audit.h calls the machine.
        clone, fcntl, flock, ioctl, prlimit, socketpair: prlimit is prlimit64.
        kernel: ptrace process_vm_readv process_vm_writev pidfd_getfd io_uring_setup bpf
            perf_event_open userfaultfd add_key request_key keyctl unshare setns mount open_tree
            move_mount fsopen mount_setattr
        memory: shmget msgget semget mq_open memfd_create memfd_secret io_setup: no limit of a
            process counts what these hold
        others: setpriority sched_setparam sched_setscheduler sched_setaffinity sched_setattr
            ioprio_set kcmp process_madvise process_mrelease migrate_pages move_pages: they reach
            other processes of the same user
        files: truncate fchmod fchmodat fchmodat2 fchown fchownat utimensat setxattr lsetxattr
            fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat file_setattr;
            and those that only x86-64 has: chmod chown lchown utime utimes futimesat
        watches: inotify_init1 inotify_add_watch fanotify_init fanotify_mark; inotify_init
        socket: socket
    """

    audit: int
    clone: int
    fcntl: int
    flock: int
    ioctl: int
    prlimit: int
    socketpair: int
    kernel: str
    memory: str
    others: str
    files: str
    watches: str
    socket: str


_X86_64 = _Calls(
    audit=0xC000003E,
    clone=56,
    fcntl=72,
    flock=73,
    ioctl=16,
    prlimit=302,
    socketpair=53,
    kernel="101 310 311 438 425 321 298 323 248 249 250 272 308 165 428 429 430 442",
    memory="29 68 64 240 319 447 206",
    others="141 142 144 203 314 251 312 440 448 256 279",
    files="76 91 268 452 93 260 280 188 189 190 463 197 198 199 466 469 90 92 94 132 235 261",
    watches="294 254 300 301 253",
    socket="41",
)
_AARCH64 = _Calls(
    audit=0xC00000B7,
    clone=220,
    fcntl=25,
    flock=32,
    ioctl=29,
    prlimit=261,
    socketpair=199,
    kernel="117 270 271 438 425 280 241 282 217 218 219 97 268 40 428 429 430 442",
    memory="194 186 190 180 279 447 0",
    others="140 118 119 122 274 30 272 440 448 238 239",
    files="45 52 53 452 55 54 88 5 6 7 463 14 15 16 466 469",
    watches="26 27 262 263",
    socket="198",
)
_CALLS = {
    "x86_64": _X86_64,
    "aarch64": _AARCH64,
    "riscv64": _AARCH64._replace(audit=0xC00000F3),
}


def machine() -> str | None:
    """Return the machine that this program was compiled for; None for one without a filter.

    Not what uname(2) says: under linux32 that is another one, see personality(2).
    """
    with open("/proc/self/exe", "rb") as program:
        return _ELF_MACHINES.get(_machine_in(program.read(20)))


def another_machine(program: int) -> str | None:
    """Return which kind of machine a program is for, if it is another than this one's.

    Args:
        program: The descriptor of its file, which is closed.
    """
    with open(program, "rb") as file, open("/proc/self/exe", "rb") as own:
        number, here = (_machine_in(each.read(20)) for each in (file, own))
    return None if number in {0, here} else _ELF_MACHINES.get(number, f"number {number} of elf(5)")


def _machine_in(header: bytes) -> int:
    """Return e_machine of elf(5); 0 for what is no such program."""
    order = {b"\1": "little", b"\2": "big"}.get(header[5:6])
    is_elf = order is not None and header.startswith(b"\x7fELF")
    return int.from_bytes(header[18:20], order) if is_elf else 0  # type: ignore[arg-type]


def call_filter(machine: str | None) -> bytes:
    """Return the filter for a machine, an array of struct sock_filter; empty if there is none."""
    if machine not in _CALLS:
        return b""
    calls = _CALLS[machine]
    denied = calls.kernel, calls.memory, calls.others, calls.files, calls.watches, calls.socket
    tests = [(_EQUAL, int(number)) for numbers in denied for number in numbers.split()]
    if machine == "x86_64":
        tests.insert(0, (_AT_LEAST, _X32))
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, calls.audit), _DENIED, (_LOAD, 0, 0, 0)]
    # Each test that holds jumps to the first instruction behind them that denies.
    code += [(test, len(tests) - index, 0, number) for index, (test, number) in enumerate(tests)]
    code += [(_JUMP, 0, 0, 1), _DENIED]
    # Locking needs no right to write. Files of its own a child has for itself, and needs no lock.
    code += [(_EQUAL, 0, 1, calls.flock), _DONE]
    code += _by_value(calls.fcntl, 1, _FCNTLS)
    # Datagrams could be sent to anybody from one end of a pair.
    code += _only(calls.socketpair, 1, [_SOCK_STREAM], mask=0xF)
    code += _only(calls.prlimit, 0, [0])  # this process; any other number is another's
    code += _by_value(calls.ioctl, 1, _IOCTLS)
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


def _by_value(
    call: int, argument: int, results: dict[int, tuple[int, int, int, int]]
) -> list[tuple[int, int, int, int]]:
    """Return instructions that allow a call but for some values of an argument."""
    code = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument)]
    for value, result in results.items():
        code += [(_EQUAL, 0, 1, value), result]
    code.append(_ALLOWED)
    return [(_EQUAL, 0, len(code), call), *code]
