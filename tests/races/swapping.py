"""What the race harness shares: users who swap names, the kernel unprotected, and inventories."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import itertools
import mmap
import os
import signal
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

import pytest

import host
from conftest import NOBODY

_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2  # linux/fcntl.h, linux/fs.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True)
_PROTECTIONS = [
    Path("/proc/sys/fs", f"protected_{what}")
    for what in ("symlinks", "hardlinks", "regular", "fifos")
]

Move = Callable[[], object]


@contextlib.contextmanager
def unprotected() -> Iterator[None]:
    """Switch off what the kernel does against links and FIFOs of others.

    These settings are the machine's: no namespace has its own. So there is one user of them at a
    time, and who puts them back is a process of its own, which does so even if this one is killed:
    all it waits for is the end of a pipe.
    """
    if not all(os.access(path, os.W_OK) for path in _PROTECTIONS):
        pytest.skip("only root can switch off protected_symlinks, and not in every container")
    ready, lifeline = os.pipe(), os.pipe()
    keeper = host.fork()
    if keeper == 0:
        try:
            os.setsid()  # Ctrl-C is for the tests
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            _keep_unprotected(ready[1], lifeline[0])
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(ready[1])
    os.close(lifeline[0])
    try:
        assert b"+" == os.read(ready[0], 1), "the protections cannot be switched off"
        yield
    finally:
        os.close(ready[0])
        os.close(lifeline[1])
        os.waitpid(keeper, 0)


def _keep_unprotected(ready: int, lifeline: int) -> None:
    _close_all_but(ready, lifeline)
    with _PROTECTIONS[0].open("rb") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        before = {path: path.read_text() for path in _PROTECTIONS}
        try:
            for path in before:
                path.write_text("0")
            os.write(ready, b"+")
            os.read(lifeline, 1)
        finally:
            for path, value in before.items():
                path.write_text(value)


def exchange(one: Path, other: Path) -> Move:
    """Return a move that gives two things each other's name at once."""
    return _rename(one, other, _RENAME_EXCHANGE)


def move(old: Path, new: Path) -> Move:
    """Return a move that renames, unless the new name is taken."""
    return _rename(old, new, _RENAME_NOREPLACE)


def _rename(old: Path, new: Path, flags: int) -> Move:
    names = os.fsencode(old), os.fsencode(new)

    def rename() -> None:
        if _LIBC.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], flags) != 0:
            raise OSError(ctypes.get_errno(), "renameat2")

    return rename


def swap_temporary_files(directory: Path, victim: Path, *, hard: bool) -> Move:
    """Return a move that puts a link in the place of each temporary file of a writer."""
    link = os.link if hard else os.symlink

    def swap() -> None:
        found = [name for name in os.listdir(directory) if name.endswith(".new")]
        for name in found:
            (directory / name).unlink()
            link(victim, directory / name)
        if not found:
            raise FileNotFoundError

    return swap


class Swapping:
    """Processes that make moves in turn, as fast as they can, until the end of the block."""

    def __init__(self) -> None:
        self._counters: list[mmap.mmap] = []
        self._processes: list[int] = []

    def __enter__(self) -> Swapping:  # noqa: PYI034 - typing has Self from Python 3.11
        """Return this, which has no processes yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the processes."""
        for process in self._processes:
            os.kill(process, signal.SIGKILL)
        for process in self._processes:
            os.waitpid(process, 0)

    @property
    def made(self) -> int:
        """How many moves have been made; those that were impossible do not count."""
        return sum(int.from_bytes(each[:8], "little") for each in self._counters)

    def start(self, moves: Sequence[Move], *, user: int = NOBODY, pause: float = 0) -> None:
        """Start a process.

        Args:
            moves: What it does. What fails at the moment is passed over.
            user: Who it is.
            pause: Seconds between two moves.
        """
        counter = mmap.mmap(-1, mmap.PAGESIZE)  # shared with children
        parent = os.getpid()
        child = host.fork()
        if child == 0:
            try:
                _become(user, parent)
                _make(moves, counter, pause)
            finally:
                # Nothing of this process may go on in the child, whatever hooks into its exit.
                os.kill(os.getpid(), signal.SIGKILL)
        self._counters.append(counter)
        self._processes.append(child)


def _become(user: int, parent: int) -> None:
    _close_all_but()
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after that: setresuid(2) clears it
    assert parent == os.getppid()


def _make(moves: Sequence[Move], counter: mmap.mmap, pause: float) -> None:
    done = 0
    for each in itertools.cycle(moves):
        try:
            each()
        except OSError:
            pass
        else:
            done += 1
            counter[:8] = done.to_bytes(8, "little")
        if pause:
            time.sleep(pause)


def _close_all_but(*descriptors: int) -> None:
    low = 0
    for each in (*sorted(descriptors), os.sysconf("SC_OPEN_MAX")):
        os.closerange(low, each)
        low = each + 1


def inventory(
    top: Path, passed_over: Iterable[Path] = (), restless: Iterable[Path] = ()
) -> dict[str, tuple[Any, ...]]:
    """List everything in a directory: type, mode, owner, links, size, time, and what is in it.

    Args:
        top: The directory.
        passed_over: What is not to be looked at, nor what is in there.
        restless: Directories of which time and size may change.
    """
    found: dict[str, tuple[Any, ...]] = {}
    skipped, unsteady = set(map(str, passed_over)), set(map(str, restless))
    left = [str(top)]
    while left:
        path = left.pop()
        # What is removed at this moment is missing, and that is a difference.
        with contextlib.suppress(FileNotFoundError):
            status, content, inside = _look(path, skipped)
            left += inside
            facts = [status.st_nlink, status.st_size, status.st_mtime_ns]
            found[path] = (
                oct(status.st_mode),
                (status.st_uid, status.st_gid),
                *([] if path in unsteady else facts),
                content,
            )
    return found


def _look(path: str, skipped: set[str]) -> tuple[os.stat_result, Any, list[str]]:
    """Return the status of something, what is in it, and the names to go on with."""
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        names = sorted(os.path.join(path, name) for name in os.listdir(path))
        inside = [name for name in names if name not in skipped]
        return status, inside, inside
    if stat.S_ISLNK(status.st_mode):
        try:
            return status, os.readlink(path), []
        except OSError:  # the attack goes on, and it is no link any more
            return status, None, []
    if stat.S_ISREG(status.st_mode):
        return status, hashlib.sha256(Path(path).read_bytes()).hexdigest(), []
    return status, None, []


def differences(
    before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]]
) -> dict[str, Any]:
    """Return what is not in both inventories alike: what was, and what is."""
    return {
        path: (before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    }
