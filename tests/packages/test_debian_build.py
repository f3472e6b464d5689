"""Building Debian packages: ours, and an application's with the add-on for debhelper."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from debian_support import BUILDER, DIST, NOBODY, TREE, Debian, built_packages, with_ours

# What a user without rights finds in an application's plugin package, and imports for that.
_READER = """
import json, sys
from dropin_cache import getCache
import matsim.plugins
cache = getCache(matsim.plugins)
imported = [name for name in sys.modules if name.startswith("matsim.plugins.")]
print(json.dumps([sorted(cache), imported]))
"""
LOOKED_FOR = f"{DIST}/plugins /usr/share/matsim/plugins"
CACHE = f"{DIST}/matsim/plugins/dropin.cache"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of this tree."""
    return built_packages(tmp_path_factory)


@pytest.fixture(scope="module")
def builder(packages: Path) -> Iterator[Debian]:
    """A system to build on, which has our add-on, and the examples built in /srv/examples."""
    debian = Debian(BUILDER)
    try:
        debian.add(packages)
        files = map(debian.file, ("dh-dropin-cache", "python3-dropin-cache"))
        debian.root.run("dpkg", "-i", *map(str, files))
        debian.root.copy(TREE / "docs/examples", "/srv/examples")
        for name in ("matsim", "matsim-steel"):
            command = f"cd /srv/examples/{name} && dpkg-buildpackage -d -us -uc -b"
            debian.root.run("sh", "-c", command)
        yield debian
    finally:
        debian.close()


class TestBuild:
    """Our own packages."""

    def test_lintian(self, builder: Debian) -> None:
        """Lintian finds nothing that is an error or deserves a warning."""
        command = "lintian --pedantic -EvIL +pedantic --allow-root --fail-on error,warning"
        done = builder.root.run("sh", "-c", f"{command} /srv/debs/*.changes")
        assert [] == [line for line in done.out.splitlines() if line.startswith(("E:", "W:"))]

    def test_overrides_have_reasons(self) -> None:
        """What Lintian is told to overlook stands below a comment."""
        for file in (TREE / "debian").glob("*.lintian-overrides"):
            lines = file.read_text().splitlines()
            assert [line.startswith("#") for line in lines] == [True, False] * (len(lines) // 2)

    def test_reproducible(self, packages: Path) -> None:
        """Another user, path, time, mask, zone and language make the same packages."""
        debian = Debian(BUILDER)
        try:
            debian.root.copy(packages.parent / "tree", "/opt/second")
            prepare = "chmod -R go-rwx /opt/second; mkdir /srv/out"
            debian.root.run("sh", "-c", f"{prepare}; chown -R {NOBODY} /opt/second /srv/out")
            command = "umask 027; exec faketime '+400days' sh /opt/second/tools/deb /srv/out"
            environment = {
                "DEB_BUILD_OPTIONS": "nocheck parallel=3",
                "HOME": "/nonexistent",
                "LC_ALL": "tr_TR.UTF-8",
                "TZ": "Pacific/Kiritimati",
            }
            debian.root.run("sh", "-c", command, user=NOBODY, env=environment)
            assert _digests(packages) == _digests(debian.root.path / "srv/out")
        finally:
            debian.close()


def _digests(directory: Path) -> dict[str, str]:
    files = [*directory.glob("*.deb"), *directory.glob("*.dsc"), *directory.glob("*.tar.xz")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


class TestAddOn:
    """dh_dropin-cache, in packages of an application."""

    def run(self, builder: Debian, text: str, **options: str) -> str:
        """Run it on the built example with another list of plugin packages; return its message."""
        place = "/srv/examples/matsim"
        name = options.get("package", "python3-matsim")
        builder.root.run("sh", "-c", f"rm {place}/debian/*.dropin-cache")
        builder.root.write(f"{place}/debian/{name}.dropin-cache", text)
        command = f"cd {place} && dh_dropin-cache 2>&1"
        return builder.root.run("sh", "-c", command, status=None).out.rstrip()

    def test_installed(self, builder: Debian) -> None:
        """It installs the list, and has the caches updated."""
        package = "/srv/examples/python3-matsim_1.0_all.deb"
        builder.root.run("dpkg-deb", "-R", package, "/srv/unpacked")
        wanted = "# The plugin packages that dropin-cache is to look after.\nmatsim.plugins\n"
        file = "/srv/unpacked/usr/lib/dropin-cache/packages.d/python3-matsim.conf"
        assert wanted == builder.root.read(file)
        triggers = builder.root.read("/srv/unpacked/DEBIAN/triggers")
        assert "activate-noawait update-dropin-cache\n" in triggers

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("matsim plugins\n", ':1: "plugins" is not an absolute path'),
            (
                "\n# x\nmatsim-plugins\n",
                ':3: "matsim-plugins" is not a dotted name of a Python package',
            ),
            ("matsim.\n", ':1: "matsim." is not a dotted name of a Python package'),
            ("# none\n", ": there is no plugin package in it; name one, or remove the file"),
            (
                "matsim.plugin\n",
                f":1: python3-matsim does not ship matsim.plugin; looked for {DIST}/matsim/plugin",
            ),
            (
                "plugins /usr/share/matsim\n",
                f":1: python3-matsim does not ship plugins; looked for {LOOKED_FOR}",
            ),
        ],
    )
    def test_mistakes(self, builder: Debian, text: str, message: str) -> None:
        """A list that would not work ends the build, with file and line."""
        expected = f"dh_dropin-cache: error: debian/python3-matsim.dropin-cache{message}"
        assert expected == self.run(builder, text)

    def test_other_directory(self, builder: Debian) -> None:
        """A directory that Python does not know of is named, and looked into."""
        builder.root.write("/srv/examples/matsim/debian/python3-matsim/usr/share/m/p/x.py", "")
        assert "" == self.run(builder, "p /usr/share/m\nmatsim.plugins\n")

    def test_shipped_cache(self, builder: Debian) -> None:
        """A cache that the build has left in the package ends the build."""
        file = f"/srv/examples/matsim/debian/python3-matsim{CACHE}"
        builder.root.write(file, "")
        try:
            assert (
                f"dh_dropin-cache: error: python3-matsim ships {CACHE}, "
                "which is made on the user's system; remove it"
            ) == self.run(builder, "matsim.plugins\n")
        finally:
            (builder.root.path / file[1:]).unlink()


