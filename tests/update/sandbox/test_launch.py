"""What the tiers of the sandbox have in common."""

from __future__ import annotations

import errno
import marshal
import os
import pwd
import resource
import shutil
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest

from conftest import run_python
from dropin_cache.errors import UnreadableError
from dropin_cache.update.sandbox import launch
from dropin_cache.update.sandbox.launch import (
    Account,
    child_account,
    obstacle,
    readable,
    unusable,
    within,
    without_privilege,
)
from dropin_cache.update.sandbox.limits import Limits
from sandboxes import ROOT

NOBODY = Account("nobody", 65534, 65534)


class TestSource:
    """The source of our modules, which the child is handed."""

    def test_text(self) -> None:
        """It is what the file has."""
        text = Path(launch.__file__).read_text(encoding="utf-8")
        found = launch.source_of(launch.__name__)
        assert (launch.__name__, launch.__file__, text) == found[:3]

    def test_code(self) -> None:
        """It comes compiled, too, under the file's name."""
        code = marshal.loads(launch.source_of("dropin_cache.update.text").code)  # noqa: S302
        assert "text.py" == Path(code.co_filename).name
        assert "one_line" in code.co_names

    def test_not_imported(self) -> None:
        """What is handed to others is not imported here."""
        name = "dropin_cache.update.payload.supervisor"
        code = "import sys\nfrom dropin_cache.update.sandbox import launch\n"
        code += f"launch.source_of({name!r})\n"
        done = run_python(f"{code}print({name!r} in sys.modules)")
        assert "False\n" == done.stdout, done.stderr

    def failing(self, monkeypatch: pytest.MonkeyPatch, error: ImportError) -> str:
        """Return the name of a module whose loader fails."""
        loader = Mock(get_code=Mock(side_effect=error))
        module = ModuleType("ours")
        module.__spec__ = ModuleSpec("ours", loader, origin="/ours.py")
        monkeypatch.setitem(sys.modules, "ours", module)
        launch.source_of.cache_clear()
        return "ours"

    def test_system_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A disk that cannot be read is named: importlib says no more than that there is none."""
        error = ImportError("source not available through get_data()")
        error.__cause__ = OSError(errno.EIO, os.strerror(errno.EIO))

        with pytest.raises(UnreadableError) as caught:
            launch.source_of(self.failing(monkeypatch, error))

        assert "cannot look at /ours.py: Input/output error" == str(caught.value)

    def test_other_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another error stays what it is."""
        with pytest.raises(ImportError, match="not a module of ours"):
            launch.source_of(self.failing(monkeypatch, ImportError("not a module of ours")))


class TestAccount:
    """Who the child becomes."""

    def accounts(self, monkeypatch: pytest.MonkeyPatch, **users: int) -> Account:
        """Choose among some users."""

        def getpwnam(name: str) -> pwd.struct_passwd:
            return pwd.struct_passwd((name, "", users[name], users[name] + 1, "", "", ""))

        monkeypatch.setattr(pwd, "getpwnam", getpwnam)
        return child_account()

    def test_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A user of our own, if there is one: others run as nobody, too."""
        users = {"_dropin-cache": 7, "nobody": 9}
        assert ("_dropin-cache", 7, 8) == self.accounts(monkeypatch, **users)

    def test_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else nobody."""
        assert ("nobody", 9, 10) == self.accounts(monkeypatch, nobody=9)

    def test_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there is no such user, its usual number."""
        assert NOBODY == self.accounts(monkeypatch)

    def test_never_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A user of that name that is root is not taken."""
        assert NOBODY == self.accounts(monkeypatch, **{"_dropin-cache": 0})

    def test_numbers(self) -> None:
        """Only numbers are passed on."""
        arguments = without_privilege(Account("name", 7, 8))
        assert {"--reuid=7", "--regid=8", "--clear-groups"} < set(arguments)


