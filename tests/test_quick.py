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


def keep(*paths: Path) -> None:
    """Make the list."""
    lines = [_quick.line_of(os.fsencode(path)) for path in paths]
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
            lambda data: data.replace(b"stamps 1", b"stamps 0"),
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
