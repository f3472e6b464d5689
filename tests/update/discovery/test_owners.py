"""Who installed a file: real package managers, and a wheel that pip installs."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import shutil
import socket
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import missing
from dropin_cache.update.discovery.owners import Owner, Owners, key_of, name_in
from dropin_cache.update.discovery.rpm import Reader
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.sandbox.launch import child_account, without_privilege


def needs_root_for_devices() -> None:
    """Skip a test that makes a device node."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


ACCOUNT = child_account()
READER = Reader(tuple(without_privilege(ACCOUNT)), ACCOUNT.uid, ACCOUNT.gid)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="rpm --root is root's")


def dpkg_path() -> str:
    """Return a Python file that dpkg installed, and its package: they are everywhere on Debian."""
    if not os.path.exists("/usr/bin/dpkg-query") or not os.path.exists("/var/lib/dpkg/status"):
        missing("a system that dpkg manages")
    return "/usr/bin/dpkg-query"


class Packages:
    """An image of a system with packages, as dpkg keeps them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "var/lib/dpkg"
        (self.database / "info").mkdir(parents=True)
        (self.database / "info/format").write_text("1\n")
        (self.database / "status").write_text("")

    def install(self, name: str, *files: str, architecture: str = "all") -> None:
        """Note a package with files."""
        multi = f":{architecture}" if architecture != "all" else ""
        same = "Multi-Arch: same\n" if multi else ""
        with (self.database / "status").open("a") as status:
            status.write(
                f"Package: {name}\nStatus: install ok installed\nMaintainer: none <n@example.org>\n"
                f"Architecture: {architecture}\n{same}Version: 1\nDescription: one\n\n"
            )
        (self.database / f"info/{name}{multi}.list").write_text("".join(f"{f}\n" for f in files))

    def divert(self, path: str, to: str, by: str) -> None:
        """Note that a package takes the place of a file."""
        with (self.database / "diversions").open("a") as diversions:
            diversions.write(f"{path}\n{to}\n{by}\n")

    def owner(self, path: str) -> Owner | None:
        """Ask."""
        return Owners(str(self.path)).owner_of(path)


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    """An image of a system without packages."""
    dpkg_path()
    return Packages(tmp_path / "image")


class TestDpkg:
    """What dpkg knows."""

    def test_this_system(self) -> None:
        """A file of this system is found in its package."""
        assert Owner("dpkg", "dpkg") == Owners().owner_of(dpkg_path())

    def test_merged_usr(self) -> None:
        """A file is found by the other of its two names."""
        if not os.path.islink("/bin"):
            pytest.skip("/usr is not merged here")
        dpkg_path()
        assert [Owner("coreutils", "dpkg")] * 2 == [
            Owners().owner_of("/usr/bin/cat"),
            Owners().owner_of("/bin/cat"),
        ]

    def test_merged_image(self, packages: Packages) -> None:
        """So it is in an image, either way, but only if the image is merged."""
        packages.install("old", "/lib/python/a.py")
        packages.install("new", "/usr/lib/python/b.py")
        assert (None, None) == (
            packages.owner("/usr/lib/python/a.py"),
            packages.owner("/lib/python/b.py"),
        )

        (packages.path / "lib").symlink_to("usr/lib")
        assert Owner("old", "dpkg") == packages.owner("/usr/lib/python/a.py")
        assert Owner("new", "dpkg") == packages.owner("/lib/python/b.py")

    def test_links(self, tmp_path: Path) -> None:
        """A path through a symbolic link leads to the package of what is there."""
        place = os.path.dirname(dpkg_path())
        (tmp_path / "link").symlink_to(place)
        (tmp_path / "query").symlink_to(f"{place}/dpkg-query")

        for path in ("link/dpkg-query", "query"):
            assert Owner("dpkg", "dpkg") == Owners().owner_of(f"{tmp_path}/{path}")

    def test_gone(self, packages: Packages) -> None:
        """A file that is gone still has a package."""
        packages.install("app", "/usr/lib/app/gone.py")

        assert Owner("app", "dpkg") == packages.owner("/usr/lib/app/gone.py")

    def test_architectures(self, packages: Packages) -> None:
        """A package for two architectures is one package."""
        packages.install("app", "/usr/lib/app.py", architecture="amd64")
        packages.install("app", "/usr/lib/app.py", architecture="i386")

        assert Owner("app", "dpkg") == packages.owner("/usr/lib/app.py")

    def test_several(self, packages: Packages) -> None:
        """A file of two packages has both as owners."""
        packages.install("app", "/usr/lib/app.py")
        packages.install("bpp", "/usr/lib/app.py")

        assert Owner("app, bpp", "dpkg") == packages.owner("/usr/lib/app.py")

    def test_diversion(self, packages: Packages) -> None:
        """Of a diverted file, the package that diverted it is the owner."""
        packages.install("app", "/usr/lib/app.py")
        packages.install("bpp", "/usr/lib/app.py")
        packages.divert("/usr/lib/app.py", "/usr/lib/app.distrib.py", "bpp")

        assert Owner("bpp", "dpkg") == packages.owner("/usr/lib/app.py")
        assert None is packages.owner("/usr/lib/app.distrib.py")

    def test_local_diversion(self, packages: Packages) -> None:
        """A diversion is no owner."""
        packages.install("app", "/usr/lib/app.py")
        packages.divert("/usr/lib/app.py", "/usr/lib/app.distrib.py", ":")

        assert Owner("app", "dpkg") == packages.owner("/usr/lib/app.py")

    @pytest.mark.parametrize(
        "name", ["a*.py", "a?.py", "a[b].py", "a\\b.py", "a: b.py", "\u00e4.py"]
    )
    def test_patterns(self, packages: Packages, name: str) -> None:
        """A path is a path, not a pattern."""
        packages.install("other", "/usr/lib/abc.py", "/usr/lib/ab.py")
        assert None is packages.owner(f"/usr/lib/{name}")

        packages.install("app", f"/usr/lib/{name}")
        assert Owner("app", "dpkg") == packages.owner(f"/usr/lib/{name}")

    def test_many(self, packages: Packages) -> None:
        """Many files are asked about at once, and answered one by one."""
        paths = [f"/usr/lib/app/{number}.py" for number in range(600)]
        packages.install("app", *paths[:599])
        found = Owners(str(packages.path)).owners_of(paths)

        assert [*[Owner("app", "dpkg")] * 599, None] == [found[path] for path in paths]

    def test_remembered(self, packages: Packages) -> None:
        """What is known is not asked for again."""
        packages.install("app", "/usr/lib/app.py")
        known = Owners(str(packages.path))
        expected = known.owners_of(["/usr/lib/app.py", "/usr/lib/no.py"])
        shutil.rmtree(packages.path)

        assert {"/usr/lib/app.py": Owner("app", "dpkg"), "/usr/lib/no.py": None} == expected
        assert expected == known.owners_of(["/usr/lib/app.py", "/usr/lib/no.py"])


class TestHostileDatabase:
    """dpkg's database in an image that somebody wants to lead out of."""

    FILE = "/usr/lib/app.py"

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        """A system outside of the image, which knows the file."""
        outside = Packages(tmp_path / "outside")
        outside.install("secret", self.FILE)
        return outside.path

    @pytest.mark.parametrize("link", ["absolute", "relative", "proc"])
    @pytest.mark.parametrize(
        "component",
        ["var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/info", "var/lib/dpkg/info/secret.list"],
    )
    def test_link_out(self, packages: Packages, outside: Path, component: str, link: str) -> None:
        """No link leads out, whichever component it is."""
        place = packages.path / component
        if place.is_dir():
            shutil.rmtree(place)
        target = outside / component
        target = {
            "absolute": target,
            "relative": Path("../" * 20 + str(target)),
            "proc": Path(f"/proc/self/root{target}"),
        }[link]
        place.symlink_to(target)

        assert None is packages.owner(self.FILE)
        assert not Owners(str(packages.path)).still_owns("dpkg secret", self.FILE)

    def test_link_inside(self, packages: Packages) -> None:
        """A link that stays inside is followed, also an absolute one."""
        packages.install("app", self.FILE)
        packages.database.rename(packages.path / "elsewhere")
        packages.database.symlink_to("/elsewhere")

        assert Owner("app", "dpkg") == packages.owner(self.FILE)
        assert Owners(str(packages.path)).still_owns("dpkg app", self.FILE)

    @pytest.mark.parametrize("kind", ["fifo", "socket", "directory", "huge", "device"])
    @pytest.mark.parametrize("name", ["info/a.list", "info/format", "diversions"])
    def test_no_file(self, packages: Packages, name: str, kind: str) -> None:
        """What is no regular file, or too large, is not read, and keeps nobody waiting."""
        packages.install("app", self.FILE)
        place = packages.database / name
        place.unlink(missing_ok=True)
        if kind == "fifo":
            os.mkfifo(place)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(f"/proc/self/fd/{os.open(place.parent, os.O_PATH)}/{place.name}")
        elif kind == "directory":
            place.mkdir()
        elif kind == "huge":
            place.touch()
            os.truncate(place, 1 << 40)
        else:
            needs_root_for_devices()
            os.mknod(place, 0o666 | stat.S_IFCHR, os.makedev(5, 0))  # one's own terminal

        assert Owner("app", "dpkg") == packages.owner(self.FILE)

    def test_other_format(self, packages: Packages) -> None:
        """A database of a format that is yet to come says nothing."""
        packages.install("app", self.FILE)
        (packages.database / "info/format").write_text("2\n")

        assert None is packages.owner(self.FILE)

    def test_names(self, packages: Packages) -> None:
        """What no package can be called is none."""
        for name in (".list", "app", "-app.list", "a\nb.list", "app.md5sums"):
            (packages.database / "info" / name).write_text(f"{self.FILE}\n")

        assert None is packages.owner(self.FILE)

    def test_writable_by_others(self, packages: Packages) -> None:
        """A list that others can change says nothing to root."""
        if os.geteuid() != 0:
            pytest.skip("needs root")
        packages.install("app", self.FILE)
        (packages.database / "info/app.list").chmod(0o666)
        with Files(enforced=True, root=str(packages.path)) as files:
            assert None is Owners(str(packages.path), files).owner_of(self.FILE)


