"""Who installed a file: real package managers, and a wheel that pip installs."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from command_line import no_process_left
from conftest import missing, run_python
from dropin_cache.update.discovery import distributions, owners
from dropin_cache.update.discovery.owners import Owner, Owners

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


@pytest.mark.processes
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

        assert Owner("dpkg", "dpkg") == Owners().owner_of(f"{tmp_path}/link/dpkg-query")

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

    def test_before_rpm(self, packages: Packages, monkeypatch: pytest.MonkeyPatch) -> None:
        """What dpkg says counts more than what RPM says, which may only build packages here."""
        packages.install("app", "/usr/lib/app.py")
        monkeypatch.setattr(owners, "_RPM", tool(packages.path, "rpm", "echo other"))
        (packages.path / "var/lib/rpm").mkdir()
        (packages.path / "var/lib/rpm/rpmdb.sqlite").touch()
        known = Owners(str(packages.path))

        assert Owner("app", "dpkg") == known.owner_of("/usr/lib/app.py")
        assert Owner("other", "rpm") == known.owner_of("/usr/lib/other.py")


def tool(directory: Path, name: str, program: str) -> str:
    """Write a shell script and return its path."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    return str(path)


class TestNobody:
    """What nobody knows."""

    @pytest.mark.processes
    @pytest.mark.parametrize(
        "path", ["", "relative.py", "/a\nb.py", "/a\0b.py", "/no/such/file.py"]
    )
    def test_paths(self, path: str) -> None:
        """What cannot be asked about has no owner."""
        assert None is Owners().owner_of(path)

    @pytest.mark.processes
    def test_no_system(self, tmp_path: Path) -> None:
        """Without any package manager a file has no owner, and nothing is made."""
        assert None is Owners(str(tmp_path)).owner_of("/usr/lib/app.py")
        assert [] == list(tmp_path.iterdir())

    @pytest.mark.processes
    def test_failing_tools(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tool that is missing, fails or prints nonsense answers nothing."""
        (tmp_path / "var/lib/rpm").mkdir(parents=True)
        (tmp_path / "var/lib/rpm/Packages").touch()
        for name in ("_DPKG", "_RPM"):
            monkeypatch.setattr(owners, name, str(tmp_path / "tool"))
        assert None is Owners(str(tmp_path)).owner_of("/app.py")

        for program in (
            "exit 3",
            "echo no: /app.py; exit 2",
            "printf 'a\\033b: /app.py\\n'",
            "kill -9 $$",
        ):
            tool(tmp_path, "tool", program)
            assert None is Owners(str(tmp_path)).owner_of("/app.py"), program

    @pytest.mark.processes
    def test_hanging_tool(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tool that hangs is ended."""
        monkeypatch.setattr(owners, "_TIMEOUT", 0.2)
        monkeypatch.setattr(owners, "_DPKG", tool(tmp_path, "tool", "exec sleep infinity"))

        with no_process_left():
            assert None is Owners(str(tmp_path)).owner_of("/app.py")

    @pytest.mark.processes
    def test_surroundings(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing of the caller's gets to a tool: no variables, no directory, no input."""
        script = tool(
            tmp_path,
            "tool",
            '[ -z "$DPKG_ROOT$HOME" ] && [ "$LC_ALL" = C ] && [ "$(pwd)" = / ] && ! read -r line &&'
            ' echo "app: /app.py"',
        )
        program = (
            "from dropin_cache.update.discovery import owners\n"
            f"owners._DPKG = {script!r}\n"
            f"print(owners.Owners({str(tmp_path)!r}).owner_of('/app.py'))\n"
        )
        monkeypatch.setenv("DPKG_ROOT", str(tmp_path))
        monkeypatch.setenv("LC_ALL", "C.UTF-8")
        done = run_python(program, input="a line\n")

        assert "Owner(name='app', kind='dpkg')\n" == done.stdout

    @pytest.mark.processes
    def test_no_database_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where RPM has no database it is not asked, because it would make one."""
        (tmp_path / "var/lib/rpm").mkdir(parents=True)
        monkeypatch.setattr(owners, "_RPM", tool(tmp_path, "rpm", "echo app"))
        assert None is Owners(str(tmp_path)).owner_of("/app.py")

        (tmp_path / "var/lib/rpm/rpmdb.sqlite").touch()
        assert Owner("app", "rpm") == Owners(str(tmp_path)).owner_of("/app.py")


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

        assert expected == Owners(str(image)).owners_of(expected)

    def test_before_pip(self, image: Path) -> None:
        """What RPM says counts more than what a RECORD says."""
        record = image / "opt/app/pip_app-1.dist-info/RECORD"
        record.parent.mkdir(exist_ok=True)
        record.write_text("plugin.py,,\nother.py,,\n")
        expected = {
            "/opt/app/plugin.py": Owner("dropin-app", "rpm"),
            "/opt/app/other.py": Owner("pip_app", "pip"),
        }

        assert expected == Owners(str(image)).owners_of(expected, ["/opt/app"])


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
        expected = {
            str(dropin): Owner("A.Dropin", "pip"),
            str(data): Owner("A.Dropin", "pip"),
            f"{root}/twisted/plugins/other.py": None,
        }

        assert expected == Owners().owners_of(expected, ["/nonexistent", root])

    def test_no_import_roots(self, prefix: Path) -> None:
        """Only the import roots that are given are looked at."""
        (dropin,) = prefix.glob("**/twisted/plugins/a_dropin.py")
        known = Owners()

        assert None is known.owner_of(str(dropin))
        assert Owner("A.Dropin", "pip") == known.owner_of(str(dropin), [str(dropin.parents[2])])

    def test_dpkg_before_pip(self, packages: Packages) -> None:
        """What dpkg says counts more than what a RECORD says."""
        packages.install("python3-app", "/lib/app.py")
        record = packages.path / "lib/app-1.dist-info/RECORD"
        record.parent.mkdir(parents=True)
        record.write_text("app.py,,\nother.py,,\n")
        expected = {
            "/lib/app.py": Owner("python3-app", "dpkg"),
            "/lib/other.py": Owner("app", "pip"),
        }

        assert expected == Owners(str(packages.path)).owners_of(expected, ["/lib"])


class TestDistributions:
    """The metadata, good and bad."""

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
        return distributions.distributions([file], [str(site)]).get(file)

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

    @pytest.mark.parametrize("name", ["a\x1b[31mb", "-a", "a_", "a/b", "a\u00e4b", "\u212ai\u017f"])
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

        assert dict.fromkeys(paths, "app") == distributions.distributions(paths, [str(site)])

    def test_first(self, site: Path) -> None:
        """Of several distributions with a file, the first one counts."""
        for name in "abc":
            self.write(site, f"{name}-1.dist-info", RECORD="app.py,,\n")

        assert "a" == self.owner(site)

    def test_bad_lines(self, site: Path) -> None:
        """A line that cannot be understood does not hide the others."""
        text = f'"{"x" * 200_000}",,\na\rb,,\n\0,,\n\n"\n\ud800'.encode("utf-8", "surrogatepass")
        egg = self.write(site, "app-1.dist-info")
        (egg / "RECORD").write_bytes(text + b"\xff,,\napp.py,,\n")

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

        assert expected == distributions.distributions(list(expected), ["/lib"], str(site))

    @pytest.mark.parametrize("root", ["/nonexistent", "/\0"])
    def test_no_import_root(self, root: str) -> None:
        """An import root that cannot be listed holds nothing."""
        assert {} == distributions.distributions(["/app.py"], [root])
