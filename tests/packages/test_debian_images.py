"""Images that mmdebstrap builds with our packages and Twisted, and one that is upgraded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from conftest import missing
from debian_support import PLUGINS, READER, Seen, built_packages
from roots import SUITE

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("debian images")]

EPOCH = 1_700_000_000
INSTALLED = ("dropin-cache", "python3-dropin-cache", "python3-twisted", "python3-wokkel")


def build(image: Path, packages: Path, *options: str, suite: str = SUITE) -> None:
    """Build an image with our packages, in one go; what apt fetches needs a network."""
    line = f"deb [trusted=yes] copy:{packages} ./"
    command = [
        *("mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(INSTALLED)}"),
        '--aptopt=APT::Install-Recommends "false"',
        f'--setup-hook=echo "{line}" >"$1/etc/apt/sources.list.d/ours.list"',
        *options,
        '--customize-hook=rm -f "$1/etc/apt/sources.list.d/ours.list"',
    ]
    subprocess.run([*command, suite, str(image)], check=True)


@pytest.fixture
def packages(tmp_path_factory: pytest.TempPathFactory, public_path: Path) -> Path:
    """An archive with our packages, which apt can read."""
    if os.geteuid() != 0:
        pytest.skip("only root can make systems")
    for tool in ("mmdebstrap", "dpkg-scanpackages"):
        if shutil.which(tool) is None:
            missing(tool)
    for file in built_packages(tmp_path_factory).glob("*.deb"):
        shutil.copy(file, public_path)
    with (public_path / "Packages").open("w") as index:
        command = ["dpkg-scanpackages", "."]
        subprocess.run(
            command, cwd=public_path, stdout=index, stderr=subprocess.DEVNULL, check=True
        )
    return public_path


def contents(image: Path) -> dict[str, tuple[object, ...]]:
    """Return what there is in an image: everything of each file that has a say in what it is."""
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(image) as archive:
        for each in archive:
            file = archive.extractfile(each) if each.isreg() else None
            data = b"" if file is None else file.read()
            kept = each.mode, each.uid, each.gid, each.mtime, each.type, each.linkname
            found[each.name] = (*kept, hashlib.sha256(data).hexdigest())
    return found


def test_equal(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two builds, one after the other, make the same tree, with the cache in it."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))
    images = [tmp_path / name for name in ("one.tar", "another.tar")]
    for image in images:
        build(image, packages)
        time.sleep(2)  # other times of files, whatever they are rounded to
    one, another = map(contents, images)
    assert f".{PLUGINS}/dropin.cache" in one
    assert [] == sorted(name for name in {*one, *another} if one.get(name) != another.get(name))
    assert not [name for name in one if name.startswith("./var/cache/dropin-cache/")]


_UPGRADE = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive
rm /etc/apt/sources.list.d/ours.list
install -d -o nobody /srv/home

# What an administrator installs for the version of Python that there is now.
add_local() {
    site=/usr/local/lib/$(python3 -Ic 'import sys; print("python%d.%d" % sys.version_info[:2])')
    mkdir -p "$site/dist-packages/twisted/plugins"
    cp /usr/lib/python3/dist-packages/twisted/plugins/twisted_web.py \
        "$site/dist-packages/twisted/plugins/local$1.py"
    update-dropin-cache
    test -e "$site/dist-packages/twisted/plugins/dropin.cache"
}

former=bookworm number=1
for suite in trixie forky; do
    add_local $number
    sed -i "s/$former/$suite/g" /etc/apt/sources.list
    apt-get -qq -o Acquire::Check-Valid-Until=false update
    apt-get -qq -y dist-upgrade
    dropin-cache check
    HOME=/srv/home setpriv --reuid=nobody --regid=nogroup --clear-groups \
        python3 -c "$(cat /root/reader)" >/root/seen.$suite
    former=$suite number=$((number + 1))
done
add_local $number
dropin-cache check
python3 -c 'import sys; assert sys.version_info >= (3, 14)'
"""


def test_upgraded(packages: Path, tmp_path: Path) -> None:
    """What root wrote below /usr/local for one Python goes with it, from Debian 12 to the next two.

    Stock Twisted, as an ordinary user, then has nothing to import and nothing to say.
    """
    if SUITE != "bookworm":
        pytest.skip("it begins with Debian 12, and with packages that are built there")
    files = {"upgrade": _UPGRADE, "reader": READER}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    image = tmp_path / "image.tar"
    copied = (f"--customize-hook=copy-in {tmp_path / name} /root" for name in files)
    build(image, packages, *copied, '--customize-hook=chroot "$1" sh /root/upgrade')
    with tarfile.open(image) as archive:
        names = archive.getnames()
        for suite in ("trixie", "forky"):
            told = archive.extractfile(f"./root/seen.{suite}")
            assert told is not None
            seen = Seen(**json.load(told))
            assert ([], []) == (seen.imported, seen.messages)
            assert "server" in seen.dropins  # wokkel's
    local = re.compile(r"\./usr/local/lib/(python3\.\d+)/dist-packages/twisted/plugins/([^/]+)")
    found = sorted(match.groups() for match in map(local.fullmatch, names) if match)
    newest = found[-1][0]
    assert found == [
        ("python3.11", "local1.py"),
        ("python3.13", "local2.py"),
        (newest, "dropin.cache"),
        (newest, "local3.py"),
    ]
    assert f".{PLUGINS}/dropin.cache" in names