class TestLimits:
    """The limits."""

    def test_threads(self) -> None:
        """The limit of processes comes on top of the threads that are counted with it."""
        event = threading.Event()
        threads = [threading.Thread(target=event.wait) for _ in range(50)]
        for thread in threads:
            thread.start()
        try:
            arguments = within(Limits(processes=7), os.getuid(), apart=False)
            alone = within(Limits(processes=7), os.getuid(), apart=True)
        finally:
            event.set()
            for thread in threads:
                thread.join()
        number = next(part for part in arguments if part.startswith("--nproc=")).split(":")[1]
        assert int(number) > 57
        assert "--nproc=7:7" in within(Limits(processes=7), 54321, apart=False)
        assert "--nproc=7:7" in alone

    def test_lower(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A lower limit of this process stays, since not everybody can raise it."""
        infinity = resource.RLIM_INFINITY
        lower = {resource.RLIMIT_CPU: (5, 5), resource.RLIMIT_NOFILE: (10, 9999)}
        monkeypatch.setattr(
            resource, "getrlimit", lambda number: lower.get(number, (infinity, infinity))
        )
        arguments = within(Limits(), 54321, apart=False)
        expected = {"--core=0:0", "--cpu=5:5", "--nofile=256:256", "--as=1073741824:1073741824"}
        assert expected < set(arguments)


class TestReadable:
    """What is handed to a child through a descriptor."""


class TestUnusable:
    """Whether a tool may be run."""

    def test_usable(self) -> None:
        """The system's may."""
        assert None is unusable("/bin/sh", privileged=ROOT)

    def test_missing(self) -> None:
        """One that is not there may not, nor one that is no program."""
        assert "/nonexistent is not there" == unusable("/nonexistent", privileged=False)
        if not ROOT:
            assert "/etc/passwd is not there" == unusable("/etc/passwd", privileged=False)

    def test_changeable(self, public_path: Path) -> None:
        """For root, none that others can change, by its directory for example."""
        tool = public_path / "tool"
        shutil.copy("/bin/true", tool)
        tool.chmod(0o755)
        reason = unusable(str(tool), privileged=True)
        who = public_path.parent if ROOT else tool
        assert f"{tool} is not only root's to change, because of {who}" == reason
        assert None is unusable(str(tool), privileged=False)
        tool.chmod(0o775)
        assert f"because of {tool}" in str(unusable(str(tool), privileged=True))


class TestObstacle:
    """What keeps a user from a path."""

    def test_none(self) -> None:
        """Everybody can reach the system's files and directories."""
        assert None is obstacle("/usr/lib", NOBODY, on_the_way=True)
        assert None is obstacle("/etc/passwd", NOBODY, on_the_way=True)

    def test_on_the_way(self, public_path: Path) -> None:
        """A directory above, where it counts."""
        path = public_path / "private" / "x"
        path.mkdir(parents=True)
        path.parent.chmod(0o700)
        reason = f"user nobody cannot reach it because of {path.parent} (mode 0700)"
        account = Account("nobody", 64999, 64999)
        assert reason.replace("nobody", "nobody") == obstacle(str(path), account, on_the_way=True)
        assert None is obstacle(str(path), account, on_the_way=False)

    @pytest.mark.parametrize("directory", [True, False])
    def test_itself(self, public_path: Path, directory: bool) -> None:
        """The thing itself: a directory must be listed, a file read; owner and group count."""
        path = public_path / "x"
        path.mkdir() if directory else path.touch()
        status = path.stat()
        modes = {0o500: "owner", 0o050: "group", 0o005: "other"}
        who = {
            "owner": Account("x", status.st_uid, 64999),
            "group": Account("x", 64999, status.st_gid),
            "other": Account("x", 64999, 64999),
        }
        for mode, allowed in modes.items():
            path.chmod(mode)
            for name, account in who.items():
                reachable = obstacle(str(path), account, on_the_way=False) is None
                assert reachable == (name == allowed)
        path.chmod(0o444)
        assert directory == (obstacle(str(path), who["other"], on_the_way=False) is not None)


def test_readable() -> None:
    """What is to be handed over can be read, from a descriptor above the standard ones."""
    descriptor = launch.readable(b"content")
    assert b"content" == os.read(descriptor, 99)
    assert descriptor > 2
    os.close(descriptor)
    assert readable is launch.readable


class TestMost:
    """The highest limit that can be set."""

    def test_denied(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where limits are denied, that is said, and by which call."""

        def getrlimit(_: int) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(resource, "getrlimit", getrlimit)
        with pytest.raises(PermissionError) as caught:
            within(Limits(), 1, apart=True)
        expected = "no limits can be set here (prlimit64: Operation not permitted)"
        assert expected == caught.value.strerror
