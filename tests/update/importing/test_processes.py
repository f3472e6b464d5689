"""Ending a child together with everything it has started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import living_children, no_process_left
from dropin_cache.errors import EXIT_SIGNAL
from dropin_cache.update.importing import processes
from dropin_cache.update.importing.child import Child, ChildError
from dropin_cache.update.importing.processes import Supervised, offspring_of
from dropin_cache.update.sandbox.launch import Launch
from dropin_cache.update.sandbox.start import Started
from sandboxes import PYTHON, confined

# Becomes a daemon in the classical way, without its mark, and tells that it lives. It fails at once
# where there is no room for another process of its user, because of other tests.
DAEMON = """
import os, sys, time
reading, writing = os.pipe()
if os.fork() == 0:
    try:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, b"x")
            os.closerange(0, 20)
            os.execve("/bin/sleep", ["sleep", "998.@"], {})
    finally:
        os._exit(0)
os.close(writing)
assert os.read(reading, 1)
time.sleep(0.2)
""".replace("@", str(os.getpid()))  # others run these tests at the same time


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no descriptor is left."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert before == set(os.listdir("/proc/self/fd"))


@pytest.fixture
def modules(public_path: Path) -> Path:
    """A directory that children import from."""
    return public_path


def ask(child: Child, modules: Path, code: str, timeout: float = 60) -> dict[str, object]:
    """Have a child run code, from a package that it has not imported yet."""
    name = f"bad{len(os.listdir(modules))}"
    (modules / name).mkdir()
    (modules / name / "__init__.py").write_text(code)
    child.ask(start(modules), 60)
    return child.ask({"do": "package", "name": name}, timeout)


def start(modules: Path) -> dict[str, Any]:
    """Return the first request to a child that imports from a directory."""
    nothing = {"more": [], "user": None, "closed": [], "writable": [], "asked": False}
    return {"do": "start", "path": [str(modules)], "tier": "none", **nothing}


def daemons() -> list[int]:
    """Return the processes that `DAEMON` leaves."""
    line = f"sleep\0998.{os.getpid()}\0".encode()
    found = []
    for process in processes._processes():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{process}/cmdline").read_bytes() == line:
                found.append(process)
    return found


class TestDaemons:
    """A process that has left everything behind by which it could be recognised."""

    def test_unconfined(self, modules: Path) -> None:
        """Without a sandbox it survives: only its mark would have told."""
        child = Child(Launch([PYTHON, "-I", "-B"], {}, "/"))
        ask(child, modules, DAEMON)
        child.close()
        left = daemons()
        for process in left:
            os.kill(process, signal.SIGKILL)
        assert 1 == len(left)

    @pytest.mark.parametrize("tier", ["namespace", "landlock"])
    @pytest.mark.parametrize(
        "end", ["", "os._exit(3)", "os.kill(os.getpid(), 9)", "time.sleep(99)"]
    )
    def test_confined(self, modules: Path, tier: str, end: str) -> None:
        """In a sandbox it is gone with its child, however that ended."""
        with no_process_left():
            child = Child(confined(tier, modules))
            with contextlib.suppress(ChildError):
                ask(child, modules, DAEMON + end, 2 if "99" in end else 60)
            child.close()
            assert [] == daemons()

    @pytest.mark.parametrize("tier", ["namespace", "landlock"])
    @pytest.mark.parametrize("before", ["", "os.close(int(sys.argv[2]))"], ids=["", "no lifeline"])
    def test_update_is_killed(self, modules: Path, tier: str, before: str) -> None:
        """It is gone soon after the update has been killed, whatever the child does about it."""
        launch = confined(tier, modules)
        (modules / "bad").mkdir()
        (modules / "bad" / "__init__.py").write_text(
            f"import os, sys\n{before}\n{DAEMON}time.sleep(999)"
        )
        code = f"""
from dropin_cache.update.importing.child import Child
from dropin_cache.update.sandbox.launch import Launch
from dropin_cache.update.sandbox.start import Started
child = Child(Launch(*{tuple(launch)!r}))
for request in ({start(modules)!r}, {{"do": "package", "name": "bad"}}):
    child.ask(request, 600)
"""
        deadline = time.monotonic() + 60
        with no_process_left():
            lives = False
            while not lives:
                # It ends early if other tests leave no room for a process of the same user.
                with subprocess.Popen([sys.executable, "-B", "-c", code]) as update:
                    try:
                        while not lives and update.poll() is None:
                            assert time.monotonic() < deadline
                            time.sleep(0.01)
                            lives = bool(daemons())
                    finally:
                        update.kill()
            while daemons():
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def test_nobody_reaps(self, modules: Path) -> None:
        """That is so where whoever gets what the update leaves does not reap it, as in containers.

        This process does not, before the end. What ends first differs, so it is tried often.
        """
        code = f"""
