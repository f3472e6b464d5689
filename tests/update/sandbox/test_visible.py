"""What a confined child may read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dropin_cache.errors import DirectoryError, InterpreterError, UntrustedError
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
        return str(found.resolve()).rstrip("/")

    def directory(self, path: str) -> int:
        """Open what is below the directory."""
        return os.open(self.host_path(path), os.O_RDONLY | os.O_DIRECTORY)

    def accepts(self, directory: int, link: str | None = None) -> bool:
        """Refuse by the name."""
        return "bad" not in (link or os.readlink(f"/proc/self/fd/{directory}"))


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
        with pytest.raises(DirectoryError) as caught:
            view(image, "/usr/bin/python3", path)
        assert path == caught.value.path
        assert "it is not shown to plugin modules as a whole" == caught.value.reason

    def test_link_to_withheld(self, image: Path) -> None:
        """Another name for one of these does not help."""
        (image / "root").mkdir()
        (image / "opt/link").symlink_to("/root")
        with pytest.raises(DirectoryError):
            view(image, "/usr/bin/python3", "/opt/link")
        with pytest.raises(DirectoryError):
            view(image, "/usr/bin/python3", "/opt/../root")

    def test_untrusted(self, image: Path) -> None:
        """One that others can change is an error."""
        (image / "opt/bad").mkdir()
        with pytest.raises(UntrustedError):
            view(image, "/usr/bin/python3", "/opt/bad", files=Directory(image))


class TestLinks:
    """What symbolic links lead to."""

    @pytest.fixture
    def site(self, image: Path) -> Path:
        """The site directory of an interpreter."""
        site = image / "opt/python/lib/python3.12/site-packages"
        site.mkdir(parents=True)
        return site

    def shown(self, image: Path, top: str, files: Directory | None = None) -> list[str]:
        """Return what is shown below a directory at the top."""
        found = places(view(image, "/opt/python/bin/python3", files=files))
        return [place for place in found if place.startswith(f"/{top}/")]

    def test_packages(self, image: Path, site: Path) -> None:
        """What links in a site directory lead to is shown, and nothing beside it."""
        for name in ("srv/one/pack/inner", "srv/two/other", "srv/two/private"):
            (image / name).mkdir(parents=True)
        (image / "srv/module.py").touch()
        (site / "pack").symlink_to("/srv/one/pack")
        (site / "other").symlink_to("../../../../../srv/two/other")
        (site / "called.py").symlink_to("/srv/module.py")
        assert ["/srv/module.py", "/srv/one/pack", "/srv/two/other"] == self.shown(image, "srv")

    def test_files(self, image: Path, site: Path) -> None:
        """Links of files stand for the package that is called the same on both sides."""
        for name in ("pack/__init__.py", "pack/inner/a.py", "pack/inner/b.py", "beside.py"):
            (image / "srv/tree" / name).parent.mkdir(parents=True, exist_ok=True)
            (image / "srv/tree" / name).touch()
        (site / "pack/inner").mkdir(parents=True)
        (site / "pack/inner/a.py").symlink_to("/srv/tree/pack/inner/a.py")
        assert ["/srv/tree/pack"] == self.shown(image, "srv")

    @pytest.mark.parametrize("where", ["lib/libssl.so", "lib/python3.12/os.py"])
    def test_libraries(self, image: Path, where: str) -> None:
        """What belongs to the interpreter may be links, as in an environment of conda."""
        kept = image / "srv/pkgs/some" / where
        kept.parent.mkdir(parents=True)
        kept.touch()
        link = image / "opt/python" / where
        link.parent.mkdir(parents=True)
        link.symlink_to(f"/srv/pkgs/some/{where}")
        (shown,) = self.shown(image, "srv")
        assert f"/srv/pkgs/some/{where}".startswith(shown)

    @pytest.mark.parametrize("where", ["opt/root", "srv/named"])
    def test_roots(self, image: Path, site: Path, where: str) -> None:
        """Import roots and what .pth files name are looked at, too."""
        (image / where).mkdir(parents=True)
        (image / "mnt/pack").mkdir(parents=True)
        (image / where / "pack").symlink_to("/mnt/pack")
        (site / "a.pth").write_text("/srv/named\n")
        found = view(image, "/opt/python/bin/python3", "/opt/root")
        assert "/mnt/pack" in places(found)

    def test_chain(self, image: Path, site: Path) -> None:
        """Links to links are followed, and each of them is there under its own path."""
        (image / "srv/v1/pack/data").mkdir(parents=True)
        (image / "srv/current").symlink_to("v1")
        (image / "mnt/data").mkdir(parents=True)
        (image / "srv/v1/pack/data/more").symlink_to("/mnt/data")
        (site / "pack").symlink_to("/srv/current/pack")
        found = places(view(image, "/opt/python/bin/python3"))
        assert "/srv/v1/pack" == found["/srv/current/pack"] == found["/srv/v1/pack"]
        assert "/mnt/data" in found

    def test_nothing_to_show(self, image: Path, site: Path) -> None:
        """Some lead nowhere, to what is never shown, or to what is there already."""
        (image / "root").mkdir()
        (image / "usr/share/pack").mkdir(parents=True)
        (site / "real").mkdir()
        targets = ("/root", "/srv/missing", "/proc/self", "/usr/share/pack", "real", "loop")
        for number, target in enumerate(targets):
            (site / f"link{number}").symlink_to(target)
        (site / "loop").symlink_to("loop")
        before = ["/etc/hosts", "/opt/python/bin", "/opt/python/lib", "/sbin", "/usr"]
        assert before == sorted(places(view(image, "/opt/python/bin/python3")))

    def test_untrusted(self, image: Path, site: Path) -> None:
        """Links that others can make or change show nothing; nor do others lead to theirs."""
        for name in ("srv/good", "srv/bad", "srv/other"):
            (image / name).mkdir(parents=True)
        (site / "bad_link").symlink_to("/srv/other")
        (site / "bad_directory").mkdir()
        (site / "bad_directory/link").symlink_to("/srv/other")
        (site / "link").symlink_to("/srv/bad")
        (site / "good").symlink_to("/srv/good")
        assert ["/srv/good"] == self.shown(image, "srv", Directory(image))

    def test_many(self, image: Path, site: Path) -> None:
        """Where there are many, the directories above them are shown in their place."""
        for number in range(100):
            kept = image / f"srv/store/hash{number}/pack{number}"
            kept.mkdir(parents=True)
            (site / f"pack{number}").symlink_to(f"/srv/store/hash{number}/pack{number}")
        (image / "srv/file.py").touch()
        (site / "module.py").symlink_to("/srv/file.py")
        assert ["/srv/file.py", "/srv/store"] == self.shown(image, "srv")

    def test_too_many(self, image: Path, site: Path) -> None:
        """What is still too much is told."""
        for number in range(100):
            (image / f"srv/pack{number:02}").mkdir(parents=True)
            (site / f"pack{number:02}").symlink_to(f"/srv/pack{number:02}")
        found = view(image, "/opt/python/bin/python3")
        assert [f"/srv/pack{number}" for number in range(64, 100)] == list(found.left_out)

    @pytest.mark.parametrize("store", ["nix", "gnu"])
    def test_store(self, image: Path, site: Path, store: str) -> None:
        """Of a store, in which everything names everything, all is shown if anything is."""
        (image / store / "store/hash-pack/lib").mkdir(parents=True)
        assert [] == self.shown(image, store)
        (site / "pack").symlink_to(f"/{store}/store/hash-pack/lib")
        assert [f"/{store}/store"] == self.shown(image, store)

    def test_store_interpreter(self, image: Path) -> None:
        """So it is where the interpreter itself is from there."""
        (image / "nix/store/hash/bin").mkdir(parents=True)
        (image / "nix/store/hash/bin/python3").touch()
        found = view(image, "/nix/store/hash/bin/python3")
        assert "/nix/store" in places(found)
        assert ("/nix/store/hash/bin",) == found.interpreter

    def test_top(self, image: Path) -> None:
        """An interpreter that is named by a link at the top is no entry beside that link."""
        found = view(image, "/bin/python3")
        assert Link("usr/bin", "/bin") in found.links
        assert "/bin" not in places(found)


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
