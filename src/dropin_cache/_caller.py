"""What root's process has from its caller, and must not heed.

`sudo -E`, `su` and daemons pass on what somebody else has set. A variable can name code to a
library of C, as OPENSSL_CONF does to libcrypto, which `hashlib` loads. So this comes before
anything is imported that the interpreter has not loaded by itself. What the interpreter and the
loader of programs have read by then cannot be undone; docs/architecture.md says what that is.
"""

from __future__ import annotations

import os

KEPT = (
    *("COLUMNS", "LINES", "TERM", "NO_COLOR", "FORCE_COLOR", "PYTHON_COLORS"),
    *("SOURCE_DATE_EPOCH", "DROPIN_CACHE_UPDATE_BYPASS"),
)
"""The variables that count for root: how messages look, and what administrators ask for."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # as login(1) sets it
_GONE = "/nonexistent"  # instead of a directory that is not there any more
_NATIVE = 0  # personality(2)


def forget(*, command: bool) -> str:
    """Begin as a login would, if this process is root's.

    Args:
        command: Whether all this is only to be passed on, to a command that is to be run: then
            nothing changes but that libraries of C see no variables. `os.environ` has them still.

    Returns:
        The directory to which relative paths belong, if it is not the working directory any more;
        else nothing.
    """
    if os.geteuid() != 0:
        return ""
    if command:
        for name in filter(None, os.environ):
            os.unsetenv(name)
        return ""
    for name in {*os.environ}.difference(KEPT, [""]):  # a name that is empty cannot be unset
        del os.environ[name]
    os.environ["PATH"] = _PATH
    os.umask(0o022)
    _be_native()
    return _leave()


def _be_native() -> None:
    """Give up another personality: on a 32-bit one, the system has other names and numbers."""
    try:
        descriptor = os.open("/proc/self/personality", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # without /proc, nothing is updated
        return
    personality = os.read(descriptor, 32)  # hexadecimal
    os.close(descriptor)
    if int(personality, 16) != _NATIVE:
        import ctypes  # noqa: PLC0415 - seldom wanted

        ctypes.CDLL(None).personality(_NATIVE)


def _leave() -> str:
    """Leave the working directory, so that no file system of the caller's is kept busy."""
    try:
        directory = os.getcwd()
    except OSError:
        directory = _GONE
    try:
        os.chdir("/")
    except OSError:  # where it was is no worse for what this does
        return ""
    return directory