class TestNobody:
    """What nobody knows."""

    @pytest.mark.parametrize(
        "path", ["", "relative.py", "/a\nb.py", "/a\0b.py", "/no/such/file.py"]
    )
    def test_paths(self, path: str) -> None:
        """What cannot be asked about has no owner."""
        assert None is Owners().owner_of(path)

    def test_no_system(self, tmp_path: Path) -> None:
        """Without any package manager a file has no owner, and nothing is made."""
        assert None is Owners(str(tmp_path)).owner_of("/usr/lib/app.py")
        assert [] == list(tmp_path.iterdir())


SPEC = """
Name: dropin-app
Version: 1
Release: 1
Summary: An application
License: MIT
BuildArch: noarch
%description
An application.
%install
mkdir -p %{buildroot}/opt/app
touch %{buildroot}/opt/app/plugin.py %{buildroot}/opt/app/gone.py
%files
/opt/app/plugin.py
/opt/app/gone.py
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of a system with one package."""
    if shutil.which("rpmbuild") is None or not os.path.exists("/usr/bin/rpm"):
        missing("rpm")
    top = tmp_path_factory.mktemp("rpm")
    (top / "app.spec").write_text(SPEC)
    environment = {**os.environ, "HOME": str(top)}
    build = ["rpmbuild", "--quiet", "--define", f"_topdir {top}", "-bb", str(top / "app.spec")]
    subprocess.run(build, check=True, capture_output=True, env=environment, timeout=120)
    (package,) = top.glob("RPMS/noarch/*.rpm")
    image = top / "image"
    image.mkdir()
    rpm = ["rpm", "--root", str(image), "--dbpath", "/var/lib/rpm", "-i", str(package)]
    subprocess.run(rpm, check=True, capture_output=True, env=environment, timeout=120)
    (image / "opt/app/gone.py").unlink()
    (image / "opt/app/other.py").touch()
    return image


