"""What the tests of the Debian packages share: systems, packages, and what users see."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest  # noqa: TC002 - see TC001

from roots import SUITE, UNSTABLE, Base, Done, Prepared, Root, cache, once, prepared

TREE = Path(__file__).resolve().parents[2]
DIST = "/usr/lib/python3/dist-packages"
PLUGINS = f"{DIST}/twisted/plugins"
NOBODY = 65534

# What brings plugins for Twisted in Debian 12 and does nothing about its cache.
WITH_DROPINS = {
    "python3-daphne": "fd_endpoint",
    "python3-autobahn": "autobahn_endpoints",
    "python3-txtorcon": "txtorcon_endpoint_parser",
    "python3-wokkel": "server",
    "magic-wormhole-transit-relay": "magic_wormhole_transit_relay",
}

USER = Base(
    "debian",
    ("python3", "python3-twisted", "systemd-standalone-sysusers"),
    (*WITH_DROPINS, "bubblewrap", "python3-filelock", "python3-tk", "python3-twisted"),
)
BUILDER = Base(
    "debian-builder",
    (
        *(
            "debhelper",
            "dh-python",
            "dpkg-dev",
            "faketime",
            "flit",
            "lintian",
            "locales-all",
            "make",
        ),
        *("pybuild-plugin-pyproject", "python3-all", "python3-filelock", "python3-hypothesis"),
        *("python3-pytest", "python3-twisted", "python3-zope.interface"),
    ),
)

# Which packages bring plugin modules, by the lists of contents. Those of a mirror need not be of
# the same day as the rest of it, so apt would refuse them, and apt may not know all of the names.
_SEARCH = r"""
set -eu
cd "$1/srv"
start='$(REPO_URI)dists/$(RELEASE)/main/Contents-'
download() {
    chroot "$1" /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "$2" /srv/list >&2
}
chroot "$1" apt-get indextargets --format "$start" 'Created-By: Packages' | sort -u >starts
for kind in all "$(chroot "$1" dpkg --print-architecture)"; do
    while read -r start; do
        ! download "$1" "$start$kind.gz" || zcat list
    done <starts
done |
    sed -n 's|^usr/lib/python3/dist-packages/twisted/plugins/[^/ ]*\.py  *||p' |
    tr ',' '\n' | sed 's|.*/||' | sort -u >listed
chroot "$1" apt-cache pkgnames | sort >known
"""

# Stock Twisted, as an application would use it: what it finds, and what that cost.
READER = """
import json, sys
from twisted.logger import globalLogPublisher
messages = []
globalLogPublisher.addObserver(lambda event: messages.append(event.get("log_text") or str(event)))
from zope.interface import Interface
import twisted.plugins
from twisted import plugin
class INobody(Interface): pass
assert not list(plugin.getPlugins(INobody))
cache = plugin.getCache(twisted.plugins)
print(json.dumps({
    "imported": sorted(name for name in sys.modules if name.startswith("twisted.plugins.")),
    "messages": messages,
    "plugins": sorted(f"{name}.{each.name}" for name in cache for each in cache[name].plugins),
    "described": {name: cache[name].description for name in cache},
}))
"""


class Seen(NamedTuple):
    """What a user without rights got from stock Twisted.

    Attributes:
        imported: Plugin modules that had to be imported.
        messages: What was logged.
        plugins: Names of drop-ins and plugins, joined by a dot.
        described: The docstrings of drop-ins, by the names of these.
    """

    imported: list[str]
    messages: list[str]
    plugins: list[str]
    described: dict[str, str | None]

    @property
    def dropins(self) -> set[str]:
        """The names of the drop-ins that have plugins."""
        return {name.partition(".")[0] for name in self.plugins}


class Debian:
    """A Debian system.

    Attributes:
        root: The system.
    """

    def __init__(self, base: Base | Prepared | Root = USER) -> None:
        self.root = base if isinstance(base, Root) else Root(base)

    def close(self) -> None:
        """End it."""
        self.root.close()

    def add(self, packages: Path) -> None:
        """Make package files available in /srv/debs."""
        self.root.copy(packages, "/srv/debs")

    def apt(self, *arguments: str, **options: Any) -> Done:
        """Run apt-get, which must succeed unless told otherwise.

        Args:
            arguments: Its arguments. A package of /srv/debs is named by its path.
            options: As for `Root.run`.
        """
        always = ("-y", "-qq", "--allow-downgrades")
        return self.root.run("apt-get", *always, *arguments, **options)

    def install(self, *packages: str) -> Done:
        """Install packages by apt: from /srv/debs if they are there, else the distribution's."""
        files = [self.file(package) for package in packages]
        names = [file or package for file, package in zip(files, packages)]
        return self.apt("install", *names)

    def install_ours(self) -> Done:
        """Install the library and the commands."""
        return self.install("python3-dropin-cache", "dropin-cache")

    def file(self, package: str) -> str | None:
        """Find the file of a package in /srv/debs."""
        found = sorted((self.root.path / "srv/debs").glob(f"{package}_*.deb"))
        return f"/srv/debs/{found[0].name}" if found else None

    def look(self, **environment: str) -> Seen:
        """Let stock Twisted read its plugins as a user without rights.

        Args:
            environment: Further environment variables.
        """
        done = self.root.run("python3", "-c", READER, user=NOBODY, env=environment)
        return Seen(**json.loads(done.out))

    def modules(self) -> set[str]:
        """List the modules in Twisted's plugin directory that exist."""
        directory = self.root.path / PLUGINS.lstrip("/")
        return {each.stem for each in directory.glob("*.py") if each.stem != "__init__"}

    def assert_fresh(self, *, without: str | None = None) -> Seen:
        """Check that a user has nothing to import, to log, or to trip over.

        Args:
            without: A drop-in that must be gone.
        """
        seen = self.look()
        assert ([], []) == (seen.imported, seen.messages)
        assert seen.dropins <= self.modules()
        assert without not in seen.dropins
        return seen

    def repack(self, package: str, version: str, dropin: str | None = None, more: str = "") -> str:
        """Make another version of one of the distribution's packages.

        Args:
            package: Its name.
            version: The version it is to have.
            dropin: Its drop-in that is to change, without `.py`.
            more: Code to append to that.

        Returns:
            The path of the new package's file.
        """
        name, place = f"/srv/debs/{package}_{version}.deb", "/srv/repack"
        self.root.run("sh", "-c", f"dpkg-deb -R /srv/archives/{package}_*.deb {place}")
        control = self.root.read(f"{place}/DEBIAN/control")
        control = re.sub(r"(?m)^Version: .*", f"Version: {version}", control)
        self.root.write(f"{place}/DEBIAN/control", control)
        if dropin is not None:
            file = f"{place}{PLUGINS}/{dropin}.py"
            self.root.write(file, self.root.read(file) + more)
        self._pack(place, name)
        return name

    def pack(self, package: str, files: dict[str, str], version: str = "1") -> str:
        """Make a package.

        Args:
            package: Its name.
            files: Its files: their paths and contents.
            version: Its version.

        Returns:
            The path of the new package's file.
        """
        name, place = f"/srv/debs/{package}_{version}.deb", "/srv/pack"
        control = {
            "Package": package,
            "Version": version,
            "Architecture": "all",
            "Maintainer": "the dropin-cache developers <dropin-cache@example.org>",
            "Description": "for a test",
        }
        lines = "".join(f"{key}: {value}\n" for key, value in control.items())
        for path, text in {"/DEBIAN/control": lines, **files}.items():
            self.root.write(place + path, text)
        self._pack(place, name)
        return name

    def _pack(self, place: str, name: str) -> None:
        (self.root.path / "srv/debs").mkdir(exist_ok=True)
        self.root.run("dpkg-deb", "-Znone", "--root-owner-group", "-b", place, name)
        shutil.rmtree(self.root.path / place.lstrip("/"))


