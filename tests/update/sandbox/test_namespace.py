"""The sandbox made of namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import no_process_left
from conftest import missing
from dropin_cache.errors import DirectoryError, InterpreterError
from dropin_cache.update.sandbox import namespace, trial, user_namespaces
from dropin_cache.update.sandbox.launch import Launch
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.namespace import Namespace
from dropin_cache.update.sandbox.visible import View
from sandboxes import PYTHON, ROOT, confined, open_launch, run, sandbox, says

needs_root = pytest.mark.skipif(not ROOT, reason="the child is another user only of root's")

INTERFACES = """
lines = list(open("/proc/self/net/dev"))[2:]
print([line.partition(":")[0].strip() for line in lines])
"""


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process and no descriptor is left."""
    before = set(os.listdir("/proc/self/fd"))
    with no_process_left():
        yield
    assert before == set(os.listdir("/proc/self/fd"))


class TestWorks:
    """Trying the sandbox."""

    def test_works(self) -> None:
        """Where a child can be started, the trial says so."""
        assert None is sandbox("namespace").works()

    def test_other_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where system calls cannot be filtered, the namespaces alone are not enough."""
        monkeypatch.setattr(namespace, "machine", lambda: None)
        reason = Namespace(Limits(), privileged=False).works()
        assert "there is no filter of system calls for this machine" == reason

    @pytest.mark.parametrize(
        ("module", "tool"),
        [
            (namespace, "_BWRAP"),
            (namespace, "PRLIMIT"),
            (user_namespaces, "_UNSHARE"),
            (user_namespaces, "_CAT"),
        ],
    )
    def test_no_tool(self, monkeypatch: pytest.MonkeyPatch, module: Any, tool: str) -> None:
        """A missing tool is named; it is not looked for in PATH."""
        monkeypatch.setattr(module, tool, "/nonexistent/true")
        reason = Namespace(Limits(), privileged=False).works()
        assert "/nonexistent/true is not there" == reason

    @needs_root
    def test_tool_of_somebody(self, monkeypatch: pytest.MonkeyPatch, public_path: Path) -> None:
        """Root runs no tool that others can change."""
        shutil.copy("/bin/true", public_path / "bwrap")
        os.chown(public_path / "bwrap", 65534, 65534)
        monkeypatch.setattr(namespace, "_BWRAP", f"{public_path}/bwrap")
        reason = Namespace(Limits(), privileged=True).works()
        problem = f"because of {public_path}/bwrap"
        assert f"{public_path}/bwrap is not only root's to change, {problem}" == reason

    @needs_root
    def test_not_permitted(self) -> None:
        """Where the system does not let root make user namespaces, that is the reason."""
        sandbox("namespace")
        code = """
from dropin_cache.errors import NoSandboxError
from dropin_cache.update.sandbox.choice import choose
from dropin_cache.update.sandbox.limits import Limits
try:
    choose(["namespace"], privileged=True, limits=Limits(), try_out=True)
except NoSandboxError as error:
    print(error)
"""
        alone = ["unshare", "--user", "--map-root-user", "--"]  # there is nobody else in there
        done = subprocess.run(
            [*alone, sys.executable, "-B", "-c", code], check=True, capture_output=True, text=True
        )
        expected = "namespace: no user namespace can be made here (Operation not permitted)"
        assert expected in done.stdout

    def test_own_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What bubblewrap itself says is the reason."""
        command = ["/usr/bin/bwrap", "--nonsense"]
        monkeypatch.setattr(Namespace, "_command", lambda *_: command)
        reason = Namespace(Limits(), privileged=False).works()
        assert (
            "namespaces or mounts are forbidden here (bwrap: Unknown option --nonsense)" == reason
        )

    def test_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tool that does not come back is not waited for."""
        monkeypatch.setattr(trial, "_PATIENCE", 0.1)
        monkeypatch.setattr(Namespace, "_command", lambda *_: ["/bin/sleep", "999"])
        assert "no end after 0.1 s" == Namespace(Limits(), privileged=False).works()

    def test_says_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tool that fails without a word has at least a status."""
        monkeypatch.setattr(Namespace, "_command", lambda *_: ["/bin/false"])
        assert "exit status 1" == Namespace(Limits(), privileged=False).works()


