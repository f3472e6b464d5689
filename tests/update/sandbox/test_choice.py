"""Which sandbox is chosen, and what no code can do in any of them."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import give_away, no_process_left, unprivileged
from dropin_cache.errors import NoSandboxError
from dropin_cache.update.sandbox.choice import CONFINED, Confinement, Unconfined, choose
from dropin_cache.update.sandbox.launch import Launch
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.namespace import Namespace
from sandboxes import ROOT, confined, open_launch, run, sandbox, says

needs_root = pytest.mark.skipif(not ROOT, reason="the child is another user only of root's")


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@pytest.fixture(params=CONFINED)
def tier(request: pytest.FixtureRequest) -> str:
    """Each tier that confines."""
    return str(request.param)


class TestUnconfined:
    """The tier without confinement."""

    def test_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """For root neither the environment nor the working directory has a say."""
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("PYTHONPATH", "/somewhere")
        launch = Unconfined().launch("/usr/bin/python3")
        assert ["/usr/bin/python3", "-I", "-B"] == launch.arguments
        assert {"LC_ALL", "MALLOC_ARENA_MAX", "PATH"} == set(launch.environment)
        assert "/" == launch.directory

    def test_user(self, monkeypatch: pytest.MonkeyPatch, public_path: Path) -> None:
        """Users have their environment."""
        monkeypatch.setenv("PYTHONPATH", "/somewhere")
        monkeypatch.chdir(give_away(public_path / "home"))
        with unprivileged():
            launch = Unconfined().launch("/usr/bin/python3")
        assert ["/usr/bin/python3", "-B", "-X", "utf8"] == launch.arguments
        assert dict(os.environ) == launch.environment

    def test_no_working_directory(self, monkeypatch: pytest.MonkeyPatch, public_path: Path) -> None:
        """That somebody removed the working directory is no reason to fail."""
        home = give_away(public_path / "home")
        monkeypatch.chdir(home)
        home.rmdir()
        with unprivileged():
            assert Path(Unconfined().launch("/usr/bin/python3").directory or "/").is_dir()


class TestChoose:
    """Choosing a sandbox."""

    def test_best(self, tier: str) -> None:
        """The first that works is taken, whatever comes behind it."""
        confined(tier)  # or skip
        chosen = choose((tier, "none"), privileged=ROOT, limits=Limits())
        assert tier == chosen.tier
        assert (chosen.user is not None) == ROOT

    def test_second(self) -> None:
        """One that cannot be used is passed over."""
        assert "none" == choose(("magic", "none"), privileged=False, limits=Limits()).tier

    def test_none_for_users(self) -> None:
        """Users may go without."""
        chosen = choose(("none",), privileged=False, limits=Limits())
        assert (None, "none") == (chosen.user, chosen.tier)

    def test_nothing_works(self) -> None:
        """Root never goes without, and is told the reason for each tier."""
        with pytest.raises(NoSandboxError) as caught:
            choose(("landlock", "magic", "none"), privileged=True, limits=Limits(), root="/image")
        assert (
            ("landlock", "it cannot take another directory for the root"),
            ("magic", "there is no such sandbox"),
            ("none", "plugin modules never run with the rights of root"),
        ) == caught.value.reasons

    @pytest.mark.parametrize(
        ("privileged", "root", "reason"),
        [
            (False, None, "only root can become another user"),
            (True, "/image", "it cannot take another directory for the root"),
        ],
    )
    def test_no_other_user(self, privileged: bool, root: str | None, reason: str) -> None:
        """The tier that is no more than another user is for root, and for this system."""
        with pytest.raises(NoSandboxError) as caught:
            choose(("user",), privileged=privileged, limits=Limits(), root=root)
        assert (("user", reason),) == caught.value.reasons

    @pytest.mark.parametrize("try_out", [False, True])
    def test_system_fails(self, try_out: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the system says is a reason, too."""

        def fails(_: object) -> None:
            raise OSError(1, "no limits can be set here")

        for name in ("lacks", "works"):
            monkeypatch.setattr(Namespace, name, fails)
        with pytest.raises(NoSandboxError) as caught:
            choose(("namespace",), privileged=False, limits=Limits(), try_out=try_out)
        assert (("namespace", "no limits can be set here"),) == caught.value.reasons

    def test_does_not_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a tier says against itself is a reason."""
        monkeypatch.setattr("dropin_cache.update.sandbox.namespace._BWRAP", "/nonexistent/bwrap")
        with pytest.raises(NoSandboxError) as caught:
            choose(("namespace",), privileged=False, limits=Limits())
        assert (("namespace", "/nonexistent/bwrap is not there"),) == caught.value.reasons

    def test_tried_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whether a tier does what it seems to be able to is seen if that is asked for."""
        sandbox("namespace")
        monkeypatch.setattr(Namespace, "_command", lambda *_: ["/bin/false"])
        assert "namespace" == choose(("namespace",), privileged=ROOT, limits=Limits()).tier
        with pytest.raises(NoSandboxError) as caught:
            choose(("namespace",), privileged=ROOT, limits=Limits(), try_out=True)
        assert (("namespace", "exit status 1"),) == caught.value.reasons


