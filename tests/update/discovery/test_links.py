"""Where symbolic links lead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dropin_cache.errors import UntrustedError
from dropin_cache.update.discovery import links
from dropin_cache.update.discovery.links import Links, gathered


def opened(path: str) -> int:
    """Open a directory."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def reliable(_directory: int, _link: str | None) -> bool:
    """Accept anything."""
    return True


def targets(tree: Path) -> set[str]:
    """Return what links in a tree lead to."""
    return Links(opened, reliable).targets(str(tree))


class TestTargets:
    """Looking for links."""

    @pytest.mark.parametrize(
        ("link", "text", "expected"),
        [
            ("pack", "/store/pack", "/store/pack"),
            ("pack", "/store/other", "/store/other"),
            ("pack/a.py", "/store/x/pack/a.py", "/store/x/pack"),
            ("pack/deep/a.py", "/store/x/pack/deep/a.py", "/store/x/pack"),
            ("pack/deep/a.py", "/store/x/other/deep/a.py", "/store/x/other/deep"),
            ("pack/a.py", "/store/b.py", "/store/b.py"),
            ("pack/a.py", "/a.py", "/a.py"),
            ("pack/a.py", "/pack/a.py", "/pack"),
            ("pack/a.py", "/store/../else/pack/./a.py", "/else/pack"),
        ],
    )
    def test_target(self, tmp_path: Path, link: str, text: str, expected: str) -> None:
        """What is called the same on both sides is told by the topmost of it."""
        path = tmp_path / link
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(text)
        assert {expected} == targets(tmp_path)

    def test_relative(self, tmp_path: Path) -> None:
        """A relative target starts where the link is, whatever stands for the root."""
        (tmp_path / "site/pack").mkdir(parents=True)
        (tmp_path / "site/pack/a.py").symlink_to("../../store/b.py")
        look = Links(lambda path: opened(f"{tmp_path}{path}"), reliable)
        assert {"/store/b.py"} == look.targets("/site")

    def test_refused(self, tmp_path: Path) -> None:
        """What is refused has no links in it."""

        def refuse(path: str) -> int:
            raise UntrustedError(path, path, "is bad")

        assert set() == Links(refuse, reliable).targets(str(tmp_path))

    def test_inside(self, tmp_path: Path) -> None:
        """Links within the tree lead nowhere else; what is not Python's is not looked at."""
        for name in (".git", "__pycache__", "lib"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "link").symlink_to("../lib" if name == "lib" else "/elsewhere")
        (tmp_path / "lib64").symlink_to("lib")
        assert set() == targets(tmp_path)

    def test_no_directory(self, tmp_path: Path) -> None:
        """A file, or what is not there, has no links in it."""
        (tmp_path / "file").touch()
        assert set() == targets(tmp_path / "file") | targets(tmp_path / "missing")

    def test_once(self, tmp_path: Path) -> None:
        """A tree that has been looked at, also as part of another, is not looked at again."""
        (tmp_path / "inner").mkdir()
        (tmp_path / "inner/link").symlink_to("/elsewhere")
        look = Links(opened, reliable)
        assert {"/elsewhere"} == look.targets(str(tmp_path))
        assert set() == look.targets(str(tmp_path / "inner"))

    def test_depth(self, tmp_path: Path) -> None:
        """A look that is not to go deep does not keep another from it."""
        (tmp_path / "a/b").mkdir(parents=True)
        (tmp_path / "a/link").symlink_to("/near")
        (tmp_path / "a/b/link").symlink_to("/far")
        look = Links(opened, reliable)
        assert {"/near"} == look.targets(str(tmp_path), 1)
        assert {"/near", "/far"} == look.targets(str(tmp_path))

    def test_changes(self, tmp_path: Path) -> None:
        """What goes while it is looked at is passed over."""
        for name in ("gone", "link"):
            (tmp_path / name).symlink_to("/elsewhere")
        (tmp_path / "directory").mkdir()

        def is_reliable(directory: int, link: str | None) -> bool:
            if link == "gone":
                os.unlink(link, dir_fd=directory)
                os.rmdir("directory", dir_fd=directory)
            return True

        assert {"/elsewhere"} == Links(opened, is_reliable).targets(str(tmp_path))

    def test_bounds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No tree is too deep or too large."""
        deep = tmp_path / "/".join("d" * 60)
        deep.mkdir(parents=True)
        (deep / "link").symlink_to("/deep")
        (tmp_path / "link").symlink_to("/elsewhere")
        assert {"/elsewhere"} == targets(tmp_path)
        monkeypatch.setattr(links, "_MAX_DIRECTORIES", 0)
        assert set() == targets(tmp_path)


class TestGathered:
    """Making few of many."""

    def test_few(self) -> None:
        """Few stay as they are."""
        assert {"/a/b/c", "/a/d"} == gathered({"/a/b/c", "/a/d"}, 2, frozenset())

    def test_many(self) -> None:
        """Of many, the deepest are replaced by what is above them."""
        paths = {"/s/x/1/p", "/s/x/2/p", "/s/y/3", "/t"}
        assert {"/s/x", "/s/y", "/t"} == gathered(paths, 3, frozenset())

    def test_withheld(self) -> None:
        """What is never shown does not replace anything."""
        paths = {"/srv/1", "/srv/2", "/opt/1", "/opt/2"}
        assert {"/srv/1", "/srv/2", "/opt"} == gathered(paths, 1, frozenset(["/srv", "/"]))

    def test_none(self) -> None:
        """Of nothing, there is nothing."""
        assert set() == gathered(set(), 1, frozenset())
