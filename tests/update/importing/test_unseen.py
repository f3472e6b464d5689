"""What there is, and children cannot see."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing.unseen import Sight
from dropin_cache.update.sandbox.launch import Account
from dropin_cache.update.sandbox.visible import View
from dropin_cache.update.state.observations import Observed

STRANGER = Account("stranger", 54321, 54321)


class Place:
    """A directory that is shown, and one that is not.

    Attributes:
        shown: The first.
        store: The other.
    """

    def __init__(self, path: Path, account: Account | None = None) -> None:
        self.shown, self.store = path / "shown", path / "store"
        for directory in (self.shown, self.store):
            directory.mkdir(mode=0o755)
        self._account = account

    def unseen(self, *, closed: bool = False, **observed: object) -> list[str]:
        """Return what is not seen, relative to what is above both."""
        # What a link leads to would be shown as well.
        view = View.of(None, [str(self.shown)], files=Foreign(str(self.store)))
        with Files(enforced=False) as files:
            sight = Sight(view, self._account, files, on_the_way=closed)
            kinds = {kind: frozenset(each) for kind, each in observed.items()}  # type: ignore[call-overload]
            found = sight.unseen(Observed(**kinds))
        return [os.path.relpath(path, self.shown.parent) for path in found]

    def names(self, *names: str) -> list[tuple[str, tuple[str, ...]]]:
        """Return names that were looked for in what is shown, and then in what is not."""
        return [(name, (str(self.shown), str(self.store))) for name in names]


class Foreign(Files):
    """Refuses all that lies in a directory."""

    def __init__(self, directory: str) -> None:
        super().__init__(enforced=False)
        self._directory = directory

    def host_path(self, path: str) -> str:
        """Return the path, if it is not there."""
        host = super().host_path(path)
        if host.startswith(self._directory):
            raise PermissionError(13, "refused", path)
        return host


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Both directories."""
    return Place(tmp_path)


class TestModules:
    """Modules that were looked for."""

    @pytest.mark.parametrize(
        "file",
        ["mod.py", "mod.pyc", "mod.so", "mod.cpython-311-x86_64-linux-gnu.so", "mod/__init__.py"],
    )
    def test_hidden(self, place: Place, file: str) -> None:
        """One that is only where nothing is shown is not seen."""
        (place.store / file).parent.mkdir(exist_ok=True)
        (place.store / file).touch()
        expected = [f"store/{file.partition('/')[0]}"]
        assert expected == place.unseen(names=place.names("top.mod", "top.other"))

    def test_seen(self, place: Place) -> None:
        """One that is seen hides what comes behind."""
        for directory in (place.shown, place.store):
            (directory / "mod.py").touch()
        assert [] == place.unseen(names=place.names("mod"))

    def test_others(self, place: Place) -> None:
        """Other files of such a name are no modules."""
        for name in ("mod.txt", "mod.py~", "module.py", "dropin.cache"):
            (place.store / name).touch()
        assert [] == place.unseen(names=place.names("mod"))

    def test_link(self, place: Place) -> None:
        """A link that is shown without what it leads to is not seen."""
        (place.store / "kept.py").touch()
        (place.shown / "mod.py").symlink_to(place.store / "kept.py")
        assert ["shown/mod.py"] == place.unseen(names=place.names("mod"))

    def test_dangling(self, place: Place) -> None:
        """A link that leads nowhere is nothing."""
        (place.shown / "mod.py").symlink_to(place.store / "kept.py")
        assert [] == place.unseen(names=place.names("mod"))

    def test_odd_paths(self, place: Place) -> None:
        """What is no directory has nothing in it, whatever a child calls it."""
        (place.store / "file").touch()
        paths = ("", "relative", str(place.store / "file"), "/missing", "/null\0", "/proc")
        assert [] == place.unseen(names=[("mod", paths)])


class TestFiles:
    """Files that were opened and directories that were listed."""

    def test_hidden(self, place: Place) -> None:
        """What is there and not shown is not seen."""
        (place.store / "file").touch()
        files = [str(place.store / name) for name in ("file", "missing")]
        found = place.unseen(files=[*files, "/proc/self/status", "x"], listed=[str(place.store)])
        assert ["store", "store/file"] == found

    def test_seen(self, place: Place) -> None:
        """What is shown is seen, and what a link there leads to that is shown, too."""
        (place.shown / "file").touch()
        (place.shown / "link").symlink_to("file")
        files = [str(place.shown / name) for name in ("file", "link")]
        assert [] == place.unseen(files=[*files, "/usr"], listed=[str(place.shown)])

    def test_no_file(self, place: Place) -> None:
        """What is neither a file nor a directory does not count."""
        os.mkfifo(place.store / "fifo")
        assert [] == place.unseen(files=[str(place.store / "fifo")])


class TestModes:
    """What is shown, and closed to the children's user."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """Both directories, for a user who owns nothing."""
        return Place(tmp_path, STRANGER)

    def files(self, place: Place) -> list[str]:
        """Return the path of a file in a directory in what is shown."""
        file = place.shown / "inner" / "file"
        file.parent.mkdir(mode=0o755)
        file.touch(mode=0o644)
        return [str(file)]

    def test_open(self, place: Place) -> None:
        """What everybody can read is seen."""
        assert [] == place.unseen(files=self.files(place))

    def test_file(self, place: Place) -> None:
        """A file that only its owner can read is not."""
        files = self.files(place)
        (place.shown / "inner/file").chmod(0o600)
        assert ["shown/inner/file"] == place.unseen(files=files)

    def test_directory(self, place: Place) -> None:
        """Nor is one in such a directory."""
        files = self.files(place)
        (place.shown / "inner").chmod(0o700)
        assert ["shown/inner/file"] == place.unseen(files=files)

    def test_above(self, place: Place, public_path: Path) -> None:
        """What is above a directory that is shown counts in the tier landlock only."""
        files = self.files(place)
        # The directories of tests are closed to others.
        assert [] == place.unseen(files=files)
        place.shown.parent.chmod(0o700)
        assert ["shown/inner/file"] == place.unseen(files=files, closed=True)
        open_place = Place(public_path, STRANGER)
        assert [] == open_place.unseen(files=self.files(open_place), closed=True)
