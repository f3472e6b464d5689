"""What the tests of RPM and pacman packages share: real packages, and systems to install them on.

The packages are made once, from releases on PyPI, and kept beside the trees that roots.py makes.
Their modules lie where Fedora has them, in site-packages below /usr/lib and /usr/lib64; a stub
package `python3` has the system's interpreter look there. Other stubs stand for what a distribution
provides.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest  # noqa: TC002 - see TC001

import roots
from roots import MINOR, Base, Prepared, Root, once, prepared

TREE = Path(__file__).resolve().parents[2]
DNF = "dnf" if MINOR < 14 else "dnf5"
# Debian's RPM 4 asks whether dpkg is not meant.
RPM = ("rpm", "--force-debian") if MINOR < 14 else ("rpm",)
BASE = Base(
    "rpm",
    (
        "bubblewrap",
        "createrepo-c",
        DNF,
        "flit",
        "libarchive-tools",  # makepkg packs with bsdtar
        "makepkg",
        "passwd",  # RPM 6 makes users with it
        "pacman-package-manager",
        "python3-packaging",  # RPM's generator of dependencies imports it
        "rpm",
        "rpmlint",
        "systemd-standalone-sysusers",
        "systemd-standalone-tmpfiles",
        "zypper",
    ),
)
SITE = f"/usr/lib/python3.{MINOR}/site-packages"
SITE64 = f"/usr/lib64/python3.{MINOR}/site-packages"
PLUGINS = f"{SITE}/twisted/plugins"
PLUGINS64 = f"{SITE64}/twisted/plugins"
NOBODY = 65534

# The plugin packages, and an earlier release of two of them.
RELEASES = {
    "python3-twisted": ("Twisted==24.11.0", "Twisted==26.10.0"),
    "python3-daphne": ("daphne==4.1.2", "daphne==4.2.3"),
    "python3-wokkel": ("wokkel==18.0.0",),
    "magic-wormhole-transit-relay": ("magic-wormhole-transit-relay==0.5.0",),
    "python3-autobahn": ("autobahn",),
    "python3-libraries": ("filelock",),
}

# A system's worth of packages, with the older Twisted.
OURS = ("dropin-cache", "python3-dropin-cache")
SOFTWARE = (
    "python3-libraries",
    "python3-libraries-64",
    "python3-twisted-24.11.0",
    "python3-daphne-4.2.3",
    "python3-wokkel",
    "python3-autobahn",
    *OURS,
)

# What comes with each plugin package, besides what is Twisted's own.
DROPINS = {
    "python3-autobahn": {"autobahn_endpoints", "autobahn_twistd"},
    "python3-daphne": {"fd_endpoint"},
    "python3-wokkel": {"server"},
    "magic-wormhole-transit-relay": {"magic_wormhole_transit_relay"},
}

# Builds the packages, in a root that has the wheels in /srv/wheels. One package for each release
# above, one for all that they depend on, and the stubs.
_MAKE = r"""
set -eu
umask 022
cd /srv
build() {
    name=$1 library=$2
    shift 2
    rpmbuild -bb --quiet --nodeps \
        --define "_topdir /srv/build/$name" --define "_rpmdir /srv/repository" \
        --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
        --define "_binary_payload w1.gzdio" --define "release_name $name" \
        --define "site /usr/$library/python3.@MINOR@/site-packages" --define "wheels $*" wheel.spec
}
rpmbuild -bb --quiet --nodeps \
    --define "_topdir /srv/build/stubs" --define "_rpmdir /srv/repository" \
    --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" stubs.spec
build python3-twisted lib wheels/new/twisted-*.whl &
build python3-autobahn lib64 wheels/new/autobahn-*.whl
build python3-wokkel lib wheels/new/wokkel-*.whl
build magic-wormhole-transit-relay lib wheels/new/magic_wormhole*.whl
build python3-daphne lib wheels/new/daphne-*.whl
wait $!
build python3-twisted lib wheels/old/twisted-*.whl &
build python3-daphne lib wheels/old/daphne-*.whl
cd wheels/new
rm twisted-* autobahn-* wokkel-* magic_* daphne-*
cd /srv
build python3-libraries lib wheels/new/*-none-any.whl
build python3-libraries-64 lib64 $(ls wheels/new/*.whl | grep -v none-any)
wait $!
""".replace("@MINOR@", str(MINOR))

_WHEEL_SPEC = r"""
%global version_of %(basename -a %{wheels} | sed -n 's/^[^-]*-\\([^-]*\\)-.*/\\1/p;q')
%global __os_install_post %{nil}
%global debug_package %{nil}
Name: %{release_name}
Version: %{version_of}
Release: 1
Summary: A release on PyPI as a package
License: unknown
%if "%{release_name}" != "python3-autobahn" && "%{release_name}" != "python3-libraries-64"
BuildArch: noarch
%endif
# Those of libraries are of no interest here; of compiled modules they would be Debian's files.
%if "%{site}" == "@SITE64@" || "%{release_name}" == "python3-libraries"
AutoReq: no
%endif
%if "%{release_name}" == "python3-twisted"
# What Fedora has a metapackage for.
Provides: python3.@MINOR@dist(twisted[tls]) = %{version}
%endif
%if "%{release_name}" == "python3-libraries-64"
# Debian's RPM does not normalise names as Fedora's does.
Provides: python3.@MINOR@dist(zope-interface) = 99
%endif
%description
A release on PyPI as a package.
%install
for wheel in %{wheels}; do
    /usr/bin/python3 -m zipfile -e /srv/$wheel %{buildroot}%{site}
