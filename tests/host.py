"""What the tests take from the machine: signals as usual, and places of their own.

Whoever starts the tests may ignore or block signals, as `nohup` and a shell's background jobs do.
All that is started here would inherit that.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import stat
import tempfile
import warnings
from pathlib import Path

import pytest

STATES = ("/var/cache/dropin-cache",)
"""Where root's updates keep what they know; there is one of each for the machine."""

_CLONE_NEWNS = 0x20000  # unshare(2)
_MNT_DETACH = 2  # umount2(2)
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000  # mount(2)


def default_signals() -> None:
    """Let this process start others that neither ignore nor block a signal."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        # A handler goes with the next program, unlike SIG_IGN; and these tests still outlive
        # their terminal, as nohup wants it.
        signal.signal(signal.SIGHUP, lambda *_: None)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) in {signal.SIG_IGN, signal.SIG_DFL}:
        # Tests that are told to end clean up as they do when they are interrupted.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for number in (signal.SIGCHLD, signal.SIGALRM, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def fork() -> int:
    """Fork this process, and do not heed that it has threads, as those of pytest-xdist do.

    From Python 3.15 on, where warnings are errors, one is raised in the parent, while the child
    goes on with the test. What the children do needs no thread, and does not come back.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def reachable_temporary_directory() -> None:
    """Have temporary files where other users can reach them, if this process is root."""
    place = Path(tempfile.gettempdir()).resolve()
    # libpam-tmpdir, for one, has one below a directory that nobody else can enter.
    if not all(each.stat().st_mode & stat.S_IXOTH for each in (place, *place.parents)):
        tempfile.tempdir = os.environ["TMPDIR"] = "/tmp"  # noqa: S108 - names are random there


def own_places() -> None:
    """Give root places of its own for locks and state, gone with this process.

    Below /var lie things that are needed, such as dpkg's database, so there are layers above what
    the machine has.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        # What is there is the machine's, and would be removed after each test.
        if any(map(os.path.lexists, STATES)):
            raise pytest.UsageError(f"cannot hide {' and '.join(STATES)} from the tests")
        return
    _mount(libc, "none", "/", "", _MS_REC | _MS_PRIVATE)
    if os.path.isdir("/run/lock"):
        _mount(libc, "tmpfs", "/run/lock", "tmpfs", 0, "mode=1777")
    for place in ("/var/lib", "/var/cache"):
        _cover(libc, place)
    forget_states()


def forget_states() -> None:
    """Remove what an update of root's has noted."""
    for place in STATES:
        shutil.rmtree(place, ignore_errors=True)


def _cover(libc: ctypes.CDLL, place: str) -> None:
    """Lay a layer above a directory, but not above those that the tests were told to use."""
    told = (os.environ.get("DROPIN_CACHE_TREE_WORK"), tempfile.gettempdir(), os.getcwd())
    kept = [os.path.realpath(each) for each in told if each is not None]
    kept = [each for each in kept if each.startswith(f"{place}/")]
    opened = [os.open(each, os.O_PATH | os.O_CLOEXEC) for each in kept]
    with tempfile.TemporaryDirectory(prefix="dropin-cache-test-") as layer:
        _mount(libc, "tmpfs", layer, "tmpfs", 0, "mode=0755")
        for name in ("upper", "work"):
            os.mkdir(os.path.join(layer, name), 0o755)
        options = f"lowerdir={place},upperdir={layer}/upper,workdir={layer}/work"
        _mount(libc, "overlay", place, "overlay", 0, options)
        libc.umount2(layer.encode(), _MNT_DETACH)  # it stays below the other
    for descriptor, each in zip(opened, kept):
        _mount(libc, f"/proc/self/fd/{descriptor}", each, "", _MS_BIND)
        os.close(descriptor)
    os.chdir(os.getcwd())  # from below the layer to above it


def _mount(  # noqa: PLR0913, PLR0917 - those of mount(2)
    libc: ctypes.CDLL, source: str, target: str, kind: str, flags: int, options: str = ""
) -> None:
    words = [word.encode() for word in (source, target, kind)]
    if libc.mount(*words, flags, options.encode()) != 0:
        number = ctypes.get_errno()
        raise pytest.UsageError(f"cannot mount {target} for the tests: {os.strerror(number)}")
