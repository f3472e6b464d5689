"""Which directories belong to an interpreter."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dropin_cache.errors import InterpreterError, UntrustedError
from dropin_cache.update.discovery.prefixes import Belongings, belongings, resolved


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An interpreter in /opt/python/bin and nothing else."""
    (tmp_path / "opt/python/bin").mkdir(parents=True)
    (tmp_path / "opt/python/bin/python3").touch()
    return tmp_path


def found(image: Path, python: str) -> Belongings:
    """Return what belongs to an interpreter of the image."""

    def resolve(path: str) -> str:
        if "bad" in path:
            raise UntrustedError(path, path, "is bad")
        canonical = resolved(path, str(image))
        os.stat(f"{image}{canonical}")
        return canonical

    return belongings(python, str(image), resolve)


def site(image: Path, prefix: str = "opt/python") -> Path:
    """Make a directory for distributions."""
    path = image / prefix / "lib/python3.12/site-packages"
    path.mkdir(parents=True)
    return path


class TestPrograms:
    """Following links and virtual environments."""

    def test_plain(self, image: Path) -> None:
        """A program that is no link has one prefix."""
        assert ("/opt/python/bin",) == found(image, "/opt/python/bin/python3").programs
        libraries = ("/opt/python/lib", "/opt/python/lib64", "/opt/python/pyvenv.cfg")
        assert libraries == found(image, "/opt/python/bin/python3").libraries

    def test_chain(self, image: Path) -> None:
        """Each link on the way has one, relative or absolute."""
        for name in ("srv/venv/bin", "opt/current"):
            (image / name).mkdir(parents=True)
        (image / "srv/venv/bin/python").symlink_to("python3")
        (image / "srv/venv/bin/python3").symlink_to("/opt/current/bin/python3")
        (image / "opt/current").rmdir()
        (image / "opt/current").symlink_to("python")
        expected = ("/srv/venv/bin", "/opt/current/bin")
        assert expected == found(image, "/srv/venv/bin/python").programs

    def test_loop(self, image: Path) -> None:
        """Links in a circle come to an end."""
        (image / "opt/python/bin/loop").symlink_to("loop")
        assert ("/opt/python/bin",) == found(image, "/opt/python/bin/loop").programs

    @pytest.mark.parametrize("place", ["srv/venv/pyvenv.cfg", "srv/venv/bin/pyvenv.cfg"])
    def test_copied(self, image: Path, place: str) -> None:
        """A virtual environment whose program is a copy says where it is from."""
        (image / "srv/venv/bin").mkdir(parents=True)
        (image / "srv/venv/bin/python3").touch()
        (image / place).write_text("version = 3.12\nhome = /opt/python/bin \nhome = relative\n")
        expected = ("/srv/venv/bin", "/opt/python/bin")
        assert expected == found(image, "/srv/venv/bin/python3").programs

    def test_not_a_file(self, image: Path) -> None:
        """What is no file is not read."""
        (image / "opt/python/pyvenv.cfg").mkdir()
        assert ("/opt/python/bin",) == found(image, "/opt/python/bin/python3").programs

    @pytest.mark.parametrize("link", [False, True])
    @pytest.mark.parametrize(
        "name", ["pyvenv.cfg", "bin/pyvenv.cfg", "@/a.pth", "@/a.start", "@/-.pth"]
    )
    def test_fifo(self, image: Path, name: str, link: bool) -> None:
        """Python itself would wait for a FIFO, so that interpreter cannot be used."""
        place = image / "opt/python" / name.replace("@", "lib/python3.12/site-packages")
        place.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(image / "fifo" if link else place)
        if link:
            place.symlink_to("/fifo")
        with pytest.raises(InterpreterError, match="it would wait for the FIFO /opt/python/"):
            found(image, "/opt/python/bin/python3")

    @pytest.mark.parametrize("name", ["a.txt", "a.pth.bak", "a-1.dist-info/direct_url.json"])
    def test_fifo_that_nobody_reads(self, image: Path, name: str) -> None:
        """Others are no matter."""
        place = image / "opt/python/lib/python3.12/site-packages" / name
        place.parent.mkdir(parents=True)
        os.mkfifo(place)
        assert ("/opt/python/bin",) == found(image, "/opt/python/bin/python3").programs


