"""The sandbox made of Landlock and a filter of system calls."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from dropin_cache.errors import ImportRootError, InterpreterError
from dropin_cache.update.sandbox import landlock
from dropin_cache.update.sandbox.landlock import Landlock
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
        expected = "Landlock may not be used here: Operation not permitted (denied by a container?)"
        assert expected == Landlock(Limits(), privileged=False).works()

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
        with pytest.raises(ImportRootError) as caught:
            confined("landlock", tmp_path / "root")
        assert "(mode 0700); use the namespace sandbox" in caught.value.reason

    def test_no_place(self) -> None:
        """Without a room there is no home, and no place for temporary files either."""
        code = "import os, tempfile; os.rmdir(tempfile.mkdtemp()); print('made')"
        assert "made" == says(open_launch(), code)
        assert "FileNotFoundError" == says(confined("landlock"), code)
        home = "import os; print(os.path.expanduser('~'))"
        assert "/nonexistent" == says(confined("landlock"), home)

    def test_own_place(self) -> None:
        """With one it can write there, and nobody else can look."""
        tier = sandbox("landlock")
        with tier.room() as private:
            assert private is not None
            launch = tier.launch(PYTHON, private=private)
            assert (private,) == launch.writable
            code = "import os, tempfile; print(tempfile.mkdtemp(), os.path.expanduser('~'))"
            made, home = says(launch, code).split()
            assert private == home == os.path.dirname(made)
            assert 0o700 == os.stat(private).st_mode & 0o7777
        assert not os.path.exists(private)

    def test_place_of_a_user(self) -> None:
        """A user's sandbox has it from that user, and waits for no others."""
        with Landlock(Limits(), privileged=False).room() as private:
            assert private is not None
            assert os.geteuid() == os.stat(private).st_uid
        assert not os.path.exists(private)

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