def everything_in(directory: Path) -> dict[str, float]:
    """Return everything below a directory, with the time when it was last changed."""
    return {str(path): path.lstat().st_ctime for path in directory.rglob("*")}


@pytest.mark.processes
@needs_root
class TestRpm:
    """What RPM knows."""

    def test_owner(self, image: Path) -> None:
        """A file is found in its package, also when it is gone; another is not."""
        expected = {
            "/opt/app/plugin.py": Owner("dropin-app", "rpm"),
            "/opt/app/gone.py": Owner("dropin-app", "rpm"),
            "/opt/app/other.py": None,
            "/opt/app/nothing.py": None,
        }
        before = everything_in(image)

        assert expected == Owners(str(image), reader=READER).owners_of(expected)
        assert before == everything_in(image)

    def test_dpkg_knows_better(self, image: Path, packages: Packages) -> None:
        """What dpkg says counts more than what RPM says, which may only build packages here."""
        packages.install("app", "/opt/app/plugin.py")
        shutil.copytree(image / "var/lib/rpm", packages.path / "var/lib/rpm")
        expected = {
            "/opt/app/plugin.py": Owner("app", "dpkg"),
            "/opt/app/gone.py": Owner("dropin-app", "rpm"),
        }

        assert expected == Owners(str(packages.path), reader=READER).owners_of(expected)

    @pytest.mark.parametrize("component", ["var", "var/lib", "var/lib/rpm"])
    @pytest.mark.parametrize("link", ["absolute", "relative"])
    def test_link_out(self, image: Path, tmp_path: Path, component: str, link: str) -> None:
        """A database that a link of an image leads to is not asked if it is not in the image."""
        inner = tmp_path / "image"
        (inner / component).parent.mkdir(parents=True)
        outside = image / component
        target = outside if link == "absolute" else f"{'../' * 20}{outside}"
        (inner / component).symlink_to(target)

        assert None is Owners(str(inner)).owner_of("/opt/app/plugin.py")

    @pytest.mark.parametrize("kind", ["fifo", "directory", "huge", "link", "zeros", "nonsense"])
    def test_no_database(self, image: Path, tmp_path: Path, kind: str) -> None:
        """What is no database of RPM's says nothing, whatever it is."""
        place = tmp_path / "image/var/lib/rpm/rpmdb.sqlite"
        place.parent.mkdir(parents=True)
        make = {
            "fifo": os.mkfifo,
            "directory": os.mkdir,
            "huge": lambda path: path.touch() or os.truncate(path, 1 << 40),
            "link": lambda path: path.symlink_to(image / "var/lib/rpm/rpmdb.sqlite"),
            "zeros": lambda path: path.write_bytes(bytes(4096)),
            "nonsense": lambda path: path.write_bytes(b"SQLite format 3\0" + b"x" * 8000),
        }
        make[kind](place)
        before = everything_in(tmp_path)

        assert None is Owners(str(tmp_path / "image")).owner_of("/opt/app/plugin.py")
        assert before == everything_in(tmp_path)

    def test_before_pip(self, image: Path) -> None:
        """What RPM says counts more than what a RECORD says."""
        record = image / "opt/app/pip_app-1.dist-info/RECORD"
        record.parent.mkdir(exist_ok=True)
        record.write_text("plugin.py,,\nother.py,,\n")
        expected = {
            "/opt/app/plugin.py": Owner("dropin-app", "rpm"),
            "/opt/app/other.py": Owner("pip_app", "pip", "/opt/app/pip_app-1.dist-info"),
        }

        assert expected == Owners(str(image), reader=READER).owners_of(expected, ["/opt/app"])


