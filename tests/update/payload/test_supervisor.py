"""The supervisor of a confined child."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import host
from command_line import no_process_left, wait_for
from dropin_cache.update.payload import supervisor
from dropin_cache.update.sandbox.launch import Account, without_privilege

NO_HOME = '{"home": "/nonexistent/home", "as_user": []}'


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process and no descriptor is left."""
    before = set(os.listdir("/proc/self/fd"))
    with no_process_left():
        yield
    assert before == set(os.listdir("/proc/self/fd"))


def supervised(
    *program: str,
    then: Callable[[int, int], None] | None = None,
    home: Path | str = "/nonexistent/home",
    as_user: Sequence[str] = (),
) -> int:
    """Run a program under the supervisor, in a process forked for it; return its wait status.

    Args:
        program: The program.
        then: Called with the number of the process and the writing end of the lifeline.
        home: The home to be made for it.
        as_user: What runs a command as the program's user.
    """
    reading, writing = os.pipe()
    process = host.fork()
    if process == 0:
        os.close(writing)
        os.setsid()  # or a supervisor without session for its program would end these tests
        try:
            supervisor.supervise(reading, str(home), list(as_user), list(program))
        finally:
            os._exit(99)
    os.close(reading)
    if then is not None:
        then(process, writing)
    status = os.waitpid(process, 0)[1]
    if then is None:
        os.close(writing)
    return status