class TestLaunch:
    """The child's surroundings."""

    def test_other_interpreter(self) -> None:
        """An interpreter runs wherever it is, with what is installed in its environment."""
        launch = sandbox("namespace").launch(sys.executable)
        code = "import site, sys; site.main()\n"  # as the child does, when it is confined
        code += "import zope.interface, pytest; print(sys.prefix, sys.base_prefix)"
        assert f"{sys.prefix} {sys.base_prefix}" == says(launch, code)

    def test_same_user(self) -> None:
        """Without privilege, bubblewrap needs a user namespace, and there is nothing to drop."""
        if Namespace(Limits(), privileged=False).works() is not None:
            missing("user namespaces")
        launch = Namespace(Limits(), privileged=False).launch(PYTHON)
        assert str(os.getuid()) == says(launch, "import os; print(os.getuid())")
        write = "import os, sys; os.mkdir(sys.argv[1] + '/new')"
        for place in ("/", "/dev", "/dev/shm"):  # noqa: S108 - the child's
            assert "OSError" == says(launch, write, place)

    @needs_root
    def test_below_private_directory(self, tmp_path: Path) -> None:
        """An import root may be below a directory that nobody else can enter."""
        root = tmp_path / "private" / "root"
        root.mkdir(parents=True)
        (root / "module.py").write_text("text = 'found'")
        (root.parent / "secret").write_text("secret")
        root.parent.chmod(0o700)
        code = "import sys; sys.path.append(sys.argv[1]); import module; print(module.text)"
        launch = confined("namespace", root)
        assert "found" == says(launch, code, str(root))
        read = "import sys; print(open(sys.argv[1]).read())"
        assert "FileNotFoundError" == says(launch, read, f"{root.parent}/secret")

    @needs_root
    def test_private_root(self, public_path: Path) -> None:
        """An import root that only its owner can read is an error, not an empty one."""
        root = public_path / "root"
        root.mkdir(mode=0o700)
        with pytest.raises(DirectoryError) as caught:
            confined("namespace", root)
        problem = f"cannot reach it because of {root} (mode 0700)"
        assert caught.value.reason.endswith(problem)

    @needs_root
    def test_private_interpreter(self, public_path: Path) -> None:
        """Likewise the directory of an interpreter."""
        directory = public_path / "bin"
        directory.mkdir(mode=0o700)
        (directory / "python").symlink_to(PYTHON)
        with pytest.raises(InterpreterError) as caught:
            sandbox("namespace").launch(f"{directory}/python")
        assert f"because of {directory} (mode 0700)" in caught.value.reason

    def test_root_of_the_file_system(self) -> None:
        """There is nothing but the view and what every program expects."""
        code = "import os; print(*sorted({*os.listdir('/')} - {'lib32', 'lib64', 'libx32'}))"
        expected = "bin dev etc lib proc sbin tmp usr"
        first = Path(PYTHON).parts[1]
        assert {*expected.split(), first} == set(says(confined("namespace"), code).split())

    def test_temporary_files(self) -> None:
        """There is a place for temporary files, of this child alone."""
        code = "import os, tempfile; place = tempfile.gettempdir(); "
        code += "tempfile.mkdtemp(); print(place, len(os.listdir(place)))"
        for _ in range(2):
            assert "/tmp 1" == says(confined("namespace"), code)  # noqa: S108 - the child's

    def test_tree_below_it(self, public_path: Path) -> None:
        """Where something is shown below /tmp, the child has a directory of its own there."""
        assert str(public_path).startswith("/tmp/")  # noqa: S108
        launch = confined("namespace", public_path)
        assert ("/tmp/dropin-cache-home",) == launch.writable  # noqa: S108 - the child's
        code = "import os, tempfile; print(tempfile.gettempdir(), os.path.expanduser('~'))\n"
        code += "tempfile.mkdtemp(); print(len(os.listdir(tempfile.gettempdir())))"
        expected = "/tmp/dropin-cache-home"  # noqa: S108 - the child's
        assert [expected, expected, "1"] == says(launch, code).split()
        assert ("/tmp",) == confined("namespace").writable  # noqa: S108 - the child's

    def test_temporary_space(self) -> None:
        """All of them together are no larger than one may be."""
        code = """
        import os, tempfile
        files = [tempfile.TemporaryFile(buffering=0) for _ in range(4)]
        print(sum(file.write(b"x" * 65536) for file in files) >> 10)
        """
        assert "256" == says(confined("namespace"), code)
        limited = confined("namespace", limits=Limits(file_size=128 << 10))
        assert "OSError" == says(limited, code)

    def test_processes(self) -> None:
        """Other processes are not to be seen."""
        code = "import os; print(len([name for name in os.listdir('/proc') if name.isdigit()]))"
        assert int(says(open_launch(), code)) > 2
        assert "2" == says(confined("namespace"), code)

    @pytest.mark.parametrize("privileged", [*{False, ROOT}])
    def test_first_process(self, privileged: bool) -> None:
        """What ends it cannot be looked at: that has all files, the network, and its user's rights.

        Landlock would keep a child of the same user from that; it is not there yet here.
        """
        outside = Namespace(Limits(), privileged=privileged)
        if outside.works() is not None:
            missing("user namespaces")
        code = "import os; print(os.listdir('/proc/1'))"
        assert "[]" == says(outside.launch(PYTHON), code)
        for what in ("root", "fd/0", "net/unix", "mountinfo"):
            reach = f"import os; os.stat('/proc/1/{what}')"
            assert "FileNotFoundError" == says(outside.launch(PYTHON), reach)

    def test_host_name(self) -> None:
        """The machine's name is hidden."""
        code = "import os; print(os.uname().nodename)"
        assert "dropin-cache" == says(confined("namespace"), code)

    def test_interfaces(self) -> None:
        """The loopback is the only interface there is to the network."""
        assert "['lo']" == says(confined("namespace"), INTERFACES)

    def test_session(self) -> None:
        """It has no terminal into which it could type."""
        code = "import os; print(os.getsid(0) > 0)"
        assert "True" == says(confined("namespace"), code)
        assert "OSError" == says(confined("namespace"), "open('/dev/tty')")

    @needs_root
    def test_image(self, public_path: Path) -> None:
        """With another root directory the child sees that, and nothing of this machine."""
        image = public_path / "image"
        for name in ("usr", "opt/root", "etc"):
            (image / name).mkdir(parents=True)
        for name in ("bin", "lib", "lib64"):
            (image / name).symlink_to(f"usr/{name}")
        (image / "etc" / "hosts").write_text("image")
        (image / "opt" / "link").symlink_to("/opt/root")
        (image / "opt" / "root" / "module.py").write_text("text = 'found'")
        subprocess.run(["mount", "--bind", "/usr", f"{image}/usr"], check=True)
        try:
            if not os.path.exists(f"{image}/{PYTHON}"):
                pytest.skip("no system interpreter")
            view = View.of(PYTHON, ["/opt/link"], root=str(image))
            code = "import sys; sys.path.append('/opt/link'); import module\n"
            code += "print(module.text, open('/etc/hosts').read())"
            assert "found image" == says(sandbox("namespace").launch(PYTHON, view), code)
        finally:
            subprocess.run(["umount", f"{image}/usr"], check=True)


