"""What a confined child may read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dropin_cache.errors import ImportRootError, InterpreterError, UntrustedError
from dropin_cache.update.sandbox.visible import Entry, Link, View


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A small file system, with an interpreter in /usr/bin and another in /opt/python/bin."""
    image = tmp_path / "image"
    for name in ("etc", "usr/bin", "usr/lib/python3/dist-packages", "opt/python/bin", "sbin"):
        (image / name).mkdir(parents=True)
    for name in ("usr/bin/python3", "opt/python/bin/python3", "etc/hosts", "etc/shadow"):
        (image / name).touch()
    (image / "bin").symlink_to("usr/bin")
    (image / "lib").symlink_to("/usr/lib")
    return image


def view(image: Path, python: str, *roots: str, files: Directory | None = None) -> View:
    """Return a view of the image, with paths of the sources as the image has them."""
    found = View.of(python, roots, root=str(image), files=files)
    prefix = str(image)
    assert all(entry.source.startswith(prefix) for entry in found.entries)
    return found._replace(
        entries=tuple(Entry(source[len(prefix) :], place) for source, place in found.entries),
        interpreter=tuple(path[len(prefix) :] for path in found.interpreter),
        roots=tuple((given, path[len(prefix) :]) for given, path in found.roots),
    )


def places(found: View) -> dict[str, str]:
    """Return the sources of a view that differ from one to the other, by destination."""
    return {place: source for source, place in found.entries}


