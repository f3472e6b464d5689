"""The pacman hook and the recipe beside it: real packages on a system of their own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import rpm_support
from release_support import UPSTREAM_VERSION, release_tool
from roots import MINOR, Prepared, once, prepared
from rpm_support import (
    NOBODY,
    PLUGINS,
    SITE,
    kept,
    leftovers,
    plugin_packages,
    require_fresh,
    started,
)

RELEASES = {
    "python-twisted-24.11.0": "old/twisted-*.whl",
    "python-twisted-26.10.0": "new/twisted-*.whl",
    "python3-daphne-4.1.2": "old/daphne-*.whl",
    "python3-daphne-4.2.3": "new/daphne-*.whl",
    "python3-wokkel-18.0.0": "new/wokkel-*.whl",
    "magic-wormhole-transit-relay-0.5.0": "new/magic_wormhole*.whl",
    "python3-autobahn-1": "new/autobahn-*.whl",
    # What these need; and where the interpreter finds it all.
    "python-1": "$(ls new/*.whl | grep -Ev '/(twisted|daphne|wokkel|magic|autobahn)')",
}
SOFTWARE = (
    "python-1",
    "python-twisted-24.11.0",
    "python3-daphne-4.2.3",
    "python3-wokkel-18.0.0",
    "python3-autobahn-1",
    f"dropin-cache-{UPSTREAM_VERSION}",
)

_PKGBUILD = r"""
pkgname={name}
pkgver={version}
pkgrel=1
arch=(any)
license=(unknown)
options=(!strip !debug !zipman)
{provides}
{conflicts}
package() {{
    mkdir -p "$pkgdir{site}"
    cd /srv
    [ ! -d wheels ] || cd wheels
    for wheel in {wheels}; do
        python3 -m zipfile -e $wheel "$pkgdir{site}"
    done
    python3 -m compileall -q -s "$pkgdir" -p / "$pkgdir{site}" || true
    if [ $pkgname = python ]; then
        install -D /dev/null "$pkgdir{pth}"
        echo {site} >"$pkgdir{pth}"
    fi
}}
"""
_MAKEPKG = 'umask 022; cd "$1" && exec makepkg --nodeps --skipinteg'
_CONFIGURATION = """
[options]
Architecture = auto
SigLevel = Never
[tests]
Server = file:///srv/repository
"""
# As Arch's package of systemd has it.
_SYSUSERS = """
[Trigger]
Type = Path
Operation = Install
Operation = Upgrade
Target = usr/lib/sysusers.d/*.conf
[Action]
When = PostTransaction
Exec = /usr/bin/systemd-sysusers
"""


def make_package(root: rpm_support.Root, recipe: str, files: dict[str, Path] | None = None) -> Path:
    """Run makepkg as a user and return the package."""
    place = root.run("mktemp", "--directory").out.strip()
    root.write(f"{place}/PKGBUILD", recipe)
    for name, file in (files or {}).items():
        root.copy(file, f"{place}/{name}")
    root.run("chown", "-R", f"{NOBODY}:{NOBODY}", place)
    environment = {"HOME": place, "PKGEXT": ".pkg.tar"}
    root.run("bash", "-c", _MAKEPKG, "bash", place, user=NOBODY, env=environment)
    (made,) = (root.path / place.lstrip("/")).glob("*.pkg.tar")
    return made


def _make_packages(place: Path) -> None:
    place.mkdir()
    with started() as root:
        root.copy(plugin_packages() / "wheels", "/srv/wheels")
        with ThreadPoolExecutor(2) as pool:
            recipes = [recipe(release, wheels) for release, wheels in RELEASES.items()]
            made = pool.map(lambda text: make_package(root, text), recipes)
            for release, file in zip(RELEASES, made):
                shutil.copy(file, place / f"{release}.pkg.tar")


def recipe(release: str, wheels: str, conflicts: str = "") -> str:
    """Return the recipe of a package that consists of wheels."""
    name, _, version = release.rpartition("-")
    provides = (
        "bubblewrap python-filelock python-zope-interface util-linux" if name == "python" else ""
    )
    return _PKGBUILD.format(
        name=name,
        version=version,
        wheels=wheels,
        site=SITE,
        pth=rpm_support.PTH,
        provides=f"provides=({provides})",
        conflicts=f"conflicts=({conflicts})",
    )


@pytest.fixture(scope="module")
def packages() -> Path:
    """The directory of plugin packages."""
    return kept(
        "pacman-packages", (str(RELEASES), _PKGBUILD, str(plugin_packages())), _make_packages
    )


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our package, built by the recipe from what `make rpm` takes for its source."""
    rpm_support.BASE.tree()  # or skip
    return (
        once(tmp_path_factory, "pacman-ours", _build) / f"dropin-cache-{UPSTREAM_VERSION}.pkg.tar"
    )


def _build(place: Path) -> None:
    place.mkdir()
    alpm = rpm_support.TREE / "hooks/alpm"
    with started() as root:
        rpm_support.copy_source(root, f"/srv/dropin-cache-{UPSTREAM_VERSION}")
        archive = f"dropin-cache-{UPSTREAM_VERSION}.tar.gz"
        root.run("tar", "-C", "/srv", "-czf", f"/srv/{archive}", f"dropin-cache-{UPSTREAM_VERSION}")
        files = {name: alpm / name for name in ("dropin-cache.install",)}
        files[archive] = root.path / "srv" / archive
        changes = place / "dropin-cache.changelog"
        changes.write_text(release_tool("arch"), encoding="utf-8")
        files[changes.name] = changes
        made = make_package(root, release_tool("recipe"), files)
        shutil.copy(made, place / f"dropin-cache-{UPSTREAM_VERSION}.pkg.tar")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, packages: Path, ours: Path) -> Prepared:
    """A system with all packages in /srv/repository."""

    def change(root: rpm_support.Root) -> None:
        for file in (*packages.iterdir(), ours):
            root.copy(file, f"/srv/repository/{file.name}")
        root.copy(rpm_support.TREE / "tools/read_with_twisted.py", "/srv/read_with_twisted.py")
        root.write("/etc/pacman.conf", _CONFIGURATION)
        root.write("/etc/pacman.d/hooks/20-systemd-sysusers.hook", _SYSUSERS)

    return prepared(tmp_path_factory, "pacman-repository", rpm_support.BASE, change)


@pytest.fixture
def system(repository: Prepared) -> Iterator[rpm_support.Root]:
    """That, running."""
    with started(repository) as root:
        yield root


@pytest.fixture
def full(
    tmp_path_factory: pytest.TempPathFactory, repository: Prepared
) -> Iterator[rpm_support.Root]:
    """One that has the software, too."""

    def change(root: rpm_support.Root) -> None:
        pacman(root, "--upgrade", *files(*SOFTWARE))

    with started(prepared(tmp_path_factory, "pacman-software", repository, change)) as root:
        yield root


def pacman(root: rpm_support.Root, *arguments: str, **options):
    """Run pacman; return what it and the hooks printed."""
    done = root.run("pacman", "--noconfirm", "--noprogressbar", *arguments, **options)
    assert "error" not in done.err
    return done


def files(*releases: str) -> list[str]:
    """Return the files of packages."""
    return [f"/srv/repository/{release}.pkg.tar" for release in releases]


class TestTransactions:
    """Whatever is done to packages."""

    def test_one(self, full):
        """Whatever a transaction does, the caches are right after it, and when all is gone, too."""
        require_fresh(full, "python3-daphne", "python3-wokkel", "python3-autobahn")
        # It has no other way to remove something in the same transaction than a conflict.
        instead = make_package(full, recipe("no-wokkel-1", "", "python3-wokkel"))
        shutil.copy(instead, full.path / "srv/repository/no-wokkel-1.pkg.tar")
        done = pacman(
            full,
            *("--upgrade", "--ask=4"),
            *files(
                "no-wokkel-1",
                "magic-wormhole-transit-relay-0.5.0",
                "python-twisted-26.10.0",
                "python3-daphne-4.1.2",
                "python3-autobahn-1",
            ),
        )
        assert 1 == done.out.count("written: ")
        installed = full.run("pacman", "--query").out
        assert "python-twisted 26.10.0-1\n" in installed
        assert "python3-daphne 4.1.2-1\n" in installed
        assert "python3-wokkel" not in installed
        require_fresh(full, "python3-daphne", "python3-autobahn", "magic-wormhole-transit-relay")
        plugins = ("python3-daphne", "python3-autobahn", "magic-wormhole-transit-relay")
        pacman(full, "--remove", *plugins, "python-twisted", "dropin-cache")
        assert [] == leftovers(full)

    def test_repository(self, system):
        """The same for packages from a repository, one transaction after the other."""
        names = [f"{release}.pkg.tar" for release in SOFTWARE]
        system.run(
            "sh", "-c", 'cd /srv/repository && exec repo-add -q tests.db.tar.gz "$@"', "sh", *names
        )
        pacman(system, "--sync", "--refresh", *(name.rpartition("-")[0] for name in SOFTWARE))
        require_fresh(system, "python3-daphne", "python3-wokkel", "python3-autobahn")
        done = pacman(system, "--remove", "python3-wokkel")
        assert f"written: {PLUGINS} (twisted.plugins: 21 modules, 47 plugins)\n" in done.out
        done = pacman(system, "--sync", "python3-wokkel")
        assert f"written: {PLUGINS} (twisted.plugins: 22 modules, 48 plugins)\n" in done.out
        require_fresh(system, "python3-daphne", "python3-wokkel", "python3-autobahn")


class TestHook:
    """When it runs, and what it does then."""

    def test_failures(self, full):
        """Without an interpreter a transaction succeeds, and people are told."""
        full.run("mv", "/usr/bin/python3", "/usr/bin/python3.away")
        done = pacman(full, "--remove", "python3-wokkel")
        assert "dropin-cache: warning: plugin caches were not updated: " in done.out
        assert "failed" not in done.out + done.err

    def test_data(self, full):
        """Packages without code do not run it."""
        data = make_package(full, recipe("some-data-1", ""))
        shutil.copy(data, full.path / "srv/repository/some-data-1.pkg.tar")
        done = pacman(full, "--upgrade", *files("some-data-1"))
        assert "Updating the plugin caches" not in done.out
        done = pacman(full, "--remove", "python3-wokkel")
        assert 1 == done.out.count("Updating the plugin caches of Python sites...")


class TestRecipe:
    """The file PKGBUILD."""

    def test_content(self, ours):
        """Everything is where Arch has such things: no /usr/libexec, no /usr/sbin, one library."""
        listed = subprocess.run(["tar", "-tf", ours], check=True, capture_output=True, text=True)
        places = {"/".join(name.split("/")[:3]) for name in listed.stdout.split() if "/" in name}
        assert {
            "etc/dropin-cache/",
            "etc/dropin-cache/dropin-cache.conf",
            "etc/dropin-cache/packages.d",
            "usr/bin/",
            "usr/bin/dropin-cache",
            "usr/bin/update-dropin-cache",
            "usr/lib/",
            "usr/lib/dropin-cache",
            f"usr/lib/python3.{MINOR}",
            "usr/lib/systemd",
            "usr/lib/sysusers.d",
            "usr/lib/tmpfiles.d",
            "usr/share/",
            "usr/share/bash-completion",
            "usr/share/fish",
            "usr/share/libalpm",
            "usr/share/licenses",
            "usr/share/man",
            "usr/share/zsh",
        } == places - {"etc/", "usr/"}
        assert ".CHANGELOG" in listed.stdout.split()