class TestApplication:
    """An application with plugins of its own, and a plugin that knows nothing of caches."""

    @pytest.fixture
    def debian(self, builder: Debian, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
        """A system that has our packages, and the examples at hand."""
        debian = Debian(with_ours(tmp_path_factory))
        try:
            for file in (builder.root.path / "srv/examples").glob("*.deb"):
                shutil.copy(file, debian.root.path / "srv/debs")
            yield debian
        finally:
            debian.close()

    def look(self, debian: Debian) -> list[list[str]]:
        """Return the drop-ins that a user finds, and what was imported to find them."""
        done = debian.root.run("python3", "-c", _READER, user=NOBODY)
        assert "" == done.err
        found: list[list[str]] = json.loads(done.out)
        return found

    def test_plugin_goes_first(self, debian: Debian) -> None:
        """Application, plugin; and away in the opposite order."""
        debian.install("python3-matsim")
        assert [["brassplate"], []] == self.look(debian)
        debian.install("python3-matsim-steel")
        assert [["brassplate", "steelplate"], []] == self.look(debian)
        said = debian.root.run("matsim", user=NOBODY).out
        assert said == "brass plate: yields at 110 MPa\nsteel plate: yields at 250 MPa\n"
        debian.apt("purge", "python3-matsim-steel")
        assert [["brassplate"], []] == self.look(debian)
        debian.apt("purge", "python3-matsim")
        assert not debian.root.exists(f"{DIST}/matsim")

    def test_application_goes_first(self, debian: Debian) -> None:
        """The plugin is there before the application, and still there after it."""
        for name in ("python3-matsim-steel", "python3-matsim"):
            debian.root.run("dpkg", "--force-depends", "-i", str(debian.file(name)))
        assert [["brassplate", "steelplate"], []] == self.look(debian)
        done = debian.root.run("dpkg", "--force-depends", "-P", "python3-matsim")
        left_out = "matsim.plugins.steelplate (of python3-matsim-steel) is left out"
        assert left_out in done.out + done.err
        listed = debian.root.run("dropin-cache", "list", "matsim.plugins", status=None)
        assert "steelplate" not in listed.out
        debian.apt("purge", "python3-matsim-steel")
        assert not debian.root.exists(f"{DIST}/matsim")
