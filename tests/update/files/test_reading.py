"""Reading files that may turn out to be anything."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from dropin_cache.update.files import reading


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of four bytes."""
    path = tmp_path / "file"
    path.write_bytes(b"four")
    return path


def errno_of(path: Path, limit: int = 100, **options: Any) -> int | None:
    """Return the number of the error that reading a file is."""
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r".") as caught:
        reading.read_file(str(path), limit, **options)
    assert before == set(os.listdir("/proc/self/fd"))
    return caught.value.errno


class TestReadFile:
    """A file, by its path."""

    @pytest.mark.parametrize("limit", [4, 5, 1 << 30])
    def test_whole(self, file: Path, limit: int) -> None:
        """It is read whole, up to the limit."""
        assert b"four" == reading.read_file(str(file), limit)

    def test_relative(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative path starts where the process is."""
        monkeypatch.chdir(file.parent)
        for follow in (False, True):
            assert b"four" == reading.read_file("file", 4, follow=follow)

    @pytest.mark.parametrize("limit", [0, 3])
    def test_too_large(self, file: Path, limit: int) -> None:
        """What is larger is not read in part."""
        assert errno.EFBIG == errno_of(file, limit)

    def test_link(self, file: Path) -> None:
        """A link is followed or not, as wanted."""
        link = file.parent / "link"
        link.symlink_to(file)

        assert b"four" == reading.read_file(str(link), 4)
        assert b"four" == reading.read_file(str(file), 4, follow=False)
        assert errno.ELOOP == errno_of(link, follow=False)

    @pytest.mark.parametrize("follow", [False, True])
    def test_no_file(self, tmp_path: Path, follow: bool) -> None:
        """A FIFO, which would block, a directory and a device are refused."""
        os.mkfifo(tmp_path / "fifo")

        for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
            assert errno.EINVAL == errno_of(path, follow=follow)
        assert errno.ENOENT == errno_of(tmp_path / "missing", follow=follow)

    def test_link_of_proc(self, file: Path) -> None:
        """Root is not led to what a process has open."""
        if os.geteuid() != 0:
            pytest.skip("needs root")
        with open(file, "rb") as opened:
            file.unlink()
            link = file.parent / "link"
            link.symlink_to(f"/proc/self/fd/{opened.fileno()}")

            assert b"four" == link.read_bytes()
            assert errno.ENOENT == errno_of(link)

    def test_null_byte(self) -> None:
        """A path that is none is an error, too."""
        assert errno.EINVAL == errno_of(Path("a\0b"))


class TestRead:
    """A file that is open."""

    def test_closed(self, file: Path) -> None:
        """It is closed in the end."""
        descriptor = os.open(file, os.O_RDONLY)
        assert b"four" == reading.read(descriptor, 4)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)

    def test_in_pieces(self) -> None:
        """It need not come at once."""
        reader, writer = os.pipe()
        with os.fdopen(writer, "wb", buffering=0) as pipe:
            pipe.write(b"fo")
            pipe.write(b"ur")
        assert b"four" == reading.read(reader, 4)

    def test_failure(self, tmp_path: Path) -> None:
        """What cannot be read is closed, too."""
        reader, writer = os.pipe()
        os.close(reader)
        with pytest.raises(OSError, match=r"."):
            reading.read(writer, 4)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(writer)
