"""Tests of snapshots of directories and files."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from dropin_cache._plugins import _Snapshot
from dropin_cache._scan import list_directory
from reader_support import LONG_AGO

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a file, a directory and a link in it, as old as it takes to be settled."""
    (tmp_path / "place/folder").mkdir(parents=True)
    (tmp_path / "place/one.py").write_text("one")
    (tmp_path / "place/link").symlink_to("folder")
    (tmp_path / "place/plain").touch()
    time.sleep(0.05)
    return tmp_path / "place"


def taken(place: Path) -> _Snapshot:
    """Take a snapshot of a directory and what is in it, and of two things that are not there."""
    snapshot = _Snapshot([], {})
    names, _ = snapshot.listing(str(place))
    for name in names:
        snapshot.status(str(place / name))
    with pytest.raises(FileNotFoundError):
        snapshot.listing(str(place / "nowhere"))
    with pytest.raises(FileNotFoundError):
        snapshot.status(str(place / "folder/none.py"))
    return snapshot


def edit(path: Path) -> None:
    """Change a file in place and pretend that nothing happened."""
    status = path.stat()
    path.write_text("two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path) -> None:
    """Put another file of the same size and date in the place of one."""
    status = path.stat()
    other = path.with_name("other")
    other.write_text("two")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


def to_folder(path: Path) -> None:
    """Put a directory in the place of a file."""
    path.unlink()
    path.mkdir()


def to_file(path: Path) -> None:
    """Put a file in the place of a directory."""
    path.rename(path.with_name("away"))
    path.touch()


class TestListDirectory:
    """Listing directories."""

    def test_names_and_folders(self, place: Path) -> None:
        """Names of drop-ins are sorted, and what can be packages is told apart."""
        (place / "dotted.folder").mkdir()
        (place / ".hidden").mkdir()
        expected = (
            ["folder", "link", "one.py", "plain"],
            {"folder": "directory", "link": "link"},
        )
        assert expected == list_directory(str(place))


class TestHolds:
    """Finding out whether anything has changed."""

    def test_unchanged(self, place: Path) -> None:
        """A snapshot holds while nothing changes, even if files are read."""
        snapshot = taken(place)
        (place / "one.py").read_text()
        assert snapshot.settled
        assert snapshot.holds()

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda place: (place / "two.py").touch(), id="added"),
            pytest.param(lambda place: (place / "one.py").unlink(), id="removed"),
            pytest.param(lambda place: (place / "one.py").rename(place / "x.py"), id="renamed"),
            pytest.param(lambda place: edit(place / "one.py"), id="edited"),
            pytest.param(lambda place: replace(place / "one.py"), id="replaced"),
            pytest.param(lambda place: to_folder(place / "plain"), id="to folder"),
            pytest.param(lambda place: (place / "folder/none.py").touch(), id="file appears"),
            pytest.param(lambda place: (place / "nowhere").mkdir(), id="directory appears"),
            pytest.param(lambda place: place.rename(place.with_name("away")), id="vanished"),
            pytest.param(to_file, id="to file"),
            pytest.param(
                lambda place: os.utime(place / "one.py", ns=(LONG_AGO, LONG_AGO)), id="dated"
            ),
        ],
    )
    def test_changed(self, place: Path, change: Any) -> None:
        """Whatever is changed below it, a snapshot does not hold any more."""
        snapshot = taken(place)
        change(place)
        assert not snapshot.holds()

    def test_directory_appears(self, place: Path) -> None:
        """A directory that was not there is noticed when it is, even an empty one."""
        snapshot = _Snapshot([], {})
        with pytest.raises(FileNotFoundError):
            snapshot.listing(str(place / "later"))
        assert snapshot.holds()
        (place / "later").mkdir()
        assert not snapshot.holds()


class TestSettled:
    """Whether a snapshot can be relied on."""

    def test_just_changed(self, place: Path) -> None:
        """A file that has just changed can change again without showing it."""
        (place / "one.py").write_text("two")
        assert not taken(place).settled

    def test_no_directory(self, place: Path) -> None:
        """Of what cannot be listed, such as an archive, a snapshot does not tell."""
        snapshot = _Snapshot([], {})
        with pytest.raises(NotADirectoryError):
            snapshot.listing(str(place / "one.py"))
        assert not snapshot.settled