done
/usr/bin/python3 -m compileall -q -s %{buildroot} -p / %{buildroot}%{site} || true
cd %{buildroot}
# Several packages own the directories of plugins, as they do in distributions. That of the metadata
# has to be there for RPM to find out what a package provides.
{
    find . ! -type d -printf '"/%%P"\n'
    find .%{site} -mindepth 1 -type d -printf '%%%%dir "%{site}/%%P"\n'
} >/srv/build/%{release_name}/files
%files -f /srv/build/%{release_name}/files
""".replace("@SITE64@", SITE64).replace("@MINOR@", str(MINOR))

# From here it comes before what Debian has, such as another release of cffi.
PTH = f"/usr/local/lib/python3.{MINOR}/dist-packages/rpm.pth"

# What each stub provides, besides its own name.
_STUBS = {
    "bash": "/bin/sh",
    "bubblewrap": "bwrap",
    "coreutils": "/usr/bin/env",
    "glibc": "libc",  # without it, newer zyppers take a system for broken
    "grep": "/usr/bin/grep",
    "python3": f"python(abi) = 3.{MINOR}, /usr/bin/python3",
    "systemd": "systemd-sysusers",
    "util-linux": "/usr/bin/setpriv",
}
_STUB = r"""
%package -n {0}
Summary: Stands for what the distribution provides
Provides: {1}
%description -n {0}
Stands for what the distribution provides.
%files -n {0}
"""
_STUBS_SPEC = rf"""
%global __os_install_post %{{nil}}
Name: stubs
Version: 1
Release: 1
Summary: Stands for what the distribution provides
License: unknown
BuildArch: noarch
%description
Stands for what the distribution provides.
{"".join(_STUB.format(name, provides) for name, provides in _STUBS.items())}
%files -n python3
{PTH}
# Like those of systemd's own package.
%transfiletriggerin -n systemd -- /usr/lib/sysusers.d/
systemd-sysusers || :
%transfiletriggerin -n systemd -- /usr/lib/tmpfiles.d/
systemd-tmpfiles --create || :
%install
install -D /dev/null %{{buildroot}}{PTH}
printf '%%s\n' {SITE64} {SITE} >%{{buildroot}}{PTH}
"""


@contextmanager
def started(base: Base | Prepared = BASE) -> Iterator[Root]:
    """Start a system and end it."""
    root = Root(base)
    try:
        yield root
    finally:
        root.close()


def plugin_packages() -> Path:
    """Return the directory of the plugin packages, the stubs, and the wheels in them."""
    identity = (str(RELEASES), str(BASE), _MAKE, _WHEEL_SPEC, _STUBS_SPEC)
    return kept("rpm-packages", identity, _make_packages)


def kept(name: str, identity: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    """Return a directory that is kept beside the trees; make it if it is not there.

    Args:
        name: Its name, for people.
        identity: All that what is in there depends on.
        make: Makes it.
    """
    key = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:12]
    place = roots.cache() / f"{name}-{key}"
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes run tests
        if not place.exists():
            new = place.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            make(new)
            new.rename(place)
    return place


def _make_packages(place: Path) -> None:
    BASE.tree()  # or skip
    place.mkdir()
    wheels = place / "wheels"
    download(wheels / "new", [versions[-1] for versions in RELEASES.values()])
    older = [versions[0] for versions in RELEASES.values() if len(versions) > 1]
    download(wheels / "old", older, "--no-deps")
    with started() as root:
        root.copy(wheels, "/srv/wheels")
        root.write("/srv/wheel.spec", _WHEEL_SPEC)
        root.write("/srv/stubs.spec", _STUBS_SPEC)
        root.run("sh", "-c", _MAKE)
        shutil.copytree(root.path / "srv/repository", place / "repository")


def download(directory: Path, requirements: list[str], *options: str) -> None:
    """Download wheels for the interpreter of the systems."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(directory)]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version=3.{MINOR}"]
    subprocess.run([*command, *options, *requirements], check=True)


def our_packages(temporary: pytest.TempPathFactory) -> Path:
    """Return the directory of our own packages, built from the source tree as it is now."""
    BASE.tree()  # or skip
    return once(temporary, "rpms", _build)


def _build(place: Path) -> None:
    with started() as root:
        copy_source(root, "/srv/source")
        root.run("sh", "-c", BUILD, "sh", "/srv/source")
        shutil.copytree(root.path / "srv/source/dist", place)


# What `make rpm` runs.
BUILD = 'cd "$1" && shift && exec sh tools/work-dir rpm sh tools/rpm "$@"'


