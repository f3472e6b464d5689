"""The recipes of docs/images.md, with the tools that Debian has: what is in the images then."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from debian_support import DIST, READER
from image_support import DOCUMENT, builder, follow, recipe
from roots import SUITE, Root

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("images"),
    pytest.mark.skipif(SUITE != "bookworm", reason="the recipes are for Debian 12"),
]

PLUGINS = f"{DIST}/twisted/plugins"

# What is looked at from inside, with what a running system has mounted.
_INSIDE = r"""
set -eu
cd "$1"
mount --bind . .
cd "$1"
[ -z "$2" ] || mount -o remount,bind,ro .
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs tmp
if [ -e usr/bin/dropin-cache ]; then
    chroot . dropin-cache check --quiet
else
    dropin-cache check --quiet --root .
fi
become="setpriv --reuid=65534 --regid=65534 --clear-groups"
chroot . $become python3 -B - <"$3"
[ ! -e usr/bin/dropin-cache ] || chroot . $become python3 -B - <"$4"
"""
# Our library, as an application uses it: it prints which plugin modules it had to import.
_OURS = """
import sys
import twisted.plugins
from dropin_cache import getCache
assert getCache(twisted.plugins)
print(*(name for name in sys.modules if name.startswith("twisted.plugins.")))
"""
_LEFT = r"""
cd "$1"
find var run -name '*dropin*cache*' ! -type d ! -path 'var/lib/dpkg/*' \
    ! -path '*/deb-systemd-helper-*'
