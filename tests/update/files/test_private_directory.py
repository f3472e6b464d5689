"""Directories for one child alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from dropin_cache.update.files import private_directory as module
from dropin_cache.update.files.private_directory import private_directory
from dropin_cache.update.sandbox.launch import Account, without_privilege

ROOT = os.geteuid() == 0


class TestPrivateDirectory:
    """Making one, and what becomes of it."""

    def test_own(self) -> None:
        """It is empty, this user's, and closed to all others."""
        with private_directory([]) as path:
            assert path is not None
            status = os.stat(path)
            found = [status.st_mode & 0o7777, status.st_uid, os.listdir(path)]
            assert [0o700, os.geteuid(), []] == found
        assert not os.path.exists(path)

    @pytest.mark.skipif(not ROOT, reason="others can give nothing away")
    def test_of_another(self) -> None:
        """It belongs to the user that it is for."""
        with private_directory(without_privilege(Account("", 4711, 4712))) as path:
            assert path is not None
            status = os.stat(path)
            assert (0o700, 4711, 4712) == (status.st_mode & 0o7777, status.st_uid, status.st_gid)
        assert not os.path.exists(path)

    def test_apart(self) -> None:
        """Each has another."""
        with private_directory([]) as one, private_directory([]) as other:
            assert one != other

    @pytest.mark.skipif(not ROOT, reason="users have their environment")
    def test_place(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Root takes no place from its environment."""
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr(tempfile, "tempdir", None)
        with private_directory([]) as path:
            assert path is not None
            assert "/tmp" == os.path.dirname(path)  # noqa: S108

    def test_whole(self, tmp_path: Path) -> None:
        """All that is in it goes as well, however deep; what links lead to stays."""
        (tmp_path / "kept").write_text("text")
        here = os.open(".", os.O_RDONLY)
        with private_directory([]) as path:
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
        assert not os.path.exists(path)
        assert "text" == (tmp_path / "kept").read_text()

    @pytest.mark.skipif(not ROOT, reason="others can give nothing away")
    def test_closed(self) -> None:
        """What its owner has closed for itself goes, too."""
        account = Account("", 4711, 4712)
        with private_directory(without_privilege(account)) as path:
            assert path is not None
            closed = Path(path) / "closed"
            (closed / "inner").mkdir(parents=True)
            for each in (closed / "inner", closed):
                os.chown(each, account.uid, account.gid)
                each.chmod(0)
        assert not os.path.exists(path)

    def test_interrupted(self) -> None:
        """It goes with an error, too."""
        with pytest.raises(KeyboardInterrupt), private_directory([]) as path:  # noqa: PT012
            assert path is not None
            raise KeyboardInterrupt
        assert not os.path.exists(path)

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there can be none, work goes on without."""
        for make in ("/nonexistent/mkdir", "/bin/false"):
            monkeypatch.setattr(module, "_MAKE", (make, "--"))
            with private_directory([]) as path:
                assert None is path