class Directory:
    """Stands for `trust.Files` below a directory: what holds the word "bad" is refused."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def host_path(self, path: str) -> str:
        """Return the path below the directory."""
        if "bad" in path:
            raise UntrustedError(path, path, "is bad")
        found = self.root / path.lstrip("/")
        found.stat()
        return str(found).rstrip("/")


class TestSystem:
    """What every child sees."""

    def test_image(self, image: Path) -> None:
        """Programs and libraries, and of /etc only the list."""
        found = view(image, "/usr/bin/python3")
        assert (Entry("/etc/hosts", "/etc/hosts"), Entry("/sbin", "/sbin")) == found.entries[:2]
        assert (Entry("/usr", "/usr"),) == found.entries[2:]
        assert (Link("usr/bin", "/bin"), Link("/usr/lib", "/lib")) == found.links
        assert ("/usr/bin", "/usr/lib") == found.interpreter

    def test_versions(self, image: Path) -> None:
        """The configuration of each Python is among it."""
        (image / "etc" / "python3.11").mkdir()
        (image / "etc" / "python2.7").mkdir()
        found = view(image, "/usr/bin/python3")
        assert "/etc/python3.11" in places(found)
        assert "/etc/python2.7" not in places(found)

    def test_no_etc(self, image: Path) -> None:
        """There need be none."""
        for path in (image / "etc").iterdir():
            path.unlink()
        (image / "etc").rmdir()
        assert ["/sbin", "/usr"] == list(places(view(image, "/usr/bin/python3")))

    def test_this_machine(self) -> None:
        """It is the same here; nothing is in it twice, nothing that is private."""
        found = View.of(None)
        assert "/usr" in places(found)
        assert not found.interpreter
        for entry in found.entries:
            assert not any(
                other != entry and entry.destination.startswith(other.destination + "/")
                for other in found.entries
            )
        assert () == found.covered(["/etc/shadow"])

    def test_untrusted(self, image: Path) -> None:
        """What others can change is left out."""
        (image / "etc" / "python3.bad").mkdir()
        assert "/etc/python3.bad" in places(view(image, "/usr/bin/python3"))
        found = view(image, "/usr/bin/python3", files=Directory(image))
        assert "/etc/python3.bad" not in places(found)
        assert "/etc/hosts" in places(found)


class TestInterpreter:
    """What belongs to an interpreter."""

    def test_prefix(self, image: Path) -> None:
        """Of its prefix, programs and libraries; not the rest, which may be anything."""
        (image / "opt/python/lib").mkdir()
        (image / "opt/python/private").mkdir()
        found = view(image, "/opt/python/bin/python3")
        assert ("/opt/python/bin", "/opt/python/lib") == found.interpreter
        assert {"/opt/python/bin", "/opt/python/lib"} <= set(places(found))
        assert "/opt/python/private" not in places(found)

    def test_missing(self, image: Path) -> None:
        """One that is not there is no error yet."""
        assert () == view(image, "/opt/missing/bin/python3").interpreter

    def test_withheld(self, image: Path) -> None:
        """One in a directory that is never shown as a whole cannot be used."""
        (image / "root").mkdir()
        (image / "root" / "python3").touch()
        with pytest.raises(InterpreterError) as caught:
            view(image, "/root/python3")
        assert "/root is not shown to plugin modules" == caught.value.reason

    def test_library_withheld(self, image: Path) -> None:
        """A library that is a link to such a directory is not shown."""
        (image / "home").mkdir()
        (image / "opt/python/lib").symlink_to("/home")
        found = view(image, "/opt/python/bin/python3")
        assert ("/opt/python/bin",) == found.interpreter
        assert "/home" not in str(found.entries)

    def test_untrusted(self, image: Path) -> None:
        """One that others can change is an error."""
        (image / "opt/bad/bin").mkdir(parents=True)
        with pytest.raises(UntrustedError):
            view(image, "/opt/bad/bin/python3", files=Directory(image))

    def test_path_files(self, image: Path) -> None:
        """What .pth files name is shown if it is there, and may be."""
        site = image / "opt/python/lib/python3.12/site-packages"
        site.mkdir(parents=True)
        for name in ("srv/project", "srv/bad", "home"):
            (image / name).mkdir(parents=True, exist_ok=True)
        (site / "a.pth").write_text("/srv/project\n/srv/missing\n/srv/bad\n/home\n")
        found = places(view(image, "/opt/python/bin/python3"))
        assert {"/srv/project", "/srv/bad"} == {place for place in found if "/srv" in place}
        assert "/home" not in found
        found = places(view(image, "/opt/python/bin/python3", files=Directory(image)))
        assert {"/srv/project"} == {place for place in found if "/srv" in place}

    def test_too_many(self, image: Path) -> None:
        """What .pth files name is shown as far as it is not too much; the rest is told."""
        site = image / "opt/python/lib/python3.12/site-packages"
        site.mkdir(parents=True)
        names = [f"/srv/p{number:04}" for number in range(1100)]
        for name in names:
            (image / name.lstrip("/")).mkdir(parents=True)
        (site / "a.pth").write_text("".join(f"{name}\n" for name in names))
        found = view(image, "/opt/python/bin/python3")
        shown = [place for place in places(found) if place.startswith("/srv/")]
        assert 399 == len(shown)  # and the directory above them
        assert sorted(set(names) - set(shown)) == sorted(found.left_out)

    def test_too_deep(self, image: Path) -> None:
        """One that lies very deep is told as well, and costs nothing."""
        site = image / "opt/python/lib/python3.12/site-packages"
        site.mkdir(parents=True)
        deep = "/srv" + "/d" * 70
        (image / deep.lstrip("/")).mkdir(parents=True)
        (image / "srv/flat").mkdir()
        (site / "a.pth").write_text(f"{deep}\n/srv/flat\n")
        found = view(image, "/opt/python/bin/python3")
        assert (deep,) == found.left_out
        assert "/srv/flat" in places(found)

    def test_this(self) -> None:
        """Whatever runs the tests can be shown."""
        found = View.of(sys.executable)
        paths = (sys.executable, os.path.realpath(sys.executable), os.__file__)
        assert paths == found.covered(paths)


class TestRoots:
    """Import roots."""

    def test_root(self, image: Path) -> None:
        """A directory is shown where it is."""
        (image / "srv/root").mkdir(parents=True)
        found = view(image, "/usr/bin/python3", "/srv/root/", "/srv/missing")
        assert (("/srv/root/", "/srv/root"),) == found.roots
        assert "/srv/root" == places(found)["/srv/root"]

    def test_link(self, image: Path) -> None:
        """One that is a link is shown under both names, and nothing of this machine is."""
        (image / "srv").mkdir()
        (image / "opt/root").mkdir()
        (image / "srv/link").symlink_to("/opt/root")
        (image / "srv/up").symlink_to("../../../../../opt/root")
        found = view(image, "/usr/bin/python3", "/srv/link", "/srv/up")
        for name in ("/srv/link", "/srv/up", "/opt/root"):
            assert "/opt/root" == places(found)[name]

    def test_covered(self, image: Path) -> None:
        """One below another entry, or below a link at the top, is there already."""
        found = view(image, "/usr/bin/python3", "/usr/lib/python3", "/lib/python3/dist-packages")
        assert 2 == len(found.roots)
        assert ["/etc/hosts", "/sbin", "/usr"] == list(places(found))

    @pytest.mark.parametrize(
        "path", ["/", "/etc", "/home", "/root/", "/var", "/run", "/proc/1", "/dev/x", "/sys/x"]
    )
    def test_withheld(self, image: Path, path: str) -> None:
        """Some directories are never shown as a whole; nor anything of the kernel's."""
        (image / path.strip("/")).mkdir(parents=True, exist_ok=True)
        with pytest.raises(ImportRootError) as caught:
            view(image, "/usr/bin/python3", path)
        assert path == caught.value.path
        assert "it is not shown to plugin modules as a whole" == caught.value.reason

    def test_link_to_withheld(self, image: Path) -> None:
        """Another name for one of these does not help."""
        (image / "root").mkdir()
        (image / "opt/link").symlink_to("/root")
        with pytest.raises(ImportRootError):
            view(image, "/usr/bin/python3", "/opt/link")
        with pytest.raises(ImportRootError):
            view(image, "/usr/bin/python3", "/opt/../root")

    def test_untrusted(self, image: Path) -> None:
        """One that others can change is an error."""
        (image / "opt/bad").mkdir()
        with pytest.raises(UntrustedError):
            view(image, "/usr/bin/python3", "/opt/bad", files=Directory(image))


class TestCovered:
    """Which paths are part of a view."""

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/usr", True),
            ("/usr/lib/x", True),
            ("/bin/x", True),
            ("/usr/../etc/shadow", False),
            ("/usrlocal", False),
            ("/", False),
            ("", False),
            ("usr", False),
            ("/etc/hosts", True),
            ("/etc", False),
        ],
    )
    def test_path(self, image: Path, path: str, expected: bool) -> None:
        """It is if it is below an entry or a link, however it is written."""
        found = view(image, "/usr/bin/python3").covered([path])
        assert ((path,) if expected else ()) == found
