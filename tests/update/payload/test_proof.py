"""The proof that a sandbox holds."""

from __future__ import annotations

import _socket
import builtins
import inspect
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command_line import give_away
from dropin_cache.update.payload import proof
from dropin_cache.update.payload.proof import broken_promises
from dropin_cache.update.sandbox import user_namespaces
from dropin_cache.update.sandbox.launch import FILTER, Launch
from sandboxes import ROOT, confined, open_launch, says

needs_root = pytest.mark.skipif(not ROOT, reason="the child is another user only of root's")

PROOF = inspect.getsource(proof)
USER = 65534 if ROOT else None


def found_in(launch: Launch, tier: str, *forbidden: object, user: int | None = USER) -> list[str]:
    """Run the proof in a sandbox, from source as the child does."""
    code = f"scope = {{}}; exec({PROOF!r}, scope)\n"
    arguments = (tier, list(map(str, forbidden)), user)
    code += f"print(*scope['broken_promises'](*{arguments!r}), sep='\\n')"
    return says(launch, code).splitlines()


def replaced(launch: Launch, changes: dict[str, list[str]]) -> Launch:
    """Return a sandbox with other parts."""
    assert set(changes) <= set(launch.arguments)
    arguments = [new for part in launch.arguments for new in changes.get(part, [part])]
    return launch._replace(arguments=arguments)


class TestKept:
    """Sandboxes that hold."""

    @pytest.mark.parametrize("tier", ["namespace", "landlock"])
    def test_holds(self, tier: str, public_path: Path) -> None:
        """All promises are kept, and nothing is left of the attempts."""
        public_path.chmod(0o777)
        assert [] == found_in(confined(tier, public_path), tier, public_path)
        assert [] == os.listdir(public_path)

    def test_none(self) -> None:
        """Without a sandbox nothing is promised."""
        assert [] == broken_promises("none", ["/"], 1)


