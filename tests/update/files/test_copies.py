"""Copies for programs that write where they are to read."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest

from dropin_cache.errors import UntrustedError
from dropin_cache.update.files import copies
from dropin_cache.update.files.trusted import Files

OWN = (os.geteuid(), os.getegid())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with two files."""
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b").write_bytes(bytes(3 << 20))
    return tmp_path


class TestCopied:
    """Files of a directory."""

    def test_content(self, place: Path) -> None:
        """They are copied, for nobody else to see, and the copies go."""
        with copies.copied(Files(enforced=False), str(place), ["a", "b"], OWN) as copy:
            assert {"a", "b"} == set(os.listdir(copy))
            assert b"first" == Path(copy, "a").read_bytes()
            assert bytes(3 << 20) == Path(copy, "b").read_bytes()
            assert 0o700 == stat.S_IMODE(os.stat(copy).st_mode)
        assert not os.path.exists(copy)

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    def test_owner(self, place: Path) -> None:
        """They can be another user's, and so is their directory."""
        with copies.copied(Files(enforced=False), str(place), ["a"], (12345, 23456)) as copy:
            for path in (copy, f"{copy}/a"):
                assert (12345, 23456) == (os.stat(path).st_uid, os.stat(path).st_gid)
        assert OWN == ((place / "a").stat().st_uid, (place / "a").stat().st_gid)

    def test_too_large(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is too large together is not copied; nothing stays."""
        monkeypatch.setattr(copies, "MAX_SIZE", 3 << 20)
        above = place / "above"
        above.mkdir()
        monkeypatch.setattr(copies, "_ABOVE", str(above))
        monkeypatch.setenv("TMPDIR", str(above))
        monkeypatch.setattr(tempfile, "tempdir", None)
        with (
            pytest.raises(OSError, match=r".") as caught,
            copies.copied(Files(enforced=False), str(place), ["b", "a"], OWN),
        ):
            pass
        assert errno.EFBIG == caught.value.errno
        assert [] == os.listdir(above)

    def test_writable_by_others(self, place: Path) -> None:
        """What others can change is not copied for root."""
        if os.geteuid() != 0:
            pytest.skip("needs root")
        (place / "a").chmod(0o666)
        place.chmod(0o755)
        with (
            Files(enforced=True, root=str(place)) as files,
            pytest.raises(UntrustedError),
            copies.copied(files, "/", ["a"], OWN),
        ):
            pass