class TestConfinement:
    """The sandbox of a run."""

    def test_chosen_once(self) -> None:
        """It is chosen when it is first needed, and then kept."""
        confinement = Confinement(Unconfined, ("none",), Limits(), ["/lock"])
        assert None is confinement.tier
        assert confinement.chosen() is confinement.chosen()
        assert "none" == confinement.tier
        assert (("none",), ("/lock",)) == (confinement.allowed, confinement.closed)


class TestDoubted:
    """What is done about a child that does not start."""

    class Broken(Unconfined):
        """A sandbox in which nothing starts."""

        tier = "namespace"

        def works(self) -> str:
            """Say so."""
            return "no"

    def choose(self, *, try_out: bool = False) -> Unconfined:
        """Choose that one, as long as it has not been tried."""
        return Unconfined() if try_out else self.Broken()

    def test_works(self) -> None:
        """A sandbox that works is not to blame."""
        confinement = Confinement(Unconfined, ("none",), Limits())
        assert not confinement.doubted(confinement.chosen())

    def test_next(self) -> None:
        """Behind one that does not work, another is chosen, once for all children."""
        confinement = Confinement(self.choose, ("namespace", "none"), Limits())
        broken = confinement.chosen()
        assert confinement.doubted(broken)
        chosen = confinement.chosen()
        assert ("none", "none") == (confinement.tier, chosen.tier)
        assert confinement.doubted(broken)
        assert chosen is confinement.chosen()

    def test_system_fails(self) -> None:
        """Nor does one work whose trial the system does not let begin."""

        class Denied(Unconfined):
            tier = "namespace"

            def works(self) -> str:
                raise PermissionError

        confinement = Confinement(
            lambda *, try_out=False: Unconfined() if try_out else Denied(), ("none",), Limits()
        )
        assert confinement.doubted(confinement.chosen())

    def test_none_left(self) -> None:
        """If there is no other, it is known why."""

        def choose(*, try_out: bool = False) -> Unconfined:
            if try_out:
                raise NoSandboxError((("namespace", "no"),))
            return self.Broken()

        confinement = Confinement(choose, ("namespace",), Limits())
        with pytest.raises(NoSandboxError):
            confinement.doubted(confinement.chosen())