find var/cache/dropin-cache run/lock/dropin-cache -mindepth 1 2>/dev/null || :
"""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    """A system with the tools, in which images are made."""
    root = Root(builder(tmp_path_factory))
    try:
        root.write("/srv/reader.py", READER)
        root.write("/srv/ours.py", _OURS)
        root.run("sh", "-c", "mount -t sysfs sysfs /sys && mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        root.run("mknod", "/dev/loop-control", "c", "10", "237")
        for number in map(str, range(8)):
            root.run("mknod", f"/dev/loop{number}", "b", "7", number)
        yield root
    finally:
        root.close()


class Found(NamedTuple):
    """What is in an image, after `check` found it fresh.

    Attributes:
        imported: How many plugin modules stock Twisted had to import.
        messages: What it logged.
        plugins: What it found.
        left: Files of ours in /var and /run.
    """

    imported: int
    messages: list[str]
    plugins: list[str]
    left: list[str]


def look(tools: Root, tree: str, *, read_only: bool = False) -> Found:
    """Look at an image from inside, as root and as a user without rights.

    Args:
        tools: The system that the image is in.
        tree: The directory that it is in.
        read_only: Whether it is to be read-only.
    """
    enter = ("unshare", "--mount", "--propagation=private", "sh", "-c", _INSIDE, "sh")
    readers = ("/srv/reader.py", "/srv/ours.py")
    done = tools.run(*enter, tree, "yes" if read_only else "", *readers)
    twisted, _, ours = done.out.partition("\n")
    assert "" == ours.strip()
    seen = json.loads(twisted)
    left = tools.run("sh", "-c", _LEFT, "sh", tree).out.split()
    return Found(len(seen["imported"]), seen["messages"], seen["plugins"], left)


def unpack(tools: Root, archive: str, place: str) -> str:
    """Unpack an archive and return the directory."""
    script = 'mkdir -p "$2" && tar -C "$2" -xf "$1" --exclude="./dev/*"'
    tools.run("sh", "-c", script, "sh", archive, place)
    return place


@pytest.fixture
def places(tools: Root) -> Iterator[list[str]]:
    """Two directories, each with the tree that the first recipe makes."""
    found = [f"/srv/{name}" for name in ("one", "another")]
    for place in found:
        unpack(tools, "/srv/first/image.tar", f"{place}/tree")
        tools.run("ln", "/srv/first/image.tar", place)
    yield found
    # OSTree marks what it deploys.
    tools.run("sh", "-c", "chattr -i /srv/*/sysroot/ostree/deploy/debian/deploy/*.0", status=None)
    tools.run("rm", "-rf", *found)


def digest(tools: Root, *files: str) -> set[str]:
    """Return the digests of files."""
    return {line.split()[0] for line in tools.run("sha256sum", *files).out.splitlines()}


def fresh(found: Found, *, without: str | None = None, imports: bool = False) -> None:
    """Require that an image is as it should be.

    Args:
        found: What is in it.
        without: A plugin module that has to be gone; else all are there.
        imports: Whether stock Twisted imports all plugin modules, for these and the cache are dated
            the same; then it also says that it cannot write.
    """
    assert [] == found.left
    assert imports == bool(found.imported)
    assert [imports] * len(found.messages) == [
        message.startswith("Unable to write to plugin cache") for message in found.messages
    ]
    assert ("server" in {name.partition(".")[0] for name in found.plugins}) == (without is None)


def test_mmdebstrap(tools: Root) -> None:
    """In one go, with our hooks; test_debian_images.py builds it twice."""
    tree = unpack(tools, "/srv/first/image.tar", "/srv/plain")
    try:
        fresh(look(tools, tree))
    finally:
        tools.run("rm", "-rf", tree)


def test_mmdebstrap_hook(tools: Root) -> None:
    """With a hook that updates from outside; the image has nothing of ours but the cache."""
    archives = []
    for place in ("/srv/hooked-1", "/srv/hooked-2"):
        follow(tools, "mmdebstrap, with a hook", place)
        archives.append(f"{place}/hooked.tar")
    assert 1 == len(digest(tools, *archives))
    tree = unpack(tools, archives[0], "/srv/hooked")
    listed = tools.run("find", tree, "-name", "*dropin*cache*").out.split()
    try:
        assert [f"{tree}{PLUGINS}/dropin.cache"] == listed
        fresh(look(tools, tree))
    finally:
        tools.run("rm", "-rf", tree, "/srv/hooked-1", "/srv/hooked-2")


def test_mkosi(tools: Root) -> None:
    """Its package manager's hooks are passed by, and a script updates what is finished."""
    offline = "LocalMirror=file:///srv/mirror\nRepositoryKeyCheck=no\n\n[Output]"
    places = ("/srv/mkosi-1", "/srv/mkosi-2")
    for place in places:
        configuration = recipe("mkosi.conf", "ini").replace("[Output]", offline)
        tools.write(f"{place}/mkosi.conf", configuration)
        tools.write(f"{place}/mkosi.finalize", recipe("mkosi.finalize"), 0o755)
        printed = follow(tools, "mkosi", place)
        assert "DROPIN_CACHE_UPDATE_BYPASS is set" in printed
        assert "\nwritten: " in printed
    try:
        assert 1 == len(
            digest(tools, *(f"{place}/image{PLUGINS}/dropin.cache" for place in places))
        )
        fresh(look(tools, f"{places[0]}/image"))
    finally:
        tools.run("rm", "-rf", *places)


def test_chroot(tools: Root, places: list[str]) -> None:
    """The bypass keeps hooks from working; one update makes up for all."""
    for place in places:
        printed = follow(tools, "a chroot", place)
        assert "DROPIN_CACHE_UPDATE_BYPASS" in printed
    assert 1 == len(digest(tools, *(f"{place}/tree{PLUGINS}/dropin.cache" for place in places)))
    fresh(look(tools, f"{places[0]}/tree"), without="server")


def test_buildah(tools: Root, places: list[str]) -> None:
    """Layers are equal, and an arbitrary user without a home finds all fresh."""
    script = (
        "buildah inspect --type image --format '{{.FromImageDigest}}' plugins; "
        "buildah inspect --type image --format '{{.OCIv1.RootFS.DiffIDs}}' plugins"
    )
    layers = []
    for place in places:
        follow(tools, "buildah", place)
        layers.append(tools.run("sh", "-c", script).out)
    assert layers[0] == layers[1]
    inside = "sh -c 'id -u; dropin-cache check -q'"
    run = f"c=$(buildah from plugins) && buildah run --isolation chroot $c -- {inside}"
    assert "12345\n" == tools.run("sh", "-c", run).out
    mount = tools.run("sh", "-c", "buildah mount $(buildah from plugins)").out.strip()
    fresh(look(tools, mount), imports=True)
    tools.run("sh", "-c", "buildah rm --all && buildah rmi --all --force")


