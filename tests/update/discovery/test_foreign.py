"""Whose a plugin directory is."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from command_line import give_away
from conftest import NOBODY
from dropin_cache.update.discovery.foreign import foreign_directories

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")


def found(directories: list[Path], roots: list[Path]) -> set[str]:
    """Return what is not the ordinary user's."""
    known: Any = [SimpleNamespace(directory=str(path)) for path in directories]
    target: Any = SimpleNamespace(import_roots=tuple(map(str, roots)))
    os.setresuid(NOBODY, NOBODY, 0)  # the real number decides what access(2) says
    try:
        return foreign_directories(known, [target])
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def places(public_path: Path) -> tuple[Path, Path]:
    """A directory of root's, and one of the user's."""
    (public_path / "system").mkdir()
    return public_path / "system", give_away(public_path / "own")


class TestForeignDirectories:
    """Directories that are none of a user's business."""

    def test_beside_his_own(self, places: tuple[Path, Path]) -> None:
        """What is root's is, where he has a root of his own."""
        assert {str(places[0])} == found(list(places), list(places))

    def test_nothing_of_his(self, places: tuple[Path, Path]) -> None:
        """Who has none means the system."""
        assert set() == found(list(places), [places[0]])

    @pytest.mark.parametrize("mode", [0o555, 0o755])
    def test_closed(self, places: tuple[Path, Path], mode: int) -> None:
        """His own are his, open or closed."""
        inner = give_away(places[1] / "plugins")
        inner.chmod(mode)
        assert set() == found([inner], [places[1]])

    def test_gone(self, places: tuple[Path, Path]) -> None:
        """What has just gone is nobody's; whoever looks at it will say so."""
        assert set() == found([places[0] / "gone"], [places[1]])