def without(launch: Launch, *parts: str) -> Launch:
    """Return a sandbox without something."""
    return launch._replace(arguments=[part for part in launch.arguments if part not in parts])


class TestNecessary:
    """What each part is good for: without it, there is a hole."""

    def test_network(self) -> None:
        """Without a network namespace, there is a network."""
        if says(open_launch(), INTERFACES) == "['lo']":
            pytest.skip("this machine has no network")
        found = says(without(confined("namespace"), "--unshare-net"), INTERFACES)
        assert says(open_launch(), INTERFACES) == found

    def test_terminal_and_session(self) -> None:
        """Without a new session, the child is in that of the update."""
        code = "import os; print(os.getsid(0))"
        assert "0" == says(without(confined("namespace"), "--new-session"), code)

    @needs_root
    @pytest.mark.parametrize(
        ("option", "who"), [("--uid", "4294967294 65534"), ("--gid", "65534 0")], ids=["uid", "gid"]
    )
    def test_privilege(self, option: str, who: str) -> None:
        """Without these, it would be root."""
        launch = confined("namespace")
        at = launch.arguments.index(option)
        bare = launch._replace(arguments=launch.arguments[:at] + launch.arguments[at + 2 :])
        ask = "import os; print(os.getuid(), os.getgid())"
        assert who == says(bare, ask)
        assert "65534 65534" == says(launch, ask)

    def test_user_namespace(self) -> None:
        """Without the filter, user namespaces could be had."""
        launch = confined("namespace")
        at = launch.arguments.index("--seccomp")
        bare = launch._replace(arguments=launch.arguments[:at] + launch.arguments[at + 2 :])
        code = "import ctypes; print(ctypes.CDLL(None).unshare(0x10000000))"
        if says(open_launch(), code) == "-1":
            pytest.skip("this machine has no user namespaces")
        assert "0" == says(bare, code)
        assert "-1" == says(launch, code)

    def test_runs(self) -> None:
        """The exit status comes through."""
        assert 7 == run(confined("namespace"), "import os; os._exit(7)").returncode
