"""Programs that run under a filter of system calls, as containers and services have them."""

from __future__ import annotations

import struct
import sys

from dropin_cache.update.sandbox.filter import machine

# The numbers of the calls that the tests deny, on the machines that CI has.
_NUMBERS = {
    "x86_64": {
        "flock": 73,
        "setgroups": 116,
        "setresuid": 117,
        "capset": 126,
        "prctl": 157,
        "mount": 165,
        "unshare": 272,
        "prlimit64": 302,
        "setns": 308,
        "memfd_create": 319,
    },
    "aarch64": {
        "flock": 32,
        "setgroups": 159,
        "setresuid": 147,
        "capset": 91,
        "prctl": 167,
        "mount": 40,
        "unshare": 97,
        "prlimit64": 261,
        "setns": 268,
        "memfd_create": 279,
    },
}
_EVERYWHERE = {
    "pidfd_open": 434,
    "faccessat2": 439,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}
LANDLOCK = tuple(name for name in _EVERYWHERE if name.startswith("landlock"))
NAMESPACES = ("unshare", "setns", "mount")

# PR_SET_SECCOMP of linux/prctl.h. Root's programs are to be as they are, so new privileges stay.
_PROGRAM = """
import ctypes, os, struct, sys
code = bytes.fromhex(sys.argv[1])
buffer = ctypes.create_string_buffer(code, len(code))
filters = struct.pack("HP", len(code) // 8, ctypes.addressof(buffer))
if ctypes.CDLL(None).prctl(22, ctypes.c_ulong(2), filters, 0, 0) != 0:
    sys.exit("no filter can be installed")
os.execv(sys.argv[2], sys.argv[2:])
"""


def denying(number: int, *names: str) -> list[str] | None:
    """Return the start of a command line that runs a program without some system calls.

    Args:
        number: The error that they end with.
        names: Those calls.

    Returns:
        The arguments; None where the numbers of the calls are not known.
    """
    known = {**_NUMBERS.get(machine() or "", {}), **_EVERYWHERE}
    if "mount" not in known:
        return None
    # Load the number of the call; for each: if it is that one, return the error; else allow it.
    code = [(0x20, 0, 0, 0)]
    for name in names:
        code += [(0x15, 0, 1, known[name]), (0x06, 0, 0, 0x00050000 | number)]
    code.append((0x06, 0, 0, 0x7FFF0000))
    text = b"".join(struct.pack("HBBI", *each) for each in code).hex()
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, text]
