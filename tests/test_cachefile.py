"""Tests of reading cache files from disk."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from dropin_cache import _cachefile, _decode
from dropin_cache._cachefile import CacheFile, read_cache_file
from dropin_cache._decode import decode
from reader_support import LONG_AGO, SAMPLE, facts, run_ordinary

if TYPE_CHECKING:
    from pathlib import Path


def written(directory: Path, data: bytes = SAMPLE) -> Path:
    """Write a cache into a directory."""
    path = directory / "dropin.cache"
    path.write_bytes(data)
    path.chmod(0o640)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return path


def open_descriptors() -> int:
    """Count the open file descriptors of this process."""
    return len(os.listdir("/dev/fd"))


class TestReadCacheFile:
    """Reading the file."""

    def test_facts(self, tmp_path: Path) -> None:
        """Content, time and mode are those of the file."""
        changed = written(tmp_path).stat().st_ctime_ns
        expected = CacheFile(SAMPLE, LONG_AGO / 10**9, LONG_AGO, 0o640, changed)
        assert expected == read_cache_file(str(tmp_path))

    def test_empty(self, tmp_path: Path) -> None:
        """An empty file is a file."""
        written(tmp_path, b"")
        assert read_cache_file(str(tmp_path)).data == b""

    def test_link(self, tmp_path: Path) -> None:
        """Symbolic links are followed."""
        (tmp_path / "real").mkdir()
        written(tmp_path / "real")
        (tmp_path / "dropin.cache").symlink_to("real/dropin.cache")
        assert read_cache_file(str(tmp_path)).data == SAMPLE

    @pytest.mark.parametrize("directory", ["none", "with\0null", "\udc80", "n" * 5000])
    def test_no_directory(self, tmp_path: Path, directory: str) -> None:
        """There is none in a directory that does not or cannot exist."""
        assert read_cache_file(str(tmp_path / directory)) is None

    def test_fifo(self, tmp_path: Path) -> None:
        """A FIFO is none, and nobody waits for its writer."""
        os.mkfifo(tmp_path / "dropin.cache")
        assert read_cache_file(str(tmp_path)) is None

    def test_device(self, tmp_path: Path) -> None:
        """A device that never ends is none."""
        (tmp_path / "dropin.cache").symlink_to("/dev/zero")
        assert read_cache_file(str(tmp_path)) is None

    @pytest.mark.parametrize("kind", ["device", "fifo", "link"])
    def test_is_not_opened(
        self, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it is is known before it is opened: that can do something by itself."""
        place = tmp_path / "dropin.cache"
        if kind == "fifo":
            os.mkfifo(place)
        else:
            place.symlink_to("/dev/null" if kind == "device" else "nowhere")
        directory = os.open(tmp_path, os.O_RDONLY)
        opened: list[object] = []
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", lambda *arguments, **_: opened.append(arguments))
            for place_of_it in (str(tmp_path), directory):
                assert read_cache_file(place_of_it) is None
        os.close(directory)
        assert [] == opened

    def test_directory(self, tmp_path: Path) -> None:
        """A directory is none, and no descriptor stays open."""
        (tmp_path / "dropin.cache").mkdir()
        before = open_descriptors()
        assert read_cache_file(str(tmp_path)) is None
        assert before == open_descriptors()

    @pytest.mark.parametrize("target", ["dropin.cache", "nowhere"])
    def test_bad_link(self, tmp_path: Path, target: str) -> None:
        """A link to itself or to nowhere is none."""
        (tmp_path / "dropin.cache").symlink_to(target)
        assert read_cache_file(str(tmp_path)) is None

    def test_sparse(self, tmp_path: Path) -> None:
        """A huge file is none, and is not read."""
        os.truncate(written(tmp_path), 1 << 30)
        assert read_cache_file(str(tmp_path)) is None

    def test_largest(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file of the allowed size is read, a larger one is not."""
        written(tmp_path)
        monkeypatch.setattr(_decode, "MAX_SIZE", len(SAMPLE))
        assert read_cache_file(str(tmp_path)) is not None
        monkeypatch.setattr(_decode, "MAX_SIZE", len(SAMPLE) - 1)
        assert read_cache_file(str(tmp_path)) is None

    def test_file_that_reads_longer_than_it_is(self, tmp_path: Path) -> None:
        """A file that gives more than its size is none; those of /proc have size 0."""
        (tmp_path / "dropin.cache").symlink_to("/proc/self/status")
        assert read_cache_file(str(tmp_path)) is None

    def test_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        """A file that opens and then fails to be read is none."""
        (tmp_path / "dropin.cache").symlink_to("/proc/self/mem")
        assert read_cache_file(str(tmp_path)) is None

    @pytest.mark.processes
    def test_unreadable(self, public_path: Path) -> None:
        """A file without permission is none."""
        written(public_path).chmod(0)
        code = """
        from dropin_cache._cachefile import read_cache_file
        result = read_cache_file(place) is None
        """
        assert run_ordinary(code, public_path, []) is True


class TestReadExactly:
    """Reading as many bytes as a file has."""

    def pipe(self, content: bytes) -> io.FileIO:
        """Return a file that gives no more than is written to it, in whatever pieces."""
        end, start = os.pipe()
        os.write(start, content)
        os.close(start)
        return io.FileIO(end)

    def test_short_reads(self) -> None:
        """What comes in pieces is put together."""
        size = 40_000
        with self.pipe(b"x" * size) as file:
            assert _cachefile._read_exactly(file, size) == b"x" * size

    @pytest.mark.parametrize("size", [0, 9, 11])
    def test_another_size(self, size: int) -> None:
        """A file that has shrunk or grown meanwhile is none."""
        with self.pipe(b"0123456789") as file:
            assert _cachefile._read_exactly(file, size) is None


class TestCacheFile:
    """The file's content."""

    def test_dropins(self, tmp_path: Path) -> None:
        """Its drop-ins are what the bytes say."""
        written(tmp_path)
        assert facts(decode(SAMPLE)) == facts(read_cache_file(str(tmp_path)).dropins())

    def test_none(self, tmp_path: Path) -> None:
        """A file with something else in it has none."""
        written(tmp_path, b"something else")
        assert read_cache_file(str(tmp_path)).dropins() is None