class TestSupervise:
    """A program and what it leaves."""

    def test_status(self) -> None:
        """It ends as the program did."""
        assert 7 == os.WEXITSTATUS(supervised("/bin/sh", "-c", "exit 7"))

    @pytest.mark.parametrize("number", [9, 11, 15])
    def test_signal(self, number: int) -> None:
        """With the same signal, too, without a core file of its own."""
        status = supervised("/bin/sh", "-c", f"kill -{number} $$")
        assert number == os.WTERMSIG(status)
        assert not os.WCOREDUMP(status)

    def test_cannot_start(self, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """A program that is not there is a line and an exit status."""
        status = supervised("/nonexistent", home=tmp_path / "home")
        assert 127 == os.WEXITSTATUS(status)
        assert "cannot run /nonexistent: No such file or directory\n" == capfd.readouterr().err

    @pytest.mark.parametrize("program", ["sleep 999 & exit 3", "setsid sleep 999 & exit 3"])
    def test_leaves(self, program: str) -> None:
        """What the program leaves is killed."""
        assert 3 == os.WEXITSTATUS(supervised("/bin/sh", "-c", program))

    def test_lifeline(self) -> None:
        """When the other end of the lifeline is closed, the program is killed."""
        status = supervised("/bin/sleep", "999", then=lambda _, writing: os.close(writing))
        assert signal.SIGKILL == os.WTERMSIG(status)

    @pytest.mark.parametrize("program", ["sleep 999", "trap '' TERM; sleep 999 & wait; wait"])
    def test_asked(self, tmp_path: Path, program: str) -> None:
        """SIGTERM ends it likewise."""

        def ask(process: int, writing: int) -> None:
            deadline = time.monotonic() + 60
            while not (tmp_path / "begun").exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(process, signal.SIGTERM)
            self.writing = writing

        script = f"cd {tmp_path}; : > begun; {program}"
        assert signal.SIGKILL == os.WTERMSIG(supervised("/bin/sh", "-c", script, then=ask))
        os.close(self.writing)

    def test_own_session(self) -> None:
        """The program has a session of its own: killing all of that leaves the supervisor."""
        code = "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(999)\n"
        code += "time.sleep(0.1); os.killpg(0, 9)"
        status = supervised(sys.executable, "-I", "-S", "-c", code)
        assert signal.SIGKILL == os.WTERMSIG(status)

    def test_pipes_end_with_the_program(self) -> None:
        """The supervisor keeps none of the pipes open that the program has closed."""
        reading, writing = os.pipe()
        os.set_inheritable(writing, True)

        def wait(_: int, lifeline: int) -> None:
            os.close(writing)
            assert b"" == os.read(reading, 1)
            os.close(lifeline)

        code = f"import os, time; os.close({writing}); time.sleep(999)"
        supervised(sys.executable, "-I", "-S", "-c", code, then=wait)
        os.close(reading)

    def test_as_source(self) -> None:
        """It is self-contained."""
        reading, writing = os.pipe()
        source = Path(supervisor.__file__).read_text()
        arguments = [sys.executable, "-I", "-S", "-c", source, str(reading), NO_HOME]
        done = subprocess.run(
            [*arguments, "/bin/sh", "-c", "exit 5"], check=False, pass_fds=[reading]
        )
        assert 5 == done.returncode
        os.close(reading)
        os.close(writing)


class TestHome:
    """The directory that the program has for itself."""

    def test_own(self, tmp_path: Path) -> None:
        """It is empty, closed to all others, and goes."""
        script = f"cd {tmp_path}; stat -c '%a %h %u' home > found; ls -A home >> found"
        assert 0 == supervised("/bin/sh", "-c", script, home=tmp_path / "home")
        assert f"700 2 {os.geteuid()}\n" == (tmp_path / "found").read_text()
        assert ["found"] == os.listdir(tmp_path)

    @pytest.mark.skipif(os.geteuid() != 0, reason="others can give nothing away")
    def test_of_another(self, public_path: Path) -> None:
        """It belongs to the user that it is for, and goes also if that has closed it for itself."""
        public_path.chmod(0o1777)
        drop = without_privilege(Account("", 4711, 4712))
        home = public_path / "home"
        script = "mkdir -p $0/closed/inner; chmod 0 $0/closed/inner $0/closed; stat -c '%u %g' $0"
        program = [*drop, "/bin/sh", "-c", f"({script}) > $0.found", str(home)]
        assert 0 == supervised(*program, home=home, as_user=drop)
        assert "4711 4712\n" == Path(f"{home}.found").read_text()
        assert ["home.found"] == os.listdir(public_path)

    def test_whole(self, tmp_path: Path) -> None:
        """All that is in it goes as well, however deep; what links lead to stays."""
        (tmp_path / "kept").write_text("text")
        code = f"""
import os
os.chdir({str(tmp_path / "home")!r})
os.symlink("../kept", "link")
os.mkfifo("fifo")
for _ in range(1500):  # longer than a path can be
    os.mkdir("deep")
    os.chdir("deep")
os.chmod(".", 0)
"""
        program = [sys.executable, "-I", "-S", "-c", code]
        assert 0 == supervised(*program, home=tmp_path / "home")
        assert ["kept"] == os.listdir(tmp_path)
        assert "text" == (tmp_path / "kept").read_text()

    def test_update_killed(self, tmp_path: Path) -> None:
        """It goes when whoever holds the lifeline is gone, however that ended."""
        home = tmp_path / "home"

        def end(_: int, writing: int) -> None:
            wait_for(home / "begun")
            os.close(writing)

        supervised("/bin/sh", "-c", f": > {home}/begun; sleep 999", then=end, home=home)
        assert [] == os.listdir(tmp_path)

    def test_none(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Where there can be none, the program runs without."""
        monkeypatch.setattr(supervisor, "_MAKE", ("/bin/false",))
        assert 3 == os.WEXITSTATUS(supervised("/bin/sh", "-c", "exit 3", home=tmp_path / "home"))
        monkeypatch.setattr(os, "spawnve", lambda *_: os.close(-1))
        assert 3 == os.WEXITSTATUS(supervised("/bin/sh", "-c", "exit 3", home=tmp_path / "home"))
        assert [] == os.listdir(tmp_path)


class TestParts:
    """The parts, in processes forked for them."""

    def forked(self, function: Callable[[], None]) -> int:
        """Run something in another process; return its wait status."""
        process = host.fork()
        if process == 0:
            try:
                function()
            finally:
                os._exit(99)
        return os.waitpid(process, 0)[1]

    def test_end_as(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The signal is sent to itself only, with its usual effect."""

        def end() -> None:
            me = os.getpid()
            monkeypatch.setattr(os, "kill", lambda pid, number: os._exit(number + (pid != me)))
            supervisor._end_as(int(signal.SIGTERM))

        assert signal.SIGTERM == os.WEXITSTATUS(self.forked(end))

    def test_main(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The arguments are a descriptor and a program."""
        reading, writing = os.pipe()
        arguments = ["-c", str(reading), NO_HOME, "/bin/sh", "-c", "exit 6"]

        def start() -> None:
            os.close(writing)
            monkeypatch.setattr(sys, "argv", arguments)
            runpy.run_path(supervisor.__file__, None, "__main__")

        assert 6 == os.WEXITSTATUS(self.forked(start))
        os.close(reading)
        os.close(writing)

    def test_end_as_signal(self) -> None:
        """A signal is passed on, one that cannot be caught as well."""
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
            assert number == self.forked(lambda n=int(number): supervisor._end_as(n))
        assert 0x300 == self.forked(lambda: supervisor._end_as(0x300))

    def test_descendants(self) -> None:
        """All below are found, however deep; nobody else."""
        with subprocess.Popen(["sh", "-c", "sleep 999 & echo; wait"], stdout=-1) as process:
            process.stdout.readline()
            found = supervisor._descendants()
            assert process.pid in found
            assert len(found) >= 2
            assert os.getpid() not in found
            assert os.getppid() not in found
            for one in found:
                os.kill(one, signal.SIGKILL)