from dropin_cache.update.importing.child import Child
from dropin_cache.update.sandbox.launch import Launch
child = Child(Launch(*{tuple(confined("namespace", modules))!r}))
child.ask({start(modules)!r}, 600)
print("started", flush=True)
child.receive("nothing", 600)
"""
        with no_process_left():
            before = set(living_children())
            for _ in range(10):
                run = [sys.executable, "-B", "-c", code]
                with subprocess.Popen(run, stdout=subprocess.PIPE) as update:
                    assert update.stdout is not None
                    assert b"started\n" == update.stdout.readline()
                    update.kill()
            deadline = time.monotonic() + 60
            while set(living_children()) - before:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def test_forks_on_and_on(self, modules: Path) -> None:
        """Forking faster than processes can be listed does not help."""
        code = "import os, time\nif os.fork() == 0:\n"
        code += "    os.setsid(); os.closerange(0, 20); end = time.time() + 60\n"
        code += "    while time.time() < end:\n        try:\n"
        code += "            if os.fork(): os._exit(0)\n        except OSError: pass\n"
        code += "time.sleep(0.2)\n"
        with no_process_left():
            child = Child(confined("landlock", modules))
            ask(child, modules, code)
            child.close()


class TestStatus:
    """What is told of the end of a child."""

    @pytest.mark.parametrize("tier", ["namespace", "landlock"])
    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            ("os._exit(3)", "exit status 3"),
            ("os.kill(os.getpid(), 9)", "SIGKILL"),
            ("os.kill(os.getpid(), 11)", "SIGSEGV"),
            ("ctypes.string_at(0)", "SIGSEGV"),
            ("os.kill(os.getpid(), signal.SIGRTMIN + 1)", f"signal {signal.SIGRTMIN + 1}"),
        ],
    )
    def test_reason(self, modules: Path, tier: str, code: str, reason: str) -> None:
        """The sandbox does not hide what happened."""
        with no_process_left():
            child = Child(confined(tier, modules))
            with pytest.raises(ChildError) as caught:
                ask(child, modules, f"import ctypes, os, signal; {code}")
            assert f"it ended the process with {reason}" == caught.value.reason

    @pytest.mark.parametrize("tier", ["namespace", "landlock"])
    def test_closed(self, modules: Path, tier: str) -> None:
        """A child that is not asked any more is ended at once: nothing is lost with it."""
        with no_process_left():
            child = Child(confined(tier, modules))
            child.ask(start(modules), 60)
            child.close()
            killed = (-signal.SIGKILL, EXIT_SIGNAL + signal.SIGKILL)  # itself, or what bwrap tells
            assert child._process.returncode in (0, *killed)  # it may be quicker

    @pytest.mark.parametrize("tier", ["namespace", "landlock"])
    @pytest.mark.parametrize("end", ["kill", "close"])
    def test_ended_while_it_starts(self, modules: Path, tier: str, end: str) -> None:
        """One that has not even begun can be ended as well."""
        with no_process_left():
            child = Child(confined(tier, modules))
            getattr(child, end)()
            child.close()
            assert None is not child._process.returncode

    def test_setup_fails(self, modules: Path) -> None:
        """What bwrap has to say about its failure is the child's output."""
        launch = confined("namespace")
        at = launch.arguments.index("--ro-bind")
        broken = [*launch.arguments[:at], "--ro-bind", "/nonexistent", "/x", *launch.arguments[at:]]
        child = Child(launch._replace(arguments=broken))
        with pytest.raises(ChildError) as caught:
            child.ask(start(modules), 60)
        assert "bwrap: Can't find source path /nonexistent" in caught.value.output
        assert "it ended the process with exit status 1" == caught.value.reason


class TestDescriptors:
    """What is open in a child."""

    def test_namespace(self, modules: Path) -> None:
        """Nothing but its pipes: neither what bwrap had, nor what the update has."""
        code = "import os\nfds = [f'/proc/self/fd/{fd}' for fd in os.listdir('/proc/self/fd')]\n"
        code += "kinds = [os.readlink(fd).partition(':')[0] for fd in fds if os.path.exists(fd)]\n"
        code += "raise ValueError(sorted(kinds))"
        with (modules / "other").open("w") as other:
            os.set_inheritable(other.fileno(), True)
            child = Child(confined("namespace", modules))
            error = str(ask(child, modules, code)["error"])
            child.close()
        # Requests, answers, output twice and lifeline; input.
        assert error == f"ValueError: {['pipe'] * 6}"


class TestSupervised:
    """Processes below a supervisor."""

    def test_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that does not end is killed."""
        monkeypatch.setattr(processes, "_PATIENCE", 0.1)
        script = ["sh", "-c", "trap '' TERM; echo; exec sleep 999"]
        with subprocess.Popen(script, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            assert -signal.SIGKILL == Supervised().kill(Started(process, None))


def test_tiers() -> None:
    """Each tier has its way."""
    tiers = ("namespace", "landlock", "user", "none")
    names = [type(offspring_of(tier)).__name__ for tier in tiers]
    assert ["InNamespace", "Supervised", "Supervised", "Marked"] == names


class TestSweep:
    """Killing what carries the mark."""

    def test_others_stay(self) -> None:
        """A process with another mark is left alone."""
        with sleeping("0") as other:
            processes._sweep("MARK=" + mark("1"))
            assert None is other.poll()

    def test_marked(self) -> None:
        """One with the mark is killed."""
        with sleeping("1") as other:
            processes._sweep("MARK=" + mark("1"))
            assert -signal.SIGKILL == other.wait(60)

    def test_will_not_die(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that cannot be killed is given up."""
        with sleeping("1") as other, monkeypatch.context() as patch:
            patch.setattr(os, "kill", lambda *_: None)
            processes._sweep("MARK=" + mark("1"))
            assert None is other.poll()

    def test_no_proc(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where processes cannot be listed, none are found."""
        with monkeypatch.context() as patch:
            patch.setattr(os, "listdir", no_such_file)
            assert [] == processes._processes()


def no_such_file(*_: object) -> None:
    """Fail as a missing directory does."""
    raise FileNotFoundError


def mark(digit: str) -> str:
    """Return a mark of this test process's own: others may sweep at the same time."""
    return digit * 24 + f"{os.getpid():08}"


@contextlib.contextmanager
def sleeping(digit: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process that carries a mark."""
    with subprocess.Popen(["sleep", "999"], env={"MARK": mark(digit)}) as process:
        try:
            # Before it becomes that program it has our environment.
            while b"MARK=" not in Path(f"/proc/{process.pid}/environ").read_bytes():
                time.sleep(0.01)
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