def test_nspawn(tools: Root, places: list[str]) -> None:
    """Nothing need be written, whichever part of the system is forgotten."""
    printed = follow(tools, "systemd-nspawn", places[0])
    assert 3 == len(re.findall(r"(?m)^fresh: ", printed))
    fresh(look(tools, f"{places[0]}/tree"))


def test_ostree(tools: Root, places: list[str]) -> None:
    """Commits are equal; in a deployment all dates are 0, and /usr is read-only."""
    ready = (
        "cd $0/tree && rm -rf run/* tmp/* && mv etc usr/etc && ln -s sysroot/ostree ostree "
        "&& mkdir -p usr/lib/modules/6.1 sysroot && echo stub >usr/lib/modules/6.1/vmlinuz"
    )
    commits = set()
    for place in places:
        tools.run("sh", "-euc", ready, place)
        follow(tools, "OSTree", place)
        repository = f"--repo={place}/sysroot/ostree/repo"
        commits.add(tools.run("ostree", "rev-parse", repository, "image").out)
    assert 1 == len(commits)
    (deployed,) = tools.run(
        "sh", "-c", f"echo {places[0]}/sysroot/ostree/deploy/debian/deploy/*.0"
    ).out.split()
    fresh(look(tools, deployed, read_only=True), imports=True)


@pytest.mark.parametrize("kind", ["squashfs", "erofs"])
def test_read_only_file_systems(tools: Root, places: list[str], kind: str) -> None:
    """Images are equal, and fresh when they are mounted."""
    for place in places:
        follow(tools, kind, place)
    assert 1 == len(digest(tools, *(f"{place}/image.{kind}" for place in places)))
    tools.run("mkdir", "-p", "/srv/mounted")
    tools.run("mount", "-o", "loop,ro", f"{places[0]}/image.{kind}", "/srv/mounted")
    try:
        fresh(look(tools, "/srv/mounted"))
    finally:
        tools.run("umount", "/srv/mounted")


def test_nix(tools: Root) -> None:
    """Two packages with plugins, joined, have one cache; built again it is the same."""
    source = tools.read(f"{PLUGINS}/twisted_web.py")
    for name, text in {
        "environment.nix": recipe("environment.nix", "nix"),
        "one.py": source,
        "two.py": source,
    }.items():
        tools.write(f"/srv/nix/{name}", text)
    tools.write("/etc/nix/nix.conf", "build-users-group =\n")
    follow(tools, "Nix", "/srv/nix")
    again = recipe("Nix").replace("nix-build", "nix-build --check")
    tools.run("sh", "-euc", f"cd /srv/nix\n{again}")
    site = "/srv/nix/result/lib/python3/site-packages"
    assert ["dropin.cache", "one.py", "two.py"] == sorted(
        tools.run("ls", f"{site}/twisted/plugins").out.split()
    )
    tools.run("dropin-cache", "check", "--quiet", "--path", site, "twisted.plugins")
    reader = ("python3", "-B", "-c", READER)
    seen = json.loads(tools.run(*reader, env={"PYTHONPATH": site}, user=65534).out)
    assert {"one", "two"} <= {name.partition(".")[0] for name in seen["plugins"]}


def test_table() -> None:
    """The table has a line for each tool that there is a recipe for."""
    text = DOCUMENT.read_text(encoding="utf-8")
    recipes = re.findall(r"^```sh\n# ([^:\n]+)", text, re.MULTILINE)
    rows = re.findall(r"^\| ([^|]+?) +\|", text, re.MULTILINE)[1:]
    assert recipes == rows
