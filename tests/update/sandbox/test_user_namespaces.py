"""User namespaces, in which processes are counted apart."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import no_process_left
from conftest import missing
from dropin_cache.update.sandbox import user_namespaces

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="others may map no user but themselves")


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process and no descriptor is left."""
    before = set(os.listdir("/proc/self/fd"))
    with no_process_left():
        yield
    assert before == set(os.listdir("/proc/self/fd"))


def program(path: Path, text: str) -> str:
    """Write a program of the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def namespaces(users: list[tuple[int, int]]) -> user_namespaces.Namespaces:
    """Make them, or skip the test where there can be none."""
    try:
        return user_namespaces.Namespaces(users)
    except OSError:
        missing("user namespaces")


class TestCountedApart:
    """Whether processes in them are counted by themselves."""

    @pytest.mark.parametrize(
        ("release", "expected"),
        [
            *(("5.14.0-70.el9", True), ("6.1", True), ("10.0.1-rc1", True)),
            *(("5.13.19", False), ("4.18.0", False), ("2.6.60", False), ("unknown", False)),
        ],
    )
    def test_kernel(self, monkeypatch: pytest.MonkeyPatch, release: str, expected: bool) -> None:
        """Older kernels count for the machine; what names no version may be one."""
        names = [*os.uname()]
        names[2] = release
        monkeypatch.setattr(os, "uname", lambda: os.uname_result(names))
        assert expected is user_namespaces.counted_apart()


class TestNamespaces:
    """Making them, and what is in there."""

    @needs_root
    def test_users(self) -> None:
        """The user namespace holds the users that it should, and all groups."""
        made = namespaces([(4711, 4711), (99, 0)])
        try:
            inside = ["nsenter", f"--user=/proc/self/fd/{made.users}", "--preserve-credentials"]
            maps = [
                subprocess.check_output(
                    [*inside, "cat", f"/proc/self/{name}"], pass_fds=[made.users]
                )
                for name in ("uid_map", "gid_map")
            ]
        finally:
            made.end()
        users, groups = ([line.split() for line in each.splitlines()] for each in maps)
        assert [[b"4711", b"4711", b"1"], [b"99", b"0", b"1"]] == users
        here = [line.split() for line in Path("/proc/self/gid_map").read_bytes().splitlines()]
        assert [[first, first, count] for first, _, count in here] == groups

    def test_own_user(self) -> None:
        """Whoever is not root can put himself into one."""
        made = namespaces([(os.geteuid(), os.geteuid())])
        try:
            for kind, descriptor in (("user", made.users), ("pid", made.processes)):
                there = os.fstat(descriptor).st_ino
                assert os.stat(f"/proc/self/ns/{kind}").st_ino != there
                assert not os.get_inheritable(descriptor)
        finally:
            made.end()

    def test_end(self) -> None:
        """All that has entered the process namespace ends with it, wherever it has hidden."""
        made = namespaces([(os.geteuid(), os.geteuid())])
        hides = "trap '' TERM HUP; setsid sleep 997 & echo; wait"
        enters = [
            "nsenter",
            *(
                f"--{kind}=/proc/self/fd/{number}"
                for kind, number in (
                    ("user", made.users),
                    ("pid", made.processes),
                )
            ),
            "--preserve-credentials",
            "sh",
            "-c",
            hides,
        ]
        with subprocess.Popen(
            enters, pass_fds=[made.users, made.processes], stdout=subprocess.PIPE
        ) as inside:
            assert b"\n" == inside.stdout.readline()  # type: ignore[union-attr]
            made.end()
            assert 0 != inside.wait(60)

    @needs_root
    def test_own_count(self) -> None:
        """Its processes are counted by themselves, whatever else its user runs."""
        made = namespaces([(0, 0), (64111, 64111)])
        who = ["setpriv", "--reuid=64111", "--regid=64111", "--clear-groups"]
        forks = [*who, "prlimit", "--nproc=3", "/bin/sh", "-c", "/bin/true; echo forked"]
        others = [subprocess.Popen([*who, "sleep", "999"]) for _ in range(4)]
        try:
            for process in others:  # it is counted as soon as it has become that user
                while b"64111" not in Path(f"/proc/{process.pid}/status").read_bytes():
                    assert process.poll() is None
            outside = subprocess.run(forks, capture_output=True, check=False)
            inside = ["nsenter", f"--user=/proc/self/fd/{made.users}", *forks]
            within = subprocess.run(inside, pass_fds=[made.users], capture_output=True, check=False)
        finally:
            made.end()
            for process in others:
                process.kill()
                process.wait()
        assert b"" == outside.stdout
        assert (b"forked\n", b"") == (within.stdout, within.stderr)

    @pytest.mark.parametrize("text", ["exit 1", "head -c 1 > /dev/null"], ids=["ends", "silent"])
    def test_not_permitted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        """Where none can be made, that is an error of the system's."""
        monkeypatch.setattr(user_namespaces, "_UNSHARE", program(tmp_path / "unshare", text))
        with pytest.raises(PermissionError):
            user_namespaces.Namespaces([(0, 0)])

    def test_no_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So it is without the program."""
        monkeypatch.setattr(user_namespaces, "_UNSHARE", "/nonexistent/unshare")
        with pytest.raises(FileNotFoundError):
            user_namespaces.Namespaces([(0, 0)])

    def test_not_mapped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """So it is where the users cannot be put into it; here there is no namespace at all."""
        monkeypatch.setattr(user_namespaces, "_UNSHARE", program(tmp_path / "unshare", "exec cat"))
        with pytest.raises(OSError, match=r"\[Errno"):
            user_namespaces.Namespaces([(0, 0), (1, 1)])


class TestImpossible:
    """Whether there can be any."""

    @needs_root
    def test_possible(self) -> None:
        """Where one can be made, nothing is in the way."""
        namespaces([(0, 0)]).end()
        assert user_namespaces.impossible(((0, 0),)) is None

    def reason(self, monkeypatch: pytest.MonkeyPatch, unshare: str) -> str | None:
        """Ask while another program takes the place of unshare(1)."""
        monkeypatch.setattr(user_namespaces, "_UNSHARE", unshare)
        user_namespaces.impossible.cache_clear()
        try:
            return user_namespaces.impossible(((0, 0),))
        finally:
            user_namespaces.impossible.cache_clear()

    def test_impossible(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where none can, the reason is told."""
        expected = "no user namespace can be made here (the system does not allow it)"
        assert expected == self.reason(monkeypatch, "/bin/false")

    @needs_root
    def test_program_of_somebody(self, public_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Root does not run what others can change to find that out."""
        unshare = program(public_path / "unshare", f"touch {public_path}/ran")
        os.chown(unshare, 65534, 65534)
        expected = f"{unshare} is not only root's to change, because of {unshare}"
        assert expected == self.reason(monkeypatch, unshare)
        assert not (public_path / "ran").exists()
