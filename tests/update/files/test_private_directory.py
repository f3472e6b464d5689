"""Directories for one child alone."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from dropin_cache.update.files import private_directory as module
from dropin_cache.update.files.private_directory import private_directory

ROOT = os.geteuid() == 0


class TestPrivateDirectory:
    """Making one, and what becomes of it."""

    def test_own(self) -> None:
        """It is empty, this user's, and closed to all others."""
        with private_directory(None) as path:
            assert path is not None
            status = os.stat(path)
            found = [status.st_mode & 0o7777, status.st_uid, os.listdir(path)]
            assert [0o700, os.geteuid(), []] == found
        assert not os.path.exists(path)

    @pytest.mark.skipif(not ROOT, reason="others can give nothing away")
    def test_of_another(self) -> None:
        """It belongs to the user that it is for."""
        with private_directory((4711, 4712)) as path:
            assert path is not None
            status = os.stat(path)
            assert (0o700, 4711, 4712) == (status.st_mode & 0o7777, status.st_uid, status.st_gid)
        assert not os.path.exists(path)

    def test_apart(self) -> None:
        """Each has another."""
        with private_directory(None) as one, private_directory(None) as other:
            assert one != other

    @pytest.mark.skipif(not ROOT, reason="users have their environment")
    def test_place(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Root takes no place from its environment."""
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr(tempfile, "tempdir", None)
        with private_directory(None) as path:
            assert path is not None
            assert "/tmp" == os.path.dirname(path)  # noqa: S108

    def test_whole(self, tmp_path: Path) -> None:
        """All that is in it goes as well, however deep; what links lead to stays."""
        (tmp_path / "kept").write_text("text")
        here = os.open(".", os.O_RDONLY)
        with private_directory(None) as path:
            assert path is not None
            os.symlink(tmp_path, os.path.join(path, "link"))
            os.mkfifo(os.path.join(path, "fifo"))
            os.chdir(path)
            try:
                for _ in range(1500):  # longer than a path can be
                    os.mkdir("deep")
                    os.chdir("deep")
                os.chmod(".", 0)
            finally:
                os.fchdir(here)
                os.close(here)
            if not ROOT:
                subprocess.run(["chmod", "-R", "u+rwx", path], check=True)
        assert not os.path.exists(path)
        assert "text" == (tmp_path / "kept").read_text()

    def test_interrupted(self) -> None:
        """It goes with an error, too."""
        with pytest.raises(KeyboardInterrupt), private_directory(None) as path:  # noqa: PT012
            assert path is not None
            raise KeyboardInterrupt
        assert not os.path.exists(path)

    def test_full(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there can be none, work goes on without."""

        def full(**_: object) -> str:
            raise OSError

        monkeypatch.setattr(tempfile, "mkdtemp", full)
        with private_directory(None) as path:
            assert None is path

    @pytest.mark.skipif(not ROOT, reason="others can give nothing away")
    def test_not_given_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that cannot be given to its user is not used, and does not stay."""
        made: list[str] = []

        def refuse(path: str, *_: object, **__: object) -> None:
            made.append(path)
            raise PermissionError

        monkeypatch.setattr(os, "chown", refuse)
        with private_directory((1, 1)) as path:
            assert None is path
        assert [] == [each for each in made if os.path.exists(each)]

    def test_no_tool(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without rm(1) it stays, which is no reason to fail."""
        monkeypatch.setattr(module, "_RM", "/nonexistent/rm")
        with private_directory(None) as path:
            assert path is not None
        os.rmdir(path)
