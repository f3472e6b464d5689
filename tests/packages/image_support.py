"""A system with the tools that make images, and an archive of packages that they can take from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest  # noqa: TC002 - see TC001

from debian_support import built_packages
from roots import SUITE, Base, Prepared, Root, prepared, unstable
from rpm_support import TREE, kept

DOCUMENT = TREE / "docs" / "images.md"
EPOCH = "1700000000"
TOOLS = Base(
    "image-tools",
    (
        *("buildah", "bubblewrap", "dpkg-dev", "erofs-utils", "mkosi", "mmdebstrap", "nix-bin"),
        *("ostree", "python3-filelock", "python3-zope.interface", "squashfs-tools"),
        *("python3-twisted", "python3-wokkel", "systemd-container"),
    ),
)

# What an image has, besides what every Debian system has.
_CONTENTS = (
    *("bubblewrap", "dbus", "python3-filelock", "python3-twisted", "python3-wokkel", "systemd"),
    "systemd-sysv",
    *("ca-certificates", "libpam-systemd", "systemd-resolved", "usr-is-merged"),  # mkosi's
)

_PREPARE = r"""
set -eu
cd /srv/mirror
dpkg -i python3-dropin-cache_*.deb dropin-cache_*.deb
dpkg-scanpackages --multiversion . >Packages
# debootstrap, which mkosi runs, wants what a mirror has.
suite=dists/bookworm list=main/binary-amd64/Packages
mkdir -p "$suite/${list%/*}"
sed 's|^Filename: \./|Filename: |' Packages >"$suite/$list"
(
    cd "$suite"
    printf '%s: %s\n' Suite bookworm Codename bookworm Components main Architectures amd64
    printf 'Date: %s\nSHA256:\n' "$(date -u -R)"
    printf ' %s %s %s\n' "$(sha256sum <"$list" | cut -c 1-64)" "$(stat -c %s "$list")" "$list"
) >Release
mv Release "$suite/"
systemd-machine-id-setup
# Nothing here can register machines.
mv /usr/bin/systemd-nspawn /usr/bin/systemd-nspawn.real
cat >/usr/bin/systemd-nspawn <<'end'
#!/bin/sh
exec /usr/bin/systemd-nspawn.real --register=no --keep-unit "$@"
end
chmod +x /usr/bin/systemd-nspawn
# What is below is an overlay, and its file system is not to be had another time.
mkdir -p /etc/containers
printf '[storage]\ndriver = "vfs"\nrunroot = "/run/containers"\ngraphroot = "/srv/containers"\n' \
    >/etc/containers/storage.conf
"""


def recipe(name: str, language: str = "sh") -> str:
    """Return a recipe of docs/images.md.

    Args:
        name: What its first comment says, up to a colon.
        language: What it is written in.
    """
    text = DOCUMENT.read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    title = re.compile(rf"(#!/bin/sh\n)?# {re.escape(name)}(:.*)?\n")
    (found,) = (block for block in blocks if title.match(block))
    return str(found)


def builder(temporary: pytest.TempPathFactory) -> Prepared:
    """Return a system with the tools, our packages, and an image made by the first recipe."""
    packages = built_packages(temporary)

    def change(root: Root) -> None:
        for place in (_archive(), packages):
            for file in place.glob("*.deb"):
                root.copy(file, f"/srv/mirror/{file.name}")
        root.run("sh", "-c", _PREPARE)
        follow(root, "mmdebstrap, in one go", "/srv/first")

    return prepared(temporary, "image-builder", TOOLS, change)


def follow(root: Root, name: str, place: str) -> str:
    """Run a recipe in a directory; return what it printed.

    Args:
        root: The system with the tools.
        name: The recipe.
        place: The directory; what is in the archive of the first recipe is `tree` there.
    """
    (root.path / place[1:]).mkdir(exist_ok=True)
    environment = {
        "SOURCE_DATE_EPOCH": EPOCH,
        "MIRROR": "deb [trusted=yes] copy:/srv/mirror ./",
        "BUILDAH_ISOLATION": "chroot",
    }
    script = f"cd {place}\n{recipe(name)}"
    return root.run("sh", "-eu", "-c", script, env=environment, timeout=1800).out


def _archive() -> Path:
    """Return a directory with all packages that go into an image."""

    def make(place: Path) -> None:
        place.mkdir()
        subprocess.run(
            [
                *("mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(_CONTENTS)}"),
                *('--aptopt=APT::Install-Recommends "false"', *unstable(SUITE)),
                *("--skip=download/empty", "--skip=essential/unlink"),
                '--setup-hook=mkdir -p "$1/var/cache/apt/archives"',
                f"--customize-hook=sync-out /var/cache/apt/archives {place}",
                *(SUITE, "/dev/null"),
            ],
            check=True,
        )

    return kept(f"image-archive-{SUITE}", _CONTENTS, make)
