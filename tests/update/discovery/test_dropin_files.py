"""Tests of telling what a directory holds by the names in it."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

from dropin_cache.update.discovery.dropin_files import possible_dropins

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