def providers() -> list[str]:
    """Return which packages of the suite bring plugins for Twisted, by its list of contents."""
    known = cache() / f"providers-{SUITE}"
    if not known.exists():
        found = known.with_suffix(f".{os.getpid()}")
        search = f"""{_SEARCH}comm -12 listed known >'{found}'"""
        command = ["mmdebstrap", "--quiet", "--variant=apt", *UNSTABLE]
        subprocess.run([*command, f"--customize-hook={search}", SUITE, "/dev/null"], check=True)
        assert found.stat().st_size
        found.rename(known)
    return sorted({*known.read_text().split()} - {"python3-twisted"})


def with_providers() -> Base:
    """Return a system with nothing of Twisted's, with that and all `providers` at hand."""
    others = (name for name in USER.installed if name != "python3-twisted")
    at_hand = ("python3-twisted", "bubblewrap", "python3-filelock", *providers())
    return Base("debian-providers", tuple(others), at_hand)


def witness() -> str:
    """Return a drop-in that tells, in its description, as whom and with what it was imported.

    It also writes to a file, where it can. In the sandbox it cannot.
    """
    return """
import os
from zope.interface import provider
from twisted.plugin import IPlugin
try:
    with open("/proc/self/status") as status:
        caps = [line.split()[1] for line in status if line.startswith("CapEff")]
except OSError:
    caps = None
__doc__ = repr({"uid": os.getuid(), "caps": caps, "env": sorted(os.environ)})
try:
    with open("/srv/witness", "a") as log:
        log.write(__doc__ + "\\n")
except OSError:
    pass
@provider(IPlugin)
class Witness:
    pass
"""


def built_packages(temporary: pytest.TempPathFactory) -> Path:
    """Build the packages of this tree as `make deb` does, once for all processes that run tests.

    Args:
        temporary: Where to.

    Returns:
        The directory with the packages. Beside it is `tree`, the source as it was then.
    """
    BUILDER.tree()  # where that is not to be had, tests are skipped
    return once(temporary, "debs", _build) / "built"


def with_ours(temporary: pytest.TempPathFactory) -> Prepared:
    """Return a Debian system that has our packages installed, and at hand."""
    packages = built_packages(temporary)

    def install(root: Root) -> None:
        debian = Debian(root)
        debian.add(packages)
        debian.install_ours()

    return prepared(temporary, "debian-ours", USER, install)


def _build(place: Path) -> None:
    junk = (".git", "dist", "__pycache__", ".*_cache")
    tree = place / "tree"
    shutil.copytree(TREE, tree, symlinks=True, ignore=shutil.ignore_patterns(*junk))
    debian = Debian(BUILDER)
    try:
        debian.root.copy(tree, "/srv/tree")
        debian.root.run("sh", "/srv/tree/tools/deb", "/srv/built", timeout=1800)
        shutil.copytree(debian.root.path / "srv/built", place / "built")
    finally:
        debian.close()
