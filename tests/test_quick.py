"""Whether everything is as it was, found out before anything is loaded."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from conftest import NOBODY, run_python
from dropin_cache import _quick

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the list is root's")

LIST = Path(_quick.STATE_DIRECTORY, _quick.list_name())


@pytest.fixture
def held(public_path: Path) -> Iterator[Path]:
    """Make a list of two files, one of which is not there, and return where they would be."""
    there = public_path / "there"
    there.write_text("one")
    LIST.parent.mkdir(exist_ok=True)
    keep(there, public_path / "missing")
    return public_path


def keep(*paths: Path, said: tuple[bytes, ...] = ()) -> None:
    """Make the list."""
    lines = [*said, *(_quick.line_of(os.fsencode(path)) for path in paths)]
    LIST.write_bytes(b"".join(b"%b\0" % line for line in (_quick.heading_of(len(lines)), *lines)))
    LIST.chmod(0o644)


class TestHold:
    """Whether the list still holds."""

    def test_all_the_same(self, held: Path) -> None:
        """It does as long as nothing has changed."""
        assert _quick.hold()

    def test_any_name(self, held: Path) -> None:
        """Names of files may have any bytes but those that no name has."""
        odd = Path(os.fsdecode(os.fsencode(held) + b"/a\tb\nc\xff - d"))
        odd.write_text("odd")
        keep(odd, held / "there")
        assert _quick.hold()
        odd.unlink()
        assert not _quick.hold()

    @pytest.mark.parametrize(
        "change",
        [
            lambda there: there.write_text("two"),
            lambda there: there.unlink(),
            lambda there: there.chmod(0o600),
            lambda there: os.utime(there, (1, 1)),
            lambda there: there.rename(there.with_name("missing")),
            lambda there: there.with_name("missing").mkdir(),
            lambda there: there.with_name("missing").symlink_to(there),
            lambda there: os.link(there, there.with_name("other")),
        ],
        ids=["content", "gone", "mode", "date", "moved", "appeared", "link", "hard link"],
    )
    def test_change(self, held: Path, change: Callable[[Path], object]) -> None:
        """It does not when something has changed, or is there that was not."""
        change(held / "there")
        assert not _quick.hold()

    def test_same_size_and_date(self, held: Path) -> None:
        """Another content is noticed though size and date are what they were."""
        there = held / "there"
        status = there.stat()
        there.write_text("two")
        os.utime(there, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert status.st_size == there.stat().st_size
        assert not _quick.hold()

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda data: b"",
            lambda data: data[:-1],
            lambda data: data[: data.index(b"\0") + 1],
            lambda data: data + b"-\t/proc/nothing\0",
            lambda data: data.replace(b"stamps 3", b"stamps 1"),
            lambda data: data.replace(sys.executable.encode(), b"/usr/bin/other"),
            lambda data: data.replace(sys.version[:4].encode(), b"3.0."),
            lambda data: data.replace(b"/there", b"/the\0re"),
            lambda data: b"\0" * 100,
            lambda data: data + b"\0" * _quick.MAX_SIZE,
        ],
    )
    def test_spoilt(self, held: Path, spoil: Callable[[bytes], bytes]) -> None:
        """It does not when it is not whole, or another version or interpreter's."""
        LIST.write_bytes(spoil(LIST.read_bytes()))
        assert not _quick.hold()

    @pytest.mark.parametrize("where", [LIST, LIST.parent], ids=["file", "directory"])
    @pytest.mark.parametrize(
        "change",
        [
            lambda path: os.chown(path, NOBODY, 0),
            lambda path: path.chmod(path.stat().st_mode | stat.S_IWGRP),
            lambda path: path.chmod(path.stat().st_mode | stat.S_IWOTH),
        ],
        ids=["owner", "group", "others"],
    )
    def test_writable(self, held: Path, where: Path, change: Callable[[Path], object]) -> None:
        """It is not believed where others than root could have written it."""
        change(where)
        assert not _quick.hold()

    def test_link(self, held: Path) -> None:
        """It is not believed if it is a link, and a FIFO blocks nobody."""
        target = held / "list"
        target.write_bytes(LIST.read_bytes())
        LIST.unlink()
        LIST.symlink_to(target)
        assert not _quick.hold()
        LIST.unlink()
        os.mkfifo(LIST)
        assert not _quick.hold()

    def test_missing(self, held: Path) -> None:
        """Without a list, or without its directory, nothing is known."""
        LIST.unlink()
        assert not _quick.hold()
        LIST.parent.rmdir()
        assert not _quick.hold()

    @pytest.mark.processes
    def test_other_users(self, held: Path) -> None:
        """It says nothing about what other users would find."""
        program = "import os; from dropin_cache import _quick; os.seteuid(65534); "
        assert "False\n" == run_python(program + "print(_quick.hold())").stdout


