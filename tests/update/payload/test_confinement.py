"""Giving up what a process may do, for ever."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import runpy
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import host
from conftest import missing
from dropin_cache.update.payload import confinement
from dropin_cache.update.sandbox import user_namespaces
from dropin_cache.update.sandbox.filter import call_filter, machine
from sandboxes import confined, run

_PR_SET_NO_NEW_PRIVS = 38  # prctl(2)


class Stopped(BaseException):
    """Stands for the end of a process."""


@pytest.fixture
def _landlock() -> None:
    """Require Landlock."""
    try:
        confinement.abi()
    except OSError:
        missing("Landlock")


def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run something in a thread of its own, because only the calling thread is confined."""
    outcome = []

    def target() -> None:
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        try:
            outcome.append(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - it is returned
            outcome.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    return outcome[0]


def denied(attempt: Callable[[], Any]) -> bool:
    """Tell whether something is not permitted."""
    try:
        attempt()
    except PermissionError:
        return True
    return False


@pytest.mark.usefixtures("_landlock")
class TestAbi:
    """The version of Landlock."""

    def test_version(self) -> None:
        """The kernel tells it."""
        assert confinement.abi() >= 1

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A kernel without it is an error, which tells what failed."""
        monkeypatch.setattr(confinement, "_CREATE_RULESET", 9999)
        with pytest.raises(OSError, match="landlock_create_ruleset") as caught:
            confinement.abi()
        assert errno.ENOSYS == caught.value.errno


@pytest.mark.usefixtures("_landlock")
class TestFiles:
    """What can be done with files."""

    @pytest.fixture
    def place(self, public_path: Path) -> Path:
        """Directories with a file, a FIFO and a directory each."""
        for name in ("inside", "outside", "own"):
            directory = public_path / name
            (directory / "deep").mkdir(parents=True)
            (directory / "file").write_text(name)
            os.mkfifo(directory / "fifo")
        (public_path / "single").write_text("single")
        return public_path

    def restricted(self, place: Path, *attempts: Callable[[], Any]) -> list[bool]:
        """Tell which attempts are denied to who may read what is inside, and write in its own."""

        def restrict() -> list[bool]:
            readable = [str(place / name) for name in ("inside", "single", "missing")]
            confinement.restrict_files(readable, [str(place / "own")])
            return [denied(attempt) for attempt in attempts]

        return list(in_thread(restrict))

    def test_reading(self, place: Path) -> None:
        """What is readable can be read and listed; nothing else."""
        attempts: list[Callable[[], Any]] = [
            (place / "inside" / "file").read_text,
            (place / "single").read_text,
            (place / "own" / "file").read_text,
            lambda: os.listdir(place / "inside"),
            lambda: os.listdir(place / "own" / "deep"),
            (place / "outside" / "file").read_text,
            lambda: os.listdir(place / "outside"),
            lambda: os.listdir(place),
        ]
        assert [False] * 5 + [True] * 3 == self.restricted(place, *attempts)

    @pytest.mark.parametrize("where", ["inside", "outside", "own"])
    def test_writing(self, place: Path, where: str) -> None:
        """Files, directories and links can be made, changed and removed in its own place only."""
        here = place / where
        attempts: list[Callable[[], Any]] = [
            lambda: (here / "file").write_text("changed"),
            (here / "new").touch,
            (here / "directory").mkdir,
            lambda: (here / "link").symlink_to("file"),
            (here / "deep").rmdir,
            (here / "fifo").unlink,
        ]
        assert [where != "own"] * 6 == self.restricted(place, *attempts)
        assert (where == "own") == ("changed" == (here / "file").read_text())

    def test_fifo(self, place: Path) -> None:
        """A FIFO that can be read cannot be written into."""
        flags = os.O_WRONLY | os.O_NONBLOCK
        listening = os.open(place / "inside" / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        try:
            found = self.restricted(place, lambda: os.open(place / "inside" / "fifo", flags))
        finally:
            os.close(listening)
        assert [True] == found

    def test_special_files(self, place: Path) -> None:
        """In its own place neither FIFOs nor sockets nor devices can be made."""
        attempts: list[Callable[[], Any]] = [
            lambda: os.mkfifo(place / "own" / "new"),
            lambda: os.mknod(place / "own" / "other", stat.S_IFSOCK | 0o600),
            lambda: os.mknod(place / "own" / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5)),
        ]
        assert [True] * 3 == self.restricted(place, *attempts)
        assert {"file", "fifo", "deep"} == set(os.listdir(place / "own"))

    def test_devices(self, place: Path) -> None:
        """A few devices work, and the null device takes what it is given."""
        attempts: list[Callable[[], Any]] = [
            lambda: Path(os.devnull).write_text("x"),
            lambda: open("/dev/zero", "rb").close(),
            lambda: open("/dev/urandom", "rb").close(),
            lambda: open("/dev/zero", "r+b").close(),
            lambda: os.listdir("/dev"),
        ]
        assert [False, False, False, True, True] == self.restricted(place, *attempts)

    @pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
    def test_older_kernels(
        self, monkeypatch: pytest.MonkeyPatch, place: Path, version: int
    ) -> None:
        """Of an older version, only what it knows is asked, and that holds."""
        if confinement.abi() < version:
            missing(f"Landlock {version}")
        monkeypatch.setattr(confinement, "abi", lambda: version)
        attempts: list[Callable[[], Any]] = [
            lambda: os.listdir("/"),
            lambda: (place / "inside" / "file").write_text(""),
            lambda: (place / "own" / "file").write_text(""),
        ]
        assert [True, True, False] == self.restricted(place, *attempts)

    @pytest.mark.parametrize("call", ["_ADD_RULE", "_RESTRICT_SELF"])
    def test_fails(self, monkeypatch: pytest.MonkeyPatch, place: Path, call: str) -> None:
        """What cannot be done is an error, never a confinement that is not there."""
        monkeypatch.setattr(confinement, call, 9999)
        error = in_thread(confinement.restrict_files, [str(place)], [])
        assert isinstance(error, OSError)
        assert error.strerror is not None
        assert error.strerror.startswith("landlock_")


class TestCalls:
    """The filter of system calls."""

    def test_denied(self) -> None:
        """A call that it denies fails."""
        program = call_filter(machine())
        if not program:
            missing("a filter for this machine")

        def attempt() -> list[int]:
            confinement.restrict_calls(program)
            libc = ctypes.CDLL(None, use_errno=True)
            return [libc.socket(1, 1, 0), ctypes.get_errno()]

        assert [-1, errno.EACCES] == in_thread(attempt)

    def test_no_filter(self) -> None:
        """What is no filter is an error."""
        assert isinstance(in_thread(confinement.restrict_calls, b""), OSError)


@pytest.mark.skipif(os.geteuid() != 0, reason="others may map no user but themselves")
class TestEnter:
    """Entering a user namespace."""

    @pytest.fixture
    def namespace(self) -> Iterator[int]:
        """A namespace of a user and root."""
        try:
            made = user_namespaces.Namespaces([(0, 0), (4711, 4711)])
        except OSError:
            missing("user namespaces")
        yield made.users
        made.end()

    def inside(self, namespace: int, place: Path, then: Callable[[], Any]) -> int:
        """Enter in a process forked for it, and do something; return its exit status."""
        process = host.fork()
        if process == 0:
            try:
                confinement.enter(namespace, [str(place), str(place / "missing")], 1 << 20)
                os._exit(then())
            finally:
                os._exit(99)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    def test_limited(self, namespace: int, tmp_path: Path) -> None:
        """What is written there is limited, and nobody else sees it; the directory stays."""
        os.chown(tmp_path, 4711, 4712)
        tmp_path.chmod(0o700)

        def write() -> int:
            status = os.stat(tmp_path)
            assert (0o40700, 4711, 4712) == (status.st_mode, status.st_uid, status.st_gid)
            try:
                (tmp_path / "file").write_bytes(bytes(2 << 20))
            except OSError as error:
                return int(error.errno or 0)
            return 0

        assert errno.ENOSPC == self.inside(namespace, tmp_path, write)
        assert [] == os.listdir(tmp_path)

    def test_no_mounts(
        self, namespace: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where there can be no mounts, it is as it was."""
        monkeypatch.setattr(confinement, "_NEWNS", -1)

        def write() -> int:
            return (tmp_path / "file").write_text("text")

        assert 4 == self.inside(namespace, tmp_path, write)
        assert ["file"] == os.listdir(tmp_path)

    def test_powerless(self, namespace: int, tmp_path: Path) -> None:
        """Whoever is root in there has no power over what is not in there."""
        (tmp_path / "closed").mkdir(mode=0)
        os.chown(tmp_path / "closed", 4713, 4713)
        attempts: list[Callable[[], Any]] = [
            lambda: os.listdir(tmp_path / "closed"),
            lambda: os.chown(tmp_path / "closed", 0, 0),
            lambda: os.mknod(tmp_path / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5)),
            lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)),
            lambda: os.sched_setscheduler(os.getppid(), os.SCHED_FIFO, os.sched_param(1)),
            lambda: socket.sethostname("other"),
        ]

        def attempt() -> int:
            return [denied(each) for each in attempts].count(False)

        assert 0 == self.inside(namespace, tmp_path / "missing", attempt)