class TestBroken:
    """Sandboxes with a hole each."""

    @needs_root
    def test_root(self) -> None:
        """Root without a sandbox breaks every promise."""
        broken = found_in(open_launch(), "namespace", "/usr/bin")
        for expected in (
            "it is root",
            "its group is root's",
            "it is user [0], not 65534",
            "it has capabilities",
            "it can gain privilege by executing a program",
            "setresuid(0, 0, 0) works",
            "setuid(0) works",
            "setresgid(0, 0, 0) works",
            "setgid(0) works",
            "setgroups([0]) works",
            "it can write in /usr/bin",
            "it can write in /",
            "it can write in /usr",
        ):
            assert expected in broken

    def test_user(self, public_path: Path) -> None:
        """A user without a sandbox can write and has a network."""
        if len(socket.if_nameindex()) == 1:
            pytest.skip("this machine has no network")
        directory = give_away(public_path / "directory")
        broken = found_in(open_launch(), "landlock", directory, user=None)
        assert f"it can write in {directory}" in broken
        assert "it can write in /var/tmp" in broken
        assert "it can gain privilege by executing a program" in broken
        assert "no filter of system calls is in place" in broken
        assert "it can make a socket (family 2, type 2)" in broken
        broken = found_in(open_launch(), "namespace", user=None)
        assert "it has a network: " in "\n".join(broken)
        assert [] == os.listdir(directory)

    @needs_root
    @pytest.mark.parametrize(
        ("tier", "changes", "expected"),
        [
            ("landlock", {"--clear-groups": ["--keep-groups"]}, "it is in the groups [0"),
            ("landlock", {"--reuid=65534": ["--reuid=12345"]}, "it is user [12345], not 65534"),
            ("landlock", {"--regid=65534": ["--regid=0"]}, "its group is root's"),
            ("landlock", {"--reuid=65534": ["--ruid=65534"]}, "it is root"),
            ("namespace", {"--cap-drop": ["--cap-add"]}, "it has capabilities"),
            ("namespace", {"--clear-groups": ["--keep-groups"]}, "it is in the groups [0"),
            ("namespace", {"--uid": ["--unsetenv"]}, "it is user [-2, 4294967294], not"),
            ("namespace", {"--gid": ["--unsetenv"]}, "its group is root's"),
            ("namespace", {"--unshare-net": []}, "it has a network: "),
            ("namespace", {"--seccomp": [], FILTER: []}, "no filter of system calls is in place"),
            ("namespace", {"--seccomp": [], FILTER: []}, "it can make a socket (family 1, type 1)"),
            ("namespace", {"/usr": ["/usr"], "--ro-bind": ["--bind"]}, "it can write in "),
        ],
        ids=[
            *("groups", "user", "group", "effective"),
            *("capabilities", "inside-groups", "inside-user", "inside-group"),
            *("network", "filter", "sockets", "writable"),
        ],
    )
    def test_hole(
        self,
        tier: str,
        changes: dict[str, list[str]],
        expected: str,
        public_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Each is found."""
        if expected.startswith("it is user [12345]"):  # who is in no namespace of the child's
            monkeypatch.setattr(user_namespaces, "counted_apart", lambda: False)
        os.chown(public_path, 65534, 65534)
        launch = confined(tier, public_path)
        if expected == "it has a network: " and len(socket.if_nameindex()) == 1:
            pytest.skip("this machine has no network")
        groups = os.getgroups()
        os.setgroups([0])
        try:
            broken = found_in(replaced(launch, changes), tier, public_path)
        finally:
            os.setgroups(groups)
        assert expected in "\n".join(broken)
        assert [] == os.listdir(public_path)


class TestParts:
    """The parts of the proof, with other answers of the system than this process gets."""

    def test_regular_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An ordinary user is told apart from root, and from the one it should be."""
        monkeypatch.setattr(os, "getresuid", lambda: (7, 7, 7))
        monkeypatch.setattr(os, "getresgid", lambda: (7, 7, 7))
        monkeypatch.setattr(os, "getgroups", lambda: [3])
        libc = _Library(setfsuid=lambda _: 7, setfsgid=lambda _: 7)
        monkeypatch.setattr(proof, "_libc", libc)
        assert [] == list(proof._identity(None))
        assert ["it is in the groups [3]"] == list(proof._identity(7))
        monkeypatch.setattr(os, "getgroups", list)
        assert [] == list(proof._identity(7))
        assert ["it is user [7], not 8"] == list(proof._identity(8))
        libc = _Library(setfsuid=lambda _: 0, setfsgid=lambda _: 0)
        monkeypatch.setattr(proof, "_libc", libc)
        assert ["it is root", "its group is root's"] == list(proof._identity(None))

    def test_capabilities(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No set may have one."""
        held = {39: 1, 21: 2}  # no new privileges; a filter
        libc = _Library(capget=lambda *_: 0, prctl=lambda option, *_: held.get(option, 0))
        monkeypatch.setattr(proof, "_libc", libc)
        assert [] == list(proof._capabilities())

        def prctl(option: int, first: Any, second: Any, *_: Any) -> int:
            return int((option, first.value, second.value) == (47, 1, 6))

        def capget(_: bytes, sets: Any) -> int:
            sets.raw = b"\1" * 24
            return -1

        libc = _Library(capget=capget, prctl=prctl)
        monkeypatch.setattr(proof, "_libc", libc)
        assert [
            "its capabilities cannot be read",
            "it has capabilities",
            "it passes on capability 6",
            "it can gain privilege by executing a program",
            "no filter of system calls is in place",
        ] == list(proof._capabilities())

    def test_regained(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each way back to root is tried."""
        names = ("setresuid", "setuid", "setresgid", "setgid", "setgroups")
        for name in names:
            monkeypatch.setattr(os, name, refuse)
        assert [] == list(proof._regained())
        for name in names:
            monkeypatch.setattr(os, name, lambda *_: None)
        assert 5 == len(list(proof._regained()))

    def test_write(self, tmp_path: Path) -> None:
        """A directory is tried by making a file, which is removed."""
        assert proof._can_write(str(tmp_path))
        assert not proof._can_write(str(tmp_path / "missing"))
        assert [] == os.listdir(tmp_path)

    def test_networks(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Interfaces are found, whatever this machine has."""
        heading = "Inter-|   Receive\n face |bytes    packets\n"
        (tmp_path / "dev").write_text(f"{heading}    lo: 1 2\n  eth0: 3 4\n wlan0: 5\n")
        opened = builtins.open

        def elsewhere(path: str, **options: Any) -> Any:
            assert "/proc/self/net/dev" == path
            return opened(tmp_path / "dev", **options)

        monkeypatch.setattr(builtins, "open", elsewhere)
        assert ["it has a network: eth0 wlan0"] == list(proof._networks())
        (tmp_path / "dev").write_text(f"{heading}    lo: 1 2\n")
        assert [] == list(proof._networks())

    def test_sockets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sockets that can be made are found."""
        assert "it can make a socket (family 1, type 1)" in list(proof._sockets())
        monkeypatch.setattr(_socket, "socket", refuse)
        assert [] == list(proof._sockets())

    @pytest.mark.parametrize("tier", ["namespace", "landlock", "user"])
    def test_places(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tier: str) -> None:
        """All that must not be writable is tried, and each place once."""
        tried: list[str] = []
        monkeypatch.setattr(proof, "_can_write", lambda place: bool(tried.append(place)))
        for part in ("identity", "capabilities", "regained", "networks", "sockets"):
            monkeypatch.setattr(proof, f"_{part}", empty)
        monkeypatch.setattr(proof, "_is_open_to_all", lambda place: place == "/var/tmp")  # noqa: S108
        monkeypatch.chdir(tmp_path)
        assert [] == broken_promises(tier, ["/lock", "/lock"], None)
        places = ["/lock", "/", "/etc", "/usr", "/run", "/run/lock", "/var/tmp", "/dev/shm"]  # noqa: S108
        if tier == "user":  # where everybody can write, so can this child
            places.remove("/var/tmp")  # noqa: S108
        assert [*places, str(tmp_path)] == tried

    def test_open_to_all(self, tmp_path: Path) -> None:
        """Where everybody may write is known by the mode."""
        assert not proof._is_open_to_all(str(tmp_path / "missing"))
        assert not proof._is_open_to_all(str(tmp_path))
        tmp_path.chmod(0o1777)
        assert proof._is_open_to_all(str(tmp_path))


class _Library:
    """A C library with other functions."""

    def __init__(self, **functions: Callable[..., int]) -> None:
        self.__dict__.update(functions)


def refuse(*_: object) -> None:
    """Fail as the system does when it does not permit something."""
    raise PermissionError


def empty(*_: object) -> list[str]:
    """Find nothing."""
    return []