class TestUsers:
    """The list is root's."""

    def test_here(self, held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who is another user does not look at it."""
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
        assert not _quick.hold()


class TestChecked:
    """Whether a check would find everything fresh, and what it prints then."""

    @pytest.fixture(autouse=True)
    def _told(self, held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        keep(held / "there", held / "missing", said=(b"?0", b"=fresh: it", os.fsencode(held)))
        monkeypatch.setenv("HOME", str(held))
        for name in {*os.environ}:
            if name.startswith("PYTHON") or name in {"VIRTUAL_ENV", "XDG_DATA_HOME"}:
                monkeypatch.delenv(name)

    def test_lines(self, capfd: pytest.CaptureFixture[str]) -> None:
        """What it prints is in the list."""
        assert 0 == _quick.checked(quiet=False)
        assert ("fresh: it\n", "") == capfd.readouterr()
        assert 0 == _quick.checked(quiet=True)
        assert ("", "") == capfd.readouterr()

    def test_warnings(self, held: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """So are warnings, and the exit status, which is all that is left of them with -q."""
        keep(held / "there", said=(b"?3", b"=fresh: it", b"!warning: it"))
        assert 3 == _quick.checked(quiet=False)
        assert ("fresh: it\n", "warning: it\n") == capfd.readouterr()
        assert 3 == _quick.checked(quiet=True)
        assert ("", "") == capfd.readouterr()

    def test_colours(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """It has colours where somebody asks for them, but not if somebody else asks for none."""
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert 0 == _quick.checked(quiet=False)
        monkeypatch.setenv("NO_COLOR", "1")
        assert 0 == _quick.checked(quiet=False)
        assert ("\x1b[32mfresh:\x1b[0m it\nfresh: it\n", "") == capfd.readouterr()

    def test_nothing_to_tell(self, held: Path) -> None:
        """What an update alone knows of says nothing about checks."""
        keep(held / "there")
        assert _quick.hold()
        assert _quick.checked(quiet=True) is None

    def test_change(self, held: Path) -> None:
        """It does not hold when something has changed."""
        (held / "missing").touch()
        assert _quick.checked(quiet=True) is None

    def test_reproducible(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With another rule for times, something else may be told."""
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
        assert _quick.checked(quiet=True) is None

    def test_cannot_be_printed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the lines cannot be printed, it has not been told."""
        with open("/dev/full", "wb") as full:
            copy = os.dup(1)
            os.dup2(full.fileno(), 1)
            try:
                assert _quick.checked(quiet=False) is None
            finally:
                os.dup2(copy, 1)
                os.close(copy)

    def test_printed_in_part(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor where only some of them can."""
        monkeypatch.setattr(os, "write", lambda _, data: len(data) - 1)
        assert _quick.checked(quiet=False) is None

    def test_users(self, held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Users get the same where directories are somebody else's and can be listed."""
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
        monkeypatch.setattr(os, "access", lambda _, mode: mode == os.R_OK)
        assert 0 == _quick.checked(quiet=True)
        monkeypatch.setattr(os, "access", lambda _, mode: mode in {os.R_OK, os.W_OK})
        assert _quick.checked(quiet=True) is None
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert _quick.checked(quiet=True) is None
        monkeypatch.setenv("PYTHONPATH", "/opt")
        assert _quick.checked(quiet=True) is None


class TestStartsPlainly:
    """Whether nothing of a user has a say in how interpreters start."""

    @pytest.fixture(autouse=True)
    def _user(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in {*os.environ}:
            if name.startswith("PYTHON") or name in {"VIRTUAL_ENV", "XDG_DATA_HOME"}:
                monkeypatch.delenv(name)

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("PYTHONPATH", "/opt", False),
            ("PYTHONPATH", "", True),
            ("PYTHONUSERBASE", "/opt", False),
            ("PYTHON_LAZY_IMPORTS", "all", False),
            ("PYTHONUNBUFFERED", "1", True),
            ("VIRTUAL_ENV", "/opt", False),
            ("XDG_DATA_HOME", "/opt", False),
            ("HOME", "..", False),
            ("HOME", "/proc/nothing", True),
            ("HOME", "/proc/version", True),
        ],
    )
    def test_variables(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: bool
    ) -> None:
        """Variables that Python and what it loads heed have one."""
        monkeypatch.setenv(name, value)
        assert expected == _quick.starts_plainly()

    def test_user_site(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """So has what the user has installed, for whichever Python."""
        (tmp_path / ".local/lib/node").mkdir(parents=True)
        assert _quick.starts_plainly()
        (tmp_path / ".local/lib/python3.9").mkdir()
        assert not _quick.starts_plainly()

    def test_hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What cannot be listed may be found all the same, unless nothing in there can."""
        monkeypatch.setattr(os, "listdir", _forbidden)
        for found in (True, False):
            monkeypatch.setattr(os, "access", lambda *_, found=found: found)
            assert _quick.starts_plainly() is not found

    def test_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Root's environment counts for nothing."""
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("PYTHONPATH", "/opt")
        assert _quick.starts_plainly()


def _forbidden(path: str) -> list[str]:
    raise PermissionError(path)


@pytest.mark.processes
class TestTrigger:
    """What the trigger does with it."""

    def test_loads_nothing(self, held: Path) -> None:
        """Where it holds, nothing of the write path is loaded, nor what the reader needs."""
        program = (
            "import sys; from dropin_cache import cli; "
            "assert 0 == cli.main(['update', '--trigger']); "
            "print(*sorted(name for name in sys.modules if name.startswith('dropin_cache')))"
        )
        loaded = subprocess.run(
            [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
        )
        assert (
            "dropin_cache dropin_cache._caller dropin_cache._quick dropin_cache.cli"
            == loaded.stdout.strip()
        )