class TestContainment:
    """What each sandbox prevents. Each test shows first that it works without."""

    @needs_root
    @pytest.mark.parametrize(
        "code",
        [
            "print(len(open('/etc/shadow').read()) > 0)",
            "import os; print(len(os.listdir('/root')) > 0)",
        ],
        ids=["shadow", "root"],
    )
    def test_read(self, tier: str, code: str) -> None:
        """Neither passwords nor home directories can be read."""
        assert "True" == says(open_launch(), code)
        assert says(confined(tier), code) in ("FileNotFoundError", "PermissionError")

    def test_public_file_outside(self, tier: str, public_path: Path) -> None:
        """What everybody may read is not to be seen, either, unless it is part of the view."""
        outside, inside = public_path / "outside", public_path / "inside"
        for place in (outside, inside):
            place.mkdir()
            (place / "file").write_text("text")
        code = "import sys; print(open(sys.argv[1]).read())"
        assert "text" == says(open_launch(), code, f"{outside}/file")
        launch = confined(tier, inside)
        assert "text" == says(launch, code, f"{inside}/file")
        assert says(launch, code, f"{outside}/file") in ("FileNotFoundError", "PermissionError")

    @pytest.mark.parametrize("way", ["create", "overwrite", "remove", "rename", "link", "truncate"])
    def test_write(self, tier: str, public_path: Path, way: str) -> None:
        """An import root that is anybody's to write cannot be written."""
        ways = {
            "create": "open('new', 'w')",
            "overwrite": "open('file', 'r+')",
            "remove": "os.unlink('file')",
            "rename": "os.rename('file', 'other')",
            "link": "os.symlink('file', 'other')",
            "truncate": "os.truncate('file', 0)",
        }
        code = f"import os, sys\nos.chdir(sys.argv[1]); {ways[way]}; print('done')"
        for name in ("first", "second"):
            (public_path / name).mkdir()
            (public_path / name).chmod(0o777)
            (public_path / name / "file").write_text("text")
            (public_path / name / "file").chmod(0o666)
        assert "done" == says(open_launch(), code, f"{public_path}/first")
        launch = confined(tier, public_path / "second")
        assert says(launch, code, f"{public_path}/second") in ("OSError", "PermissionError")
        assert ["file"] == os.listdir(public_path / "second")

    @pytest.mark.parametrize("way", ["chmod", "utime", "setxattr"])
    def test_change_own(self, tier: str, public_path: Path, way: str) -> None:
        """Not even a file that belongs to the child's user can be changed."""
        ways = {
            "chmod": "os.chmod('file', 0o777)",
            "utime": "os.utime('file', (1, 1))",
            "setxattr": "os.setxattr('file', 'user.x', b'y')",
        }
        code = f"import os, sys\nos.chdir(sys.argv[1]); {ways[way]}; print('done')"
        give_away(public_path / "files")
        path = public_path / "files" / "file"
        path.touch()
        if ROOT:
            os.chown(path, 65534, 65534)
        works = says(open_launch(), code, str(path.parent))
        if works == "OSError":
            pytest.skip("this file system knows no such attributes")
        assert "done" == works
        before = path.stat()
        launch = confined(tier, path.parent)
        assert says(launch, code, str(path.parent)) in ("OSError", "PermissionError")
        assert before == path.stat()

    def test_network(self, tier: str) -> None:
        """A service on this machine cannot be reached."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            code = f"""
            import socket
            socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), 5)
            print("reached")
            """
            assert "reached" == says(open_launch(), code)
            assert says(confined(tier), code) in ("ConnectionRefusedError", "PermissionError")

    def test_unix_socket(self, tier: str) -> None:
        """Nor one that listens on an abstract socket, which no file system hides."""
        name = f"\0dropin-cache-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(name)
            server.listen()
            code = f"""
            import socket
            socket.socket(socket.AF_UNIX).connect({name!r})
            print("reached")
            """
            assert "reached" == says(open_launch(), code)
            assert says(confined(tier), code) in ("ConnectionRefusedError", "PermissionError")

    def test_signal(self, tier: str) -> None:
        """Processes outside cannot be signalled."""
        code = "import os, sys; os.kill(int(sys.argv[1]), 0); print('reached')"
        assert "reached" == says(open_launch(), code, str(os.getpid()))
        assert says(confined(tier), code, str(os.getpid())) in (
            "ProcessLookupError",
            "PermissionError",
        )

    def test_user_namespace(self, tier: str) -> None:
        """It cannot make itself root of another namespace, where more of the kernel is open."""
        code = "import ctypes; print(ctypes.CDLL(None).unshare(0x10000000))"
        if says(open_launch(), code) != "0":
            pytest.skip("this machine has no user namespaces")
        assert "-1" == says(confined(tier), code)

    def test_no_new_privileges(self, tier: str) -> None:
        """A program that is set-uid root runs without root's rights."""
        code = """
        import subprocess
        line = "grep -h -e Cap -e NoNewPrivs /proc/thread-self/status || id -u; id -u"
        print(subprocess.run(line, shell=True, stdout=-1, stderr=-3, text=True).stdout)
        """
        printed = says(confined(tier), code)
        assert str(65534 if ROOT else os.geteuid()) == printed.split()[-1]
        if tier == "namespace":
            assert {"0000000000000000"} == set(printed.split()[1:10:2])
            assert "NoNewPrivs:\t1" in printed

    def test_socketpair(self, tier: str) -> None:
        """What asyncio needs works."""
        code = "import asyncio\nprint(asyncio.run(asyncio.sleep(0, 1)))"
        assert "1" == says(confined(tier), code)

    def test_devices(self, tier: str) -> None:
        """The usual devices work."""
        code = "open('/dev/null', 'w').write('x')\nprint(len(open('/dev/urandom', 'rb').read(9)))"
        assert "9" == says(confined(tier), code)

    def test_nothing_inherited(self, tier: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing of the environment of the update comes through."""
        monkeypatch.setenv("PYTHONPATH", "/somewhere")
        monkeypatch.setenv("SOMETHING", "x")
        code = "import os; print(*os.environ)"
        names = {"HOME", "LC_ALL", "MALLOC_ARENA_MAX", "PATH", "PWD", "TMPDIR"}
        assert set(says(confined(tier), code).split()) <= names


class TestLimits:
    """What a child may use, in each sandbox."""

    def limited(self, tier: str, **limits: int) -> Launch:
        """Say how to start Python with a limit."""
        return confined(tier, limits=Limits()._replace(**limits))

    def test_memory(self, tier: str) -> None:
        """More memory than the limit is not to be had."""
        code = "print(len(bytearray(300 << 20)) >> 20)"
        assert "300" == says(open_launch(), code)
        assert "300" == says(confined(tier), code)
        assert "MemoryError" == says(self.limited(tier, memory=256 << 20), code)

    def test_processor(self, tier: str) -> None:
        """Too much processor time is the end."""
        done = run(self.limited(tier, cpu=1), "while True: pass")
        assert done.returncode in (-24, 128 + 24)

    def test_processor_ignored(self, tier: str) -> None:
        """Ignoring the first signal gains a second."""
        code = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
        assert run(self.limited(tier, cpu=1), code).returncode in (-9, 128 + 9)

    def test_processes(self, tier: str) -> None:
        """Only so many threads, in all processes, are possible."""
        code = """
        import os, time
        started = 0
        try:
            while started < 100:
                if os.fork() == 0:
                    os.closerange(0, 3)
                    time.sleep(1)
                    os._exit(0)
                started += 1
        finally:
            print(started)
        """
        printed = says(self.limited(tier, processes=20), code).split()
        assert "BlockingIOError" == printed[1]
        assert 5 < int(printed[0]) < 40  # other processes of this user come and go
        # Not before that: these are this user's, too, for another second.
        assert "100" == says(open_launch(), code)

    def test_descriptors(self, tier: str) -> None:
        """Only so many files can be open."""
        code = "files = [open('/dev/null') for _ in range(100)]; print('done')"
        assert "done" == says(open_launch(), code)
        assert "OSError" == says(self.limited(tier, descriptors=50), code)

    def test_core(self, tier: str) -> None:
        """A crash writes no core file."""
        code = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
        assert "(0, 0)" == says(confined(tier), code)

    def test_signals(self, tier: str) -> None:
        """Only so many timers can be set, which the kernel counts for each user."""
        code = """
        import ctypes
        libc, made = ctypes.CDLL(None), ctypes.c_void_p()
        print([libc.timer_create(0, None, ctypes.byref(made)) for _ in range(1000)].count(0) < 129)
        """
        assert "False" == says(open_launch(), code)
        assert "True" == says(confined(tier), code)

    def test_locks(self, tier: str, public_path: Path) -> None:
        """No file is locked for others."""
        shown = public_path / "shown"
        shown.touch()
        with shown.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            code = f"""
            import fcntl
            fcntl.flock(open({str(shown)!r}), fcntl.LOCK_EX | fcntl.LOCK_NB)
            print("as if")
            """
            assert "as if" == says(confined(tier, public_path), code)

    def test_record_locks(self, tier: str, public_path: Path) -> None:
        """Nor is a part of one, as rpm and SQLite have it; no right to write is needed for that."""
        shown = public_path / "shown"
        shown.touch()
        with shown.open("w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            code = f"""
            import fcntl
            fcntl.lockf(open({str(shown)!r}), fcntl.LOCK_SH | fcntl.LOCK_NB)
            print("as if")
            """
            assert "as if" == says(confined(tier, public_path), code)

    def test_file_size(self) -> None:
        """A file, and the place where files are possible at all, have a size."""
        code = """
        import os, tempfile
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * 100_000)
            file.flush()
            print(os.fstat(file.fileno()).st_size)
        """
        assert "100000" == says(open_launch(), code)
        assert "100000" == says(confined("namespace"), code)
        assert "OSError" == says(self.limited("namespace", file_size=50_000), code)
