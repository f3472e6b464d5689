"""Doing something in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from dropin_cache.update.payload.isolation import apart

from command_line import no_process_left
from conftest import missing

LIMIT = 1 << 20


def write_and(before: set[int], part: bytes) -> NoReturn:
    """Write to the pipe that was not there before, which is the way back, and end the process."""
    (back,) = _pipes() - before
    os.write(back, part)
    os._exit(0)


def _pipes() -> set[int]:
    return {
        int(name)
        for name in os.listdir("/proc/self/fd")
        if os.path.islink(f"/proc/self/fd/{name}")
        and os.readlink(f"/proc/self/fd/{name}").startswith("pipe:")
    }


def jailed(code: str) -> str:
    """Run code as the first process of a namespace, where signals to all reach nobody else."""
    guard = "import os, signal, sys\nassert os.getpid() == 1\n"
    guard += "from dropin_cache.update.payload import isolation\n"
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *user, "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        works = subprocess.run([*command, "true"], check=False, capture_output=True)
    except FileNotFoundError:
        missing("unshare")
    if works.returncode != 0:
        pytest.skip("this machine makes no namespaces")
    done = subprocess.run(
        [*command, sys.executable, "-B", "-c", guard + code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


class TestApart:
    """What becomes of the line."""

    def test_line(self, tmp_path: Path) -> None:
        """It comes back; what else was done does not."""
        changed: list[int] = []

        def work() -> bytes:
            changed.append(1)
            return b"x" * 100_000 + b"\n"

        with no_process_left():
            assert b"x" * 100_000 + b"\n" == apart(work, (), LIMIT, alone=False)
        assert [] == changed

    def test_closed(self) -> None:
        """The process has not what it must not have."""
        descriptor = os.open(os.devnull, os.O_RDONLY)

        def work() -> bytes:
            return f"{os.path.lexists(f'/proc/self/fd/{descriptor}')}\n".encode()

        assert b"True\n" == apart(work, (), LIMIT, alone=False)
        assert b"False\n" == apart(work, (descriptor,), LIMIT, alone=False)
        os.close(descriptor)

    def test_more_than_a_line(self) -> None:
        """Anything but one line is no answer, whatever the process does afterwards."""
        tampered = "it tampered with its description"
        before = _pipes()
        assert tampered == apart(lambda: write_and(before, b"a\nb\n"), (), LIMIT, alone=False)
        assert tampered == apart(lambda: write_and(before, b"no end"), (), LIMIT, alone=False)

    def test_too_long(self) -> None:
        """A line has a limit."""
        work = lambda: b"x" * (3 << 20) + b"\n"  # noqa: E731
        expected = "its description is larger than 1 MiB"
        with no_process_left():
            assert expected == apart(work, (), LIMIT, alone=False)

    @pytest.mark.parametrize(
        ("end", "expected"),
        [
            (lambda: os._exit(3), "exit status 3"),
            (lambda: 1 / 0, "exit status 1"),
            (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"),
            (lambda: os.kill(os.getpid(), signal.SIGRTMIN + 1), f"signal {signal.SIGRTMIN + 1}"),
        ],
        ids=["exit", "error", "signal", "real-time signal"],
    )
    def test_end(self, end, expected: str, capfd: pytest.CaptureFixture[str]) -> None:
        """A process that ends without a line is told from others."""
        with no_process_left():
            assert f"it ended the process with {expected}" == apart(end, (), LIMIT, alone=False)

    def test_heir(self) -> None:
        """Something that keeps the pipe open does not keep the end from being seen."""
        reading, writing = os.pipe()

        def work() -> bytes:
            if os.fork() == 0:
                os.close(writing)
                os.read(reading, 1)  # until the test is over
            os._exit(5)

        with no_process_left():
            found = apart(work, (), LIMIT, alone=False)
            os.close(writing)
        os.close(reading)
        assert "it ended the process with exit status 5" == found


class TestAlone:
    """Where nobody else can be hit."""

    def test_nothing_left(self) -> None:
        """What a process leaves behind is ended before the answer is given."""
        code = """
isolation.shut()
def work():
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.pause()
            os._exit(0)
    return b"done\\n"
def others():
    return [name for name in os.listdir("/proc") if name.isdigit()]
print(isolation.apart(work, (), 100, alone=False), len(others()) > 1)
print(isolation.apart(work, (), 100, alone=True), others())
"""
        assert "b'done\\n' True\nb'done\\n' ['1']\n" == jailed(code)

    @pytest.mark.parametrize("alone", [True, False])
    def test_no_room(self, alone: bool) -> None:
        """Where the limit of processes is reached, it is tried again, but not for ever."""
        code = f"""
fork, calls = os.fork, []
def full():
    calls.append(1)
    if len(calls) < 3:
        raise BlockingIOError
    return fork()
os.fork = full
print(isolation.apart(lambda: b"done\\n", (), 100, alone={alone}), len(calls))
isolation._TRIES = 2
def fuller():
    raise BlockingIOError
os.fork = fuller
try:
    isolation.apart(lambda: b"done\\n", (), 100, alone={alone})
except BlockingIOError:
    print("full")
"""
        assert "b'done\\n' 3\nfull\n" == jailed(code)

    def test_shut(self) -> None:
        """Others of the same user cannot look into a process that is shut."""
        code = """
import ctypes
isolation.shut()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
        assert "0\n" == jailed(code)