def copy_source(root: Root, name: str) -> None:
    """Copy what of the source tree goes into packages."""
    for part in ("debian", "hooks", "rpm", "src", "tools", "docs"):
        shutil.copytree(TREE / part, root.path / name.lstrip("/") / part)
    for file in ("pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md"):
        root.copy(TREE / file, f"{name}/{file}")


def distribution(
    temporary: pytest.TempPathFactory, name: str = "rpm-distribution", base: Base = BASE
) -> Prepared:
    """Return a system with the stubs installed and all packages in /srv/repository.

    Args:
        temporary: Where its changes are kept.
        name: What it is called.
        base: What it is made of.
    """
    places = (plugin_packages() / "repository", our_packages(temporary))

    def change(root: Root) -> None:
        for place in places:
            for file in place.iterdir():
                root.copy(file, f"/srv/repository/{file.name}")
        root.copy(TREE / "tools/read_with_twisted.py", "/srv/read_with_twisted.py")
        # Debian's RPM has a database for each user, because dpkg's is the system's.
        root.write("/etc/rpm/macros", "%_dbpath /var/lib/rpm\n")
        root.run("createrepo_c", "--quiet", "/srv/repository")
        repository = (
            "name=tests\nbaseurl=dir:///srv/repository\nenabled=1\ngpgcheck=0\nautorefresh=0\n"
        )
        root.write("/srv/zypper/tests.repo", f"[tests]\n{repository}type=rpm-md\n")
        root.write("/srv/dnf/tests.repo", f"[tests]\n{repository}".replace("dir://", "file://"))
        root.run(*RPM, "--install", *paths(root, *_STUBS))

    return prepared(temporary, name, base, change)


def with_software(temporary: pytest.TempPathFactory) -> Prepared:
    """Return such a system with the older Twisted and all of ours."""
    return prepared(
        temporary,
        "rpm-software",
        distribution(temporary),
        lambda root: rpm(root, "--install", *paths(root, *SOFTWARE)),
    )


def paths(root: Root, *names: str) -> list[str]:
    """Return the files of packages in a system, the newest where there are several versions."""
    files = sorted(os.listdir(root.path / "srv/repository"))
    found = []
    for name in names:
        pattern = re.compile(
            rf"{re.escape(name)}(-[0-9][^-]*)?(-[^-]*)?\.(noarch|x86_64|aarch64)\.rpm"
        )
        found.append("/srv/repository/" + [file for file in files if pattern.fullmatch(file)][-1])
    return found


def rpm(root: Root, *arguments: str, **options):
    """Run rpm; return what it and the scriptlets printed."""
    done = root.run(*RPM, *arguments, **options)
    assert "scriptlet failed" not in done.err
    return done


def cached(root: Root) -> set[str]:
    """Return the names of the drop-ins in all caches."""
    listed = json.loads(root.run("dropin-cache", "list", "--json", user=NOBODY).out)
    return {plugin["module"].rpartition(".")[2] for plugin in listed["plugins"]}


def require_fresh(root: Root, *packages: str) -> None:
    """Require that stock Twisted takes the caches as they are, with the plugins of these."""
    done = root.run("/usr/bin/python3", "-I", "/srv/read_with_twisted.py", user=NOBODY)
    assert done.out.endswith("Twisted took the cache as it is.\n")
    foreign = set().union(*DROPINS.values())
    assert set().union(*(DROPINS[package] for package in packages)) == cached(root) & foreign


def leftovers(root: Root) -> list[str]:
    """List what is on a system of ours, of caches, and where Twisted was."""
    found = root.run("find", "/etc", "/run", "/usr", "/var", "-name", "*dropin*cache*").out
    trees = root.run("find", SITE, SITE64, "-path", "*/twisted*", status=None).out
    # DNF and zypper keep records of what they did, and dnf5 copies of packages.
    records = ("/var/cache/", "/var/lib/dnf/")
    return [each for each in (found + trees).splitlines() if not each.startswith(records)]


def make_package(
    root: Root, name: str, files: dict[str, str], install: str = "", listed: str = ""
) -> str:
    """Build a small package in a system and return the path of its file.

    Args:
        root: The system.
        name: What it is called.
        files: What is in it, by path.
        install: Further lines of %install.
        listed: Further lines of %files, and what is to follow.
    """
    for path, text in files.items():
        root.write(f"/srv/build/{name}.files{path}", text)
    paths = "".join(f"{path}\n" for path in files)
    text = (
        f"Name: {name}\nVersion: 1\nRelease: 1\nSummary: A test\nLicense: MIT\nBuildArch: noarch\n"
        f"AutoReqProv: no\n%description\nA test.\n%install\n"
        f"cp -r /srv/build/{name}.files/. %{{buildroot}}\n{install}%files\n{paths}{listed}"
    )
    root.write(f"/srv/build/{name}.spec", text)
    options = ("--quiet", "--define", "_topdir /srv/build", "--define", "_rpmdir /srv/made")
    root.run("rpmbuild", "-bb", *options, f"/srv/build/{name}.spec")
    return f"/srv/made/noarch/{name}-1-1.noarch.rpm"