class TestNamed:
    """Reading .pth files."""

    def test_lines(self, image: Path) -> None:
        """Paths are taken, relative ones as from there; comments and code are not."""
        text = "\ufeff/srv/first\n\n# comment\n  \nimport os\nimport\tos\nrelative  \n../up\n"
        path = site(image)
        (path / "a.pth").write_text(text)
        (path / "b.txt").write_text("/srv/other")
        (path / "c.pth").write_text("/srv/first\n/srv/last")
        place = "/opt/python/lib/python3.12/site-packages"
        expected = ("/srv/first", f"{place}/relative", f"{place}/../up", "/srv/last")
        assert expected == found(image, "/opt/python/bin/python3").named

    def test_system_sites(self, image: Path) -> None:
        """Debian's places are looked at, too."""
        for name in ("usr/lib/python3/dist-packages", "usr/local/lib/python3.12/dist-packages"):
            (image / name).mkdir(parents=True)
            (image / name / "a.pth").write_text(f"/srv/{name[4:9]}")
        (image / "usr/local/lib/other/dist-packages").mkdir(parents=True)
        (image / "usr/local/lib/other/dist-packages/a.pth").write_text("/srv/other")
        expected = ("/srv/lib/p", "/srv/local")
        assert tuple(name[:10] for name in expected) == found(image, "/x/python3").named

    @pytest.mark.parametrize(
        ("text", "others"),
        [
            ("include-system-site-packages = false\n", False),
            ("home = /opt/python/bin\nInclude-System-Site-Packages=no", False),
            ("include-system-site-packages = True\n", True),
            ("include-system-site-packages\n", True),
            ("", True),
        ],
    )
    @pytest.mark.parametrize("place", ["srv/venv", "srv/venv/bin"])
    def test_others_packages(self, image: Path, place: str, text: str, others: bool) -> None:
        """A virtual environment has those of its interpreter only if it says so."""
        base, own = site(image), site(image, place)
        (image / "srv/venv/bin").mkdir(exist_ok=True)
        (image / "srv/venv/bin/python").symlink_to("/opt/python/bin/python3")
        (image / place / "pyvenv.cfg").write_text(text)
        sites = found(image, "/srv/venv/bin/python").sites
        prefix = len(str(image))
        assert others == (str(base)[prefix:] in sites)
        assert place.endswith("bin") or str(own)[prefix:] in sites

    def test_large(self, image: Path) -> None:
        """Of a file without end only the beginning is read."""
        (site(image) / "a.pth").write_text("/srv/first\n" + "#" * (1 << 17) + "\n/srv/last\n")
        assert ("/srv/first",) == found(image, "/opt/python/bin/python3").named

    def test_odd_bytes(self, image: Path) -> None:
        """Names that are no text are names."""
        (site(image) / "a.pth").write_bytes(b"/srv/\xff\n")
        assert ("/srv/\udcff",) == found(image, "/opt/python/bin/python3").named

    def test_untrusted(self, image: Path) -> None:
        """What cannot be relied on is not read."""
        path = site(image)
        (path / "bad.pth").write_text("/srv/first")
        (path / "good.pth").write_text("/srv/last")
        assert ("/srv/last",) == found(image, "/opt/python/bin/python3").named


class TestProjects:
    """What is installed so that it can be edited, by a finder of the installer's own."""

    def told(self, image: Path, text: str, metadata: str = "pack-1.dist-info") -> tuple[str, ...]:
        """Return what is named if a distribution has this as its direct_url.json."""
        path = site(image) / metadata
        path.mkdir()
        (path / "direct_url.json").write_text(text)
        return found(image, "/opt/python/bin/python3").named

    def test_editable(self, image: Path) -> None:
        """The directory of the project is named, as the URL has it."""
        text = '{"dir_info": {"editable": true}, "url": "file:///srv/my%20pack%C3%A9"}'
        assert ("/srv/my packé",) == self.told(image, text)

    @pytest.mark.parametrize(
        "text",
        [
            '{"dir_info": {}, "url": "file:///srv/pack"}',
            '{"dir_info": {"editable": "yes"}, "url": "file:///srv/pack"}',
            '{"dir_info": [], "url": "file:///srv/pack"}',
            '{"vcs_info": {"vcs": "git"}, "url": "https://example.org/pack"}',
            '{"dir_info": {"editable": true}, "url": "https://example.org/pack"}',
            '{"dir_info": {"editable": true}, "url": 7}',
            '{"dir_info": {"editable": true}, "url": "file://[/srv"}',
            '{"dir_info": {"editable": true}}',
            '["file:///srv/pack"]',
            "7",
            "",
            "no JSON",
            "[" * 20_000,
        ],
    )
    def test_other(self, image: Path, text: str) -> None:
        """Anything else names nothing, whatever it is."""
        assert () == self.told(image, text)

    def test_untrusted(self, image: Path) -> None:
        """What cannot be relied on says nothing."""
        text = '{"dir_info": {"editable": true}, "url": "file:///srv/pack"}'
        assert () == self.told(image, text, "bad-1.dist-info")

    def test_linked(self, image: Path) -> None:
        """The metadata may be a link."""
        (image / "srv/meta").mkdir(parents=True)
        text = '{"dir_info": {"editable": true}, "url": "file:///srv/pack"}'
        (image / "srv/meta/direct_url.json").write_text(text)
        (site(image) / "pack-1.dist-info").symlink_to("/srv/meta")
        assert ("/srv/pack",) == found(image, "/opt/python/bin/python3").named


class TestResolved:
    """Following links below a directory."""

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/", "/"),
            ("/a//./b/", "/a/b"),
            ("/a/../..", "/"),
            ("/absolute/x", "/a/b/x"),
            ("/relative/x", "/a/b/x"),
            ("/a/out", "/a"),
            ("/missing/x", "/missing/x"),
        ],
    )
    def test_path(self, tmp_path: Path, path: str, expected: str) -> None:
        """Nothing leads out."""
        (tmp_path / "a/b").mkdir(parents=True)
        (tmp_path / "absolute").symlink_to("/a/b")
        (tmp_path / "relative").symlink_to("a/b")
        (tmp_path / "a/out").symlink_to("../../../../../a")
        assert expected == resolved(path, str(tmp_path))

    def test_no_path(self, tmp_path: Path) -> None:
        """What no path can be is an error like any other."""
        with pytest.raises(OSError, match="Invalid argument"):
            resolved("/a\0b", str(tmp_path))

    def test_failing_disk(
        self, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the disk does not give is not taken for something else."""

        def fail(path: str) -> str:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

        with monkeypatch.context() as patch:
            patch.setattr(os, "readlink", fail)
            with pytest.raises(OSError, match="Input/output error"):
                resolved("/a", str(tmp_path))
            with pytest.raises(OSError, match="Input/output error"):
                belongings("/opt/python/bin/python3", str(image), lambda path: path)

    def test_loop(self, tmp_path: Path) -> None:
        """Links in a circle are an error."""
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        with pytest.raises(OSError, match="symbolic links") as caught:
            resolved("/a", str(tmp_path))
        assert errno.ELOOP == caught.value.errno
