"""What a directory holds, by the names in it."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

from dropin_cache.update.discovery import dropin_files
from dropin_cache.update.discovery.dropin_files import (
    has_cache,
    possible_dropins,
    possible_orphans,
)

NAMES = ["__pycache__", "b", "b.py", "a.pyc", "c.txt", "dropin.cache", ".x.new"]


class TestPossibleDropins:
    """The names that can be those of drop-ins."""

    def test_names(self, tmp_path: Path) -> None:
        """Python files are, and whatever has no extension, as packages have none."""
        for name in NAMES:
            (tmp_path / name).touch()
        assert ("a.pyc", "b", "b.py") == possible_dropins(str(tmp_path))
        descriptor = os.open(tmp_path, os.O_RDONLY)
        try:
            assert ("a.pyc", "b", "b.py") == possible_dropins(descriptor)
        finally:
            os.close(descriptor)

    def test_other_files(self, tmp_path: Path) -> None:
        """Other files take no memory, however many there are."""
        (tmp_path / "hello.py").touch()
        for number in range(5000):
            (tmp_path / f"{number}.txt").touch()
        tracemalloc.start()
        try:
            assert ("hello.py",) == possible_dropins(str(tmp_path))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 5000 * 10  # bytes: less than any of their names


class TestHasCache:
    """Whether something of that name is there."""

    def test_kinds(self, tmp_path: Path) -> None:
        """It need not be a file, nor lead anywhere."""
        for name in ("file", "link", "nothing"):
            (tmp_path / name).mkdir()
        (tmp_path / "file" / "dropin.cache").touch()
        (tmp_path / "link" / "dropin.cache").symlink_to("nowhere")
        places = ("file", "link", "nothing", "missing", "file/dropin.cache")
        assert [True, True, False, False, False] == [
            has_cache(str(tmp_path / place)) for place in places
        ]


class TestPossibleOrphans:
    """Where a cache may have outlived everything else."""

    def test_inner(self, tmp_path: Path) -> None:
        """In a directory itself, and in those in it that hold nothing else."""
        for name in ("old/dropin.cache", "old/__pycache__/x.pyc", "full/dropin.cache", "full/x"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (tmp_path / "link").symlink_to("old")
        missing, file = f"{tmp_path}/missing", f"{tmp_path}/full/x"
        assert [str(tmp_path), f"{tmp_path}/old"] == possible_orphans(
            [str(tmp_path), missing, file]
        )

    def test_vanishes(self, tmp_path: Path) -> None:
        """A directory that goes away meanwhile holds nothing."""
        (tmp_path / "gone").mkdir()
        with os.scandir(tmp_path) as entries:
            (entry,) = entries
        (tmp_path / "gone").rmdir()
        assert not dropin_files._holds_only_a_cache(entry)
