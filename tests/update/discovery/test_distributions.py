"""Which distribution installed a file: its metadata, good and bad."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from conftest import NOBODY
from dropin_cache.update.discovery import distributions
from dropin_cache.update.files.trusted import Files

ROOT = os.geteuid() == 0


def found(paths: list[str], roots: list[str], root: str | None = None) -> dict[str, str]:
    """Ask as an ordinary user does."""
    with Files(enforced=False, root=root) as files:
        return names(distributions.distributions(paths, roots, files))


def names(claims: dict[str, list[distributions.Distribution]]) -> dict[str, str]:
    """Return what the distributions call themselves."""
    return {path: ", ".join(each.name for each in claims[path]) for path in claims}


class TestDistributions:
    """Names by what is recorded."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Path:
        """An import root."""
        return tmp_path

    def write(self, site: Path, directory: str, **files: str) -> Path:
        """Write metadata."""
        (site / directory).mkdir()
        for name, text in files.items():
            (site / directory / name.replace("PKG_INFO", "PKG-INFO")).write_bytes(text.encode())
        return site / directory

    def owner(self, site: Path, path: str = "app.py") -> str | None:
        """Return who installed a file of an import root."""
        file = str(site / path)
        return found([file], [str(site)]).get(file)

    def test_name(self, site: Path) -> None:
        """The name is the one in the metadata, whatever follows it there."""
        text = "Metadata-Version: 2.1\r\nname:  My.App \r\nVersion: 1\r\n\r\nName: other\r\n"
        self.write(site, "my_app-1.dist-info", RECORD="app.py,,\r\n", METADATA=text)

        assert "My.App" == self.owner(site)

    @pytest.mark.parametrize("metadata", ["", "Version: 1\n\nName: other\n", "Name:\nVersion: 1\n"])
    def test_no_name(self, site: Path, metadata: str) -> None:
        """Without one it is the one in the directory's name."""
        self.write(site, "my_app-1.dist-info", RECORD="app.py,,\n", METADATA=metadata)

        assert "my_app" == self.owner(site)

    @pytest.mark.parametrize(
        "name", ["a\x1b[31mb", "-a", "a_", "a/b", "a\u00e4b", "\u212ai\u017f", "a" * 201]
    )
    def test_bad_name(self, site: Path, name: str) -> None:
        """What cannot be a name is none."""
        self.write(site, "app-1.dist-info", RECORD="app.py,,\n", METADATA=f"Name: {name}\n")

        assert None is self.owner(site)

    def test_egg(self, site: Path) -> None:
        """In an older layout the files are relative to the metadata, and are plain lines."""
        text = "../a, b.py\n../../outside.py\nPKG-INFO\n"
        egg = self.write(site, "App-1.egg-info", PKG_INFO="Name: App\n")
        (egg / "installed-files.txt").write_text(text)

        assert ["App", "App", None] == [
            self.owner(site, name) for name in ("a, b.py", "../outside.py", "app.py")
        ]

    def test_egg_file(self, site: Path) -> None:
        """A distribution that is a file, as Debian has them, lists nothing."""
        (site / "App-1.egg-info").write_text("Name: App\n")

        assert None is self.owner(site)

    def test_spellings(self, site: Path) -> None:
        """The same file may be spelt in several ways, here and there."""
        self.write(site, "app-1.dist-info", RECORD=f"x/../app.py,,\n{site}/b.py,,\n")
        paths = [f"{site}/app.py", f"{site}/x/../app.py", f"{site}//b.py"]

        assert dict.fromkeys(paths, "app") == found(paths, [str(site)])

    def test_several(self, site: Path) -> None:
        """Of several distributions with a file, all are told, the same in any order."""
        for name in "cab":
            self.write(site, f"{name}-1.dist-info", RECORD="app.py,,\n")

        assert "a, b, c" == self.owner(site)

    def test_other_files(self, site: Path) -> None:
        """A file of the same name elsewhere, or whose name goes on, is another file."""
        record = "other/app.py,,\nmy_app.py,,\napp.pyc,,\napp.py/x,,\n# app.py\n"
        self.write(site, "app-1.dist-info", RECORD=record)

        assert (None, "app") == (self.owner(site), self.owner(site, "other/app.py"))

    def test_bad_lines(self, site: Path) -> None:
        """A line that cannot be understood does not hide the others."""
        text = f'"{"x" * 200_000}",,\na\rb,,\n\0,,\n\n"\n\ud800'.encode("utf-8", "surrogatepass")
        egg = self.write(site, "app-1.dist-info")
        (egg / "RECORD").write_bytes(
            text + b'\xff,,\na\rapp.py,,\n"app.py\n\0app.py,,\n"a"b,app.py\napp.py,,\n'
        )

        assert "app" == self.owner(site)

    @pytest.mark.parametrize(
        "record",
        [
            b"\n" * distributions._MAX_SIZE,
            b"app.py" * (distributions._MAX_SIZE // 6),
            b"x" * (distributions._MAX_SIZE - 6) + b"app.py",
            b"x" * distributions._MAX_LINE + b"/../app.py,,\n",
            b"app.py" + b"x" * distributions._MAX_LINE + b"\n",
            b"x/app.py,,\n" * 1_000_000,
            bytes(range(256)) * 4096,
        ],
        ids=["newlines", "one line", "at its end", "before", "behind", "many", "binary"],
    )
    def test_huge(self, site: Path, record: bytes) -> None:
        """What nobody would write takes no memory besides its own, and hides nobody else."""
        egg = self.write(site, "evil-1.dist-info")
        (egg / "RECORD").write_bytes(record)
        self.write(site, "good-1.dist-info", RECORD="app.py,,\n")
        tracemalloc.start()
        try:
            assert "good" == self.owner(site)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 3 * distributions._MAX_SIZE

    def test_behind_long_lines(self, site: Path) -> None:
        """A line of usual length behind one without end is read."""
        egg = self.write(site, "app-1.dist-info")
        long = b"app.py" * 10_000
        (egg / "RECORD").write_bytes(long + b"\napp.py,,\n" + long)

        assert "app" == self.owner(site)

    def test_no_regular_file(self, site: Path) -> None:
        """What is no regular file is not read, and holds nobody up."""
        egg = self.write(site, "app-1.dist-info")
        os.mkfifo(egg / "RECORD")
        assert None is self.owner(site)

        writer = os.open(egg / "RECORD", os.O_RDWR)
        try:
            os.write(writer, b"app.py,,\n")
            assert None is self.owner(site)
        finally:
            os.close(writer)

    def test_too_large(self, site: Path) -> None:
        """What is larger than any real file is not read."""
        egg = self.write(site, "app-1.dist-info", RECORD="app.py,,\n")
        os.truncate(egg / "RECORD", distributions._MAX_SIZE)
        assert "app" == self.owner(site)

        os.truncate(egg / "RECORD", distributions._MAX_SIZE + 1)
        assert None is self.owner(site)

    def test_image(self, site: Path) -> None:
        """In an image, paths and import roots are inside it."""
        (site / "lib").mkdir()
        self.write(site / "lib", "app-1.dist-info", RECORD="app.py,,\n")
        egg = self.write(site / "lib", "egg-1.egg-info")
        (egg / "installed-files.txt").write_text("../egg.py\n")
        expected = {"/lib/app.py": "app", "/lib/egg.py": "egg"}

        assert expected == found(list(expected), ["/lib"], str(site))

    @pytest.mark.parametrize("root", ["/nonexistent", "/\0"])
    def test_no_import_root(self, root: str) -> None:
        """An import root that cannot be listed holds nothing."""
        assert {} == found(["/app.py"], [root])


@pytest.mark.skipif(not ROOT, reason="users rely on what they may")
class TestTrust:
    """What root relies on."""

    @pytest.fixture
    def record(self, public_path: Path) -> Path:
        """The record of a distribution in an import root."""
        record = public_path / "app-1.dist-info" / "RECORD"
        record.parent.mkdir()
        record.write_text("app.py,,\n")
        return record

    def owner(self, record: Path) -> str | None:
        """Ask as root does."""
        site = record.parents[1]
        with Files(enforced=True) as files:
            path = str(site / "app.py")
            return names(distributions.distributions([path], [str(site)], files)).get(path)

    def test_good(self, record: Path) -> None:
        """What only root can change is believed, a link of root's to it, too."""
        assert "app" == self.owner(record)
        record.rename(record.with_name("real"))
        record.symlink_to("real")
        assert "app" == self.owner(record)

    @pytest.mark.parametrize("which", [0, 1, 2])
    def test_of_others(self, record: Path, which: int) -> None:
        """What others can change says nothing: the record, its directory, or the import root."""
        place = [record, record.parent, record.parents[1]][which]
        os.chown(place, NOBODY, NOBODY)
        assert None is self.owner(record)
        os.chown(place, 0, 0)
        place.chmod(place.stat().st_mode | 0o022)
        assert None is self.owner(record)
        place.chmod(0o755)

    @pytest.mark.parametrize("target", ["/dev/zero", "/dev/tty", "/proc/kmsg", "RECORD", "none"])
    def test_links(self, record: Path, target: str) -> None:
        """A link to a device, to nothing, or to itself is no record, and holds nobody up."""
        record.unlink()
        record.symlink_to(target)
        assert None is self.owner(record)

    def test_metadata_of_others(self, record: Path) -> None:
        """So it is with the name; that of the directory is root's."""
        metadata = record.with_name("METADATA")
        metadata.write_text("Name: other\n")
        assert "other" == self.owner(record)
        os.chown(metadata, NOBODY, NOBODY)
        assert "app" == self.owner(record)