@pytest.mark.usefixtures("_landlock")
class TestMain:
    """The program that confines itself and becomes another."""

    def test_becomes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It executes what it is given."""

        def leave(*arguments: Any) -> None:
            raise Stopped(*arguments)

        monkeypatch.setattr(os, "execv", leave)
        rules = f'{{"read": [], "write": [], "filter": "{call_filter(machine()).hex()}"}}'
        error = in_thread(confinement.main, ["-c", rules, "", "/program", "argument"])
        assert ("/program", ["/program", "argument"]) == error.args
        monkeypatch.setattr(sys, "argv", ["-c", rules, "", "/program"])
        error = in_thread(runpy.run_path, confinement.__file__, None, "__main__")
        assert ("/program", ["/program"]) == error.args

    def test_files_stay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a list of what can be read, files are not restricted; calls are."""

        def leave(*_: Any) -> None:
            raise Stopped(os.listdir("/"), ctypes.CDLL(None).socket(1, 1, 0))

        monkeypatch.setattr(os, "execv", leave)
        rules = f'{{"read": null, "write": [], "filter": "{call_filter(machine()).hex()}"}}'
        error = in_thread(confinement.main, ["-c", rules, "", "/program"])
        assert (os.listdir("/"), -1) == error.args

    def test_enters(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before it gives anything up, it enters the namespace."""

        def enter(*arguments: Any) -> None:
            raise Stopped(*arguments)

        monkeypatch.setattr(confinement, "enter", enter)
        rules = '{"read": [], "write": ["/home"], "filter": "", "size": 7}'
        error = in_thread(confinement.main, ["-c", rules, "5", "/program"])
        assert (5, ["/home"], 7) == error.args

    def test_fails(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """What goes wrong is one line and an exit status, and nothing is run."""

        def leave(*arguments: Any) -> None:
            raise Stopped(*arguments)

        monkeypatch.setattr(os, "_exit", leave)
        monkeypatch.setattr(confinement, "_RESTRICT_SELF", 9999)
        rules = '{"read": [], "write": [], "filter": ""}'
        assert (125,) == in_thread(confinement.main, ["-c", rules, "", "/nonexistent"]).args
        errors = capfd.readouterr().err
        assert errors.startswith("cannot confine: landlock_")
        assert 1 == errors.count("\n")

    @pytest.mark.parametrize(
        ("old", "new"),
        [("444, 445,", "444, 4450,"), ("_PR_SET_SECCOMP = 38, 22", "_PR_SET_SECCOMP = 38, 2")],
    )
    def test_cannot_confine(self, old: str, new: str) -> None:
        """In the sandbox as well, where it cannot be done the child is not started."""
        launch = confined("landlock")
        source = next(part for part in launch.arguments if "landlock_add_rule" in part)
        changed = source.replace(old, new)
        assert changed != source
        arguments = [changed if part == source else part for part in launch.arguments]
        done = run(launch._replace(arguments=arguments), "print('it runs')")
        assert (125, "") == (done.returncode, done.stdout)
        assert done.stderr.startswith("cannot confine: ")

    def test_is_self_contained(self) -> None:
        """It runs without this project, on whatever runs the update."""
        done = subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                Path(confinement.__file__).read_text(),
                "{}",
                "",
                "/x",
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        assert 1 == done.returncode
        assert "KeyError: 'read'" in done.stderr
