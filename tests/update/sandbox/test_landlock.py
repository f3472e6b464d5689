"""The sandbox made of Landlock and a filter of system calls."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from pathlib import Path

import pytest

from conftest import missing
from dropin_cache.errors import DirectoryError, InterpreterError
from dropin_cache.update.sandbox import landlock, user_namespaces
from dropin_cache.update.sandbox.landlock import Landlock
from dropin_cache.update.sandbox.launch import child_account, without_privilege
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.visible import View
from sandboxes import PYTHON, ROOT, confined, open_launch, sandbox, says

needs_root = pytest.mark.skipif(not ROOT, reason="the child is another user only of root's")


class TestWorks:
    """Asking whether the sandbox can be used."""

    def test_works(self) -> None:
        """Where a child can be started, it says so."""
        assert None is sandbox("landlock").works()

    def test_no_landlock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A kernel without Landlock is not good enough."""
        monkeypatch.setattr(landlock, "_CREATE_RULESET", 9999)
        expected = "the kernel has no Landlock, or it is switched off"
        assert expected == Landlock(Limits(), privileged=False).works()

    def test_denied(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor is one where a container denies it."""

        class Denied:
            def __init__(self, *_: object, **__: object) -> None:
                pass

            def syscall(self, *_: object) -> int:
                ctypes.set_errno(errno.EPERM)
                return -1

        monkeypatch.setattr(ctypes, "CDLL", Denied)
        expected = "Landlock is forbidden here (landlock_create_ruleset: Operation not permitted)"
        assert expected in str(Landlock(Limits(), privileged=False).works())

    def test_other_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a filter there would be a network."""
        sandbox("landlock")
        monkeypatch.setattr(landlock, "machine", lambda: None)
        reason = Landlock(Limits(), privileged=False).works()
        assert "there is no filter of system calls for this machine" == reason

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
        with pytest.raises(DirectoryError) as caught:
            confined("landlock", tmp_path / "root")
        assert "(mode 0700); use the namespace sandbox" in caught.value.reason

    @pytest.mark.parametrize("apart", [True, False])
    def test_own_place(self, monkeypatch: pytest.MonkeyPatch, apart: bool) -> None:
        """It can write in a home of its own, which also is the place for temporary files."""
        if not apart:
            monkeypatch.setattr(user_namespaces, "counted_apart", lambda: False)
        launch = confined("landlock")
        (home,) = launch.writable
        code = """
        import os, tempfile
        home = os.path.expanduser("~")
        print(os.path.dirname(tempfile.mkdtemp()), home, oct(os.stat(home).st_mode))
        """
        assert f"{home} {home} 0o40700" == says(launch, code)
        assert not os.path.exists(home)

    @needs_root
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("for i in range(99): open(f'{home}/{i}', 'wb').write(b'x' * (1 << 20))", "16"),
            ("for i in range(9999): os.mkdir(f'{home}/{i}')", "4095"),
        ],
        ids=["bytes", "files"],
    )
    def test_limited_place(self, code: str, expected: str) -> None:
        """There is an end to what it can write, however many files it makes."""
        launch = confined("landlock")
        if not launch.users:
            missing("user namespaces")
        code = f"""
        import errno, os
        home = os.environ["HOME"]
        try:
            {code}
        except OSError as error:
            print(i, errno.errorcode[error.errno])
        """
        assert f"{expected} ENOSPC" == says(launch, code)

    @needs_root
    def test_own_count(self) -> None:
        """What others start as its user takes no processes from it."""
        launch = confined("landlock", limits=Limits(processes=4))
        if not launch.users:
            missing("user namespaces")
        drop = without_privilege(child_account())
        # It is that user when it prints.
        others = [
            subprocess.Popen([*drop, "/bin/sh", "-c", "echo; exec sleep 999"], stdout=-1)
            for _ in range(8)
        ]
        try:
            for process in others:
                process.stdout.readline()
            found = says(launch, "import os; print(os.waitpid(os.fork() or os._exit(0), 0)[1])")
        finally:
            for process in others:
                process.kill()
                process.communicate()
        assert "0" == found

    @pytest.mark.skipif(ROOT, reason="root takes no place from its environment")
    def test_place_of_a_user(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A user's sandbox has it where that user has temporary files."""
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        (home,) = Landlock(Limits(), privileged=False).launch(PYTHON).writable
        assert str(tmp_path) == os.path.dirname(home)

    @needs_root
    def test_place_of_root(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Root's has it in a place that no variable names."""
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        (home,) = Landlock(Limits(), privileged=True).launch(PYTHON).writable
        assert "/tmp" == os.path.dirname(home)  # noqa: S108

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
