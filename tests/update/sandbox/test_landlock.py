"""The sandbox made of Landlock and a filter of system calls."""

from __future__ import annotations

import ctypes
import os
import runpy
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from conftest import missing
from dropin_cache.errors import ImportRootError, InterpreterError
from dropin_cache.update.payload import confinement
from dropin_cache.update.sandbox import landlock
from dropin_cache.update.sandbox.landlock import Landlock
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.visible import View
from sandboxes import PYTHON, ROOT, confined, open_launch, run, sandbox, says

needs_root = pytest.mark.skipif(not ROOT, reason="the child is another user only of root's")


class TestWorks:
    """Asking whether the sandbox can be used."""

    def test_works(self) -> None:
        """Where a child can be started, it says so."""
        assert None is sandbox("landlock").works()

    def test_no_landlock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A kernel without Landlock is not good enough."""
        monkeypatch.setattr(confinement, "abi", lambda: 0)
        assert "the kernel has no Landlock" == Landlock(Limits(), privileged=False).works()

    def test_other_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a filter there would be a network."""
        monkeypatch.setattr(confinement, "abi", lambda: 1)
        monkeypatch.setattr(confinement, "_CALLS", {})
        reason = Landlock(Limits(), privileged=False).works()
        assert f"there is no filter of system calls for {os.uname().machine}" == reason

    def test_no_tool(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A missing tool is named."""
        sandbox("landlock")
        monkeypatch.setattr(landlock, "PRLIMIT", "/nonexistent/prlimit")
        reason = Landlock(Limits(), privileged=False).works()
        assert "/nonexistent/prlimit is not there" == reason


class TestLaunch:
    """Starting an interpreter."""

    def test_same_user(self) -> None:
        """Without privilege the child keeps its user."""
        sandbox("landlock")
        launch = Landlock(Limits(), privileged=False).launch(PYTHON)
        assert str(os.getuid()) == says(launch, "import os; print(os.getuid())")

    @needs_root
    def test_unreachable_interpreter(self, tmp_path: Path) -> None:
        """An interpreter below a private directory is refused before anything starts."""
        private = tmp_path / "private"
        (private / "bin").mkdir(parents=True)
        (private / "bin" / "python").symlink_to(PYTHON)
        private.chmod(0o700)
        with pytest.raises(InterpreterError) as caught:
            sandbox("landlock").launch(f"{private}/bin/python")
        advice = "; use the namespace sandbox (install bubblewrap), or move it"
        assert caught.value.reason.endswith(advice)
        assert "cannot reach it because of " in caught.value.reason

    @needs_root
    def test_unreachable_root(self, tmp_path: Path) -> None:
        """Likewise an import root."""
        (tmp_path / "root").mkdir()
        tmp_path.chmod(0o700)
        with pytest.raises(ImportRootError) as caught:
            confined("landlock", tmp_path / "root")
        assert "(mode 0700); use the namespace sandbox" in caught.value.reason

    def test_nothing_written(self) -> None:
        """There is not even a place for temporary files."""
        code = "import os, tempfile; os.rmdir(tempfile.mkdtemp()); print('made')"
        assert "made" == says(open_launch(), code)
        assert "FileNotFoundError" == says(confined("landlock"), code)

    def test_other_processes(self) -> None:
        """What other processes are doing cannot be seen."""
        code = "import sys; print(len(open(f'/proc/{sys.argv[1]}/cmdline').read()) > 0)"
        assert "True" == says(open_launch(), code, str(os.getpid()))
        assert "PermissionError" == says(confined("landlock"), code, str(os.getpid()))

    @pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
    @pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"])
    def test_sockets(self, family: str, kind: str) -> None:
        """No socket is to be had."""
        code = f"import socket; socket.socket(socket.{family}, socket.{kind}); print('made')"
        works = says(open_launch(), code)
        assert "PermissionError" == says(confined("landlock"), code)
        assert works in ("made", "OSError")

    def test_shared_memory(self) -> None:
        """Nothing can be left in the kernel's memory."""
        code = """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        number = libc.shmget(0, 4096, 0o1600)
        print(ctypes.get_errno() if number < 0 else "made")
        libc.shmctl(number, 0, None)
        """
        assert "made" == says(open_launch(), code)
        assert "13" == says(confined("landlock"), code)

    def test_x32(self) -> None:
        """The second numbers of calls, and those of 32-bit programs, are no way around."""
        if os.uname().machine != "x86_64":
            pytest.skip("only x86-64 has them")
        code = """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.syscall(0x40000000 + 41, 1, 1, 0), ctypes.get_errno())
        """
        assert "-1 13" == says(confined("landlock"), code)

    @pytest.mark.parametrize("flag", [0x10000000, 0x40000000])
    def test_clone(self, flag: int) -> None:
        """Namespaces cannot be had by way of clone; processes and threads can."""
        if os.uname().machine != "x86_64":
            pytest.skip("the number of the call is that of x86-64")
        code = f"""
        import ctypes, os, threading
        libc = ctypes.CDLL(None, use_errno=True)
        pid = libc.syscall(56, {flag} | 17, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        thread = threading.Thread(target=print, args=(pid, ctypes.get_errno()))
        thread.start()
        thread.join()
        """
        assert says(open_launch(), code) != "-1 13" or not ROOT
        assert "-1 13" == says(confined("landlock"), code)

    def test_subprocess(self) -> None:
        """It can start programs of the view, and these are confined, too."""
        code = """
        import subprocess
        line = ["/bin/cat", "/proc/1/comm"]
        print(subprocess.run(line, stderr=-2, stdout=-1).returncode)
        """
        assert "0" == says(open_launch(), code)
        assert "1" == says(confined("landlock"), code)

    def test_view(self, public_path: Path) -> None:
        """A file can be in the view as well as a directory; what is missing is no matter."""
        (public_path / "archive.zip").write_text("text")
        view = View.of(PYTHON, [f"{public_path}/archive.zip"])
        entries = (*view.entries, view.entries[0]._replace(source="/nonexistent"))
        launch = sandbox("landlock").launch(PYTHON, view._replace(entries=entries))
        assert "text" == says(launch, f"print(open('{public_path}/archive.zip').read())")

    def test_cannot_confine(self) -> None:
        """Where it cannot be done, the program is not run."""
        launch = confined("landlock")
        source = next(part for part in launch.arguments if "landlock_add_rule" in part)
        for old, new in (("444, 445,", "444, 4450,"), ('"x86_64": _X', '"other": _X')):
            if os.uname().machine != "x86_64" and "x86" in old:
                continue
            changed = source.replace(old, new)
            assert changed != source
            arguments = [changed if part == source else part for part in launch.arguments]
            done = run(launch._replace(arguments=arguments), "print('it runs')")
            assert (125, "") == (done.returncode, done.stdout)
            assert done.stderr.startswith("cannot confine: ")
            assert 1 == done.stderr.count("\n")


class Stopped(BaseException):
    """Stands for the end of a process."""


def in_thread(function: Any, *arguments: Any) -> Any:
    """Run something in a thread of its own, because only the calling thread is confined."""
    outcome = []

    def target() -> None:
        try:
            outcome.append(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - it is returned
            outcome.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    return outcome[0]


class TestProgram:
    """The parts of the program that confines itself, each in a thread."""

    def test_abi(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The kernel tells its version; an error means none."""
        assert confinement.abi() >= 0
        monkeypatch.setattr(confinement, "_CREATE_RULESET", -1)
        assert 0 == confinement.abi()

    def test_files(self, public_path: Path) -> None:
        """What is not allowed cannot be read, and nothing can be written."""
        if confinement.abi() == 0:
            missing("Landlock")

        def attempt() -> list[bool]:
            ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
            (public_path / "directory").mkdir()
            paths = [str(public_path / name) for name in ("inside", "directory", "missing")]
            confinement.restrict_files(paths)
            assert [] == os.listdir(public_path / "directory")
            outcomes = []
            for name, mode in (("inside", "r"), ("inside", "a"), ("outside", "r")):
                try:
                    with (public_path / name).open(mode):
                        outcomes.append(True)
                except PermissionError:
                    outcomes.append(False)
            return outcomes

        for name in ("inside", "outside"):
            (public_path / name).touch()
        assert [True, False, False] == in_thread(attempt)
        assert (public_path / "outside").read_text() == ""

    @pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
    def test_older_kernels(self, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
        """Of an older version, only what it knows is asked."""
        if confinement.abi() < version:
            missing(f"Landlock {version}")
        monkeypatch.setattr(confinement, "abi", lambda: version)

        def attempt() -> str:
            ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
            confinement.restrict_files([])
            try:
                return str(os.listdir("/"))
            except PermissionError:
                return "denied"

        assert "denied" == in_thread(attempt)

    def test_calls(self) -> None:
        """A denied call fails."""
        machine = os.uname().machine
        if not confinement.call_filter(machine, all_of_them=True):
            missing("a filter for this machine")

        def attempt() -> list[int]:
            ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
            confinement.restrict_calls(machine)
            libc = ctypes.CDLL(None, use_errno=True)
            return [libc.socket(1, 1, 0), ctypes.get_errno()]

        assert [-1, 13] == in_thread(attempt)

    def test_no_filter(self) -> None:
        """A machine without a filter is an error."""
        error = in_thread(confinement.restrict_calls, "vax")
        assert "no filter of system calls for vax" == error.strerror

    def test_main(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        """What goes wrong is one line and an exit status, and nothing is run."""

        def leave(*arguments: Any) -> None:
            raise Stopped(*arguments)

        monkeypatch.setattr(os, "_exit", leave)
        monkeypatch.setattr(os, "execv", leave)
        rules = '{"read": []}'
        error = in_thread(confinement.main, ["-c", rules, "/nonexistent"])
        assert ("/nonexistent", ["/nonexistent"]) == error.args
        monkeypatch.setattr(sys, "argv", ["-c", rules, "/program"])
        error = in_thread(runpy.run_path, confinement.__file__, None, "__main__")
        assert ("/program", ["/program"]) == error.args
        monkeypatch.setattr(confinement, "_ADD_RULE", -1)
        error = in_thread(confinement.main, ["-c", rules, "/nonexistent"])
        assert (125,) == error.args
        assert capfd.readouterr().err.startswith("cannot confine: landlock_")

    def test_is_self_contained(self) -> None:
        """It runs without this project, on whatever runs the update."""
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", Path(confinement.__file__).read_text(), "{}", "/x"],
            check=False,
            capture_output=True,
            text=True,
        )
        assert 1 == done.returncode
        assert "KeyError: 'read'" in done.stderr


class TestFilter:
    """The filter, followed by hand."""

    MACHINES = (("x86_64", 0xC000003E), ("aarch64", 0xC00000B7), ("riscv64", 0xC00000F3))

    def result(  # noqa: PLR0913 - what the kernel sees of a call
        self, machine: str, *, audit: int, number: int, flags: int = 0, second: int = 0, every: bool
    ) -> int:
        """Run a filter as the kernel would; return the error number, or 0."""
        code = list(struct.iter_unpack("HBBI", confinement.call_filter(machine, all_of_them=every)))
        data = {0: number, 4: audit, 16: flags, 24: second}
        at = value = 0
        while True:
            operation, if_true, if_false, operand = code[at]
            at += 1
            if operation == 0x20:
                value = data[operand]
            elif operation == 0x05:
                at += operand
            elif operation == 0x54:
                value &= operand
            elif operation == 0x06:
                return operand & 0xFFFF if operand >> 16 == 5 else 0
            else:
                holds = {
                    0x15: value == operand,
                    0x35: value >= operand,
                    0x45: bool(value & operand),
                }[operation]
                at += if_true if holds else if_false

    @pytest.mark.parametrize(("machine", "audit"), MACHINES)
    def test_denied(self, machine: str, audit: int) -> None:
        """Each call of the list is denied, the first and the last included."""
        calls = confinement._CALLS[machine]
        always = f"{calls.kernel} {calls.memory}".split()
        rest = f"{calls.others} {calls.files}".split()
        for number in (*always, *rest):
            assert 13 == self.result(machine, audit=audit, number=int(number), every=True)
        for number in always:
            assert 13 == self.result(machine, audit=audit, number=int(number), every=False)
        for number in rest:
            assert 0 == self.result(machine, audit=audit, number=int(number), every=False)

    @pytest.mark.parametrize(("machine", "audit"), MACHINES)
    def test_arguments(self, machine: str, audit: int) -> None:
        """Some calls are denied for what they are asked to do."""
        calls = confinement._CALLS[machine]
        for number, flags, second, every, denied in (
            (calls.socket, 1, 1, True, True),
            (calls.socket, 1, 1, False, False),
            (calls.socket, 2, 2, False, False),
            (calls.socket, 10, 1, False, False),
            (calls.socket, 16, 3, False, False),
            (calls.socket, 40, 1, False, True),  # AF_VSOCK
            (calls.socket, 17, 3, False, True),  # AF_PACKET
            (calls.socketpair, 1, 1, True, False),
            (calls.socketpair, 1, 0o2000001, True, False),  # with SOCK_CLOEXEC
            (calls.socketpair, 1, 2, True, True),
            (calls.socketpair, 1, 5, True, True),
            (calls.socketpair, 1, 2, False, False),
            (calls.prlimit, 0, 0, True, False),
            (calls.prlimit, 1, 0, True, True),
            (calls.prlimit, 1, 0, False, False),
        ):
            result = self.result(
                machine, audit=audit, number=number, flags=flags, second=second, every=every
            )
            assert (13 if denied else 0) == result, (number, flags, second, every)

    @pytest.mark.parametrize(("machine", "audit"), MACHINES)
    def test_others(self, machine: str, audit: int) -> None:
        """Others are allowed, clone too if it makes no namespace; clone3 seems not to exist."""
        clone = confinement._CALLS[machine].clone
        for every in (True, False):
            results = [
                self.result(machine, audit=audit, number=number, flags=flags, every=every)
                for number, flags in ((59, 0), (clone, 0x11), (clone, 0x10000011), (435, 0))
            ]
            assert [0, 0, 13, 38] == results

    @pytest.mark.parametrize(("machine", "audit"), MACHINES)
    def test_other_interface(self, machine: str, audit: int) -> None:
        """Calls of another interface are denied, whatever their number means there."""
        assert 13 == self.result(machine, audit=0x40000003, number=1, every=False)
        x32 = self.result(machine, audit=audit, number=0x40000001, every=False)
        assert (13 if machine == "x86_64" else 0) == x32

    def test_unknown_machine(self) -> None:
        """For other machines there is none."""
        assert b"" == confinement.call_filter("vax", all_of_them=False)
