"""What had a say in how an interpreter started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dropin_cache.update.payload import startup


class TestNamedBy:
    """Lines of .pth files."""

    @pytest.mark.parametrize("line", ["", "  ", "# a comment", "import sys", "import ;"])
    def test_nothing(self, line: str) -> None:
        """Some are about no file that may come or go."""
        assert [] == startup._named_by(line, "/site", ["/site"])

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("project\n", ["/site/project"]),
            ("/elsewhere", ["/elsewhere"]),
            ("import nosuch.module; x", ["/a/nosuch", "/a/nosuch.py"]),
        ],
    )
    def test_paths(self, line: str, expected: list[str]) -> None:
        """Others name a directory, or a module wherever it may be."""
        assert expected == startup._named_by(line, "/site", ["/a"])


class TestLooking:
    """Files that may be anything."""

    def test_text(self, tmp_path: Path) -> None:
        """What is no file, or too large, has no text."""
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "large").write_text("x" * (startup._MAX_TEXT + 1))
        (tmp_path / "small").write_text("x")
        found = [
            startup._text_of(str(tmp_path / name)) for name in ("fifo", "large", "no", "small")
        ]
        assert ["", "", "", "x"] == found

    def test_names(self, tmp_path: Path) -> None:
        """What is no directory has no names."""
        (tmp_path / "file").touch()
        found = [startup._names_in(str(path)) for path in (tmp_path, tmp_path / "file")]
        assert [["file"], []] == found

    def test_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of very much that is not there, some is told."""
        monkeypatch.setattr(startup, "_looked_for", lambda path: path)
        monkeypatch.setattr(startup, "_MAX_MISSING", 20)
        assert ["/no/such/a"] == startup._not_there(
            ["/no/such/a", "/", "/no/such/a", "/no/such/bc"]
        )