def build_wheel(directory: Path) -> Path:
    """Build a wheel with a drop-in, as the specification of wheels has it."""
    metadata = "a_dropin-1.0.dist-info"
    contents = {
        "twisted/plugins/a_dropin.py": "'A drop-in.'\n",
        f"{metadata}/METADATA": "Metadata-Version: 2.1\nName: A.Dropin\nVersion: 1.0\n",
        f"{metadata}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "a_dropin-1.0.data/data/share/a, dropin/plugin.py": "",
    }
    lines = []
    for name, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        lines.append(f'"{name}",sha256={digest.decode()},{len(text)}\n')
    contents[f"{metadata}/RECORD"] = "".join([*lines, f"{metadata}/RECORD,,\n"])
    wheel = directory / "a_dropin-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    return wheel


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place into which pip has installed a wheel."""
    if importlib.util.find_spec("pip") is None:
        missing("pip")
    top = tmp_path_factory.mktemp("pip")
    command = [
        sys.executable,
        "-I",
        "-m",
        "pip",
        "--isolated",
        "install",
        "--quiet",
        "--no-index",
    ]
    command += ["--no-deps", "--no-compile", "--no-cache-dir", "--prefix", str(top / "prefix")]
    subprocess.run([*command, str(build_wheel(top))], check=True, timeout=300)
    return top / "prefix"


@pytest.mark.processes
class TestPip:
    """What pip leaves behind."""

    def test_owner(self, prefix: Path) -> None:
        """A file has the distribution that installed it, also outside the import root."""
        (dropin,) = prefix.glob("**/twisted/plugins/a_dropin.py")
        (data,) = prefix.glob("**/share/a, dropin/plugin.py")
        root = str(dropin.parents[2])
        (metadata,) = dropin.parents[2].glob("a_dropin-*.dist-info")
        owner = Owner("A.Dropin", "pip", str(metadata))
        expected = {
            str(dropin): owner,
            str(data): owner,
            f"{root}/twisted/plugins/other.py": None,
        }

        assert expected == Owners().owners_of(expected, ["/nonexistent", root])

    def test_no_import_roots(self, prefix: Path) -> None:
        """Only the import roots that are given are looked at."""
        (dropin,) = prefix.glob("**/twisted/plugins/a_dropin.py")
        known = Owners()

        assert None is known.owner_of(str(dropin))
        found = known.owner_of(str(dropin), [str(dropin.parents[2])])
        assert found is not None
        assert ("A.Dropin", "pip") == found[:2]

    def test_dpkg_before_pip(self, packages: Packages) -> None:
        """What dpkg says counts more than what a RECORD says."""
        packages.install("python3-app", "/lib/app.py")
        record = packages.path / "lib/app-1.dist-info/RECORD"
        record.parent.mkdir(parents=True)
        record.write_text("app.py,,\nother.py,,\n")
        expected = {
            "/lib/app.py": Owner("python3-app", "dpkg"),
            "/lib/other.py": Owner("app", "pip", "/lib/app-1.dist-info"),
        }

        assert expected == Owners(str(packages.path)).owners_of(expected, ["/lib"])

    def test_several(self, tmp_path: Path) -> None:
        """A file that several distributions claim has all of them as its owner."""
        for name in ("b", "a"):
            (tmp_path / f"{name}-1.dist-info").mkdir()
            (tmp_path / f"{name}-1.dist-info/RECORD").write_text("app.py,,\n")
        path = str(tmp_path / "app.py")

        owner = Owner("a, b", "pip", str(tmp_path / "a-1.dist-info"))
        assert owner == Owners().owner_of(path, [str(tmp_path)])


class TestStillOwns:
    """Whether a package still has a file, without asking about all."""

    def test_list(self, packages: Packages) -> None:
        """The list of its files tells, whole lines of it, for each architecture."""
        packages.install("app", "/usr/lib/app.py")
        packages.install("lib", "/usr/lib/lib.py", architecture="arm64")
        known = Owners(str(packages.path))
        expected = {
            ("dpkg app", "/usr/lib/app.py"): True,
            ("dpkg app", "/usr/lib/app.p"): False,
            ("dpkg app", "usr/lib/app.py"): False,
            ("dpkg app", "/usr/lib/lib.py"): False,
            ("dpkg lib", "/usr/lib/lib.py"): True,
            ("dpkg none", "/usr/lib/app.py"): False,
        }

        assert expected == {question: known.still_owns(*question) for question in expected}

    @pytest.mark.parametrize(
        "key", ["", "local /usr/lib", "pip app", "rpm app", "dpkg app, bpp: /usr/lib/app.py"]
    )
    def test_others(self, packages: Packages, key: str) -> None:
        """Of all others it cannot be told."""
        packages.install("app", "/usr/lib/app.py")

        assert not Owners(str(packages.path)).still_owns(key, "/usr/lib/app.py")


class TestKeyOf:
    """What tells owners apart."""

    def test_keys(self) -> None:
        """A package is one, a file of several is one by itself, and the rest of a root is one."""
        owners_of = [
            Owner("app", "dpkg"),
            Owner("app", "pip", "/root/app-1.dist-info"),
            Owner("a, b", "pip", "/root/a-1.dist-info"),
            None,
        ]
        keys = [key_of(owner, "/root/x.py", "/root") for owner in owners_of]

        pip = ["pip app: /root/app-1.dist-info", "pip a, b: /root/x.py"]
        assert ["dpkg app", *pip, "local /root"] == keys
        assert ["app", "app", "a, b", None] == list(map(name_in, keys))

    @pytest.mark.parametrize("key", ["", "none app.interfaces", "local dpkg x"])
    def test_no_name(self, key: str) -> None:
        """Only a package has a name."""
        assert None is name_in(key)
