"""Images that mmdebstrap builds with our packages and Twisted, and one that is upgraded."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from conftest import missing
from debian_support import PLUGINS, built_packages
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


_UPGRADE = """
set -eu
export DEBIAN_FRONTEND=noninteractive
site=/usr/local/lib/python3.11/dist-packages/twisted/plugins
mkdir -p $site
cp /usr/lib/python3/dist-packages/twisted/plugins/twisted_web.py $site/local.py
update-dropin-cache
test -e $site/dropin.cache
rm /etc/apt/sources.list.d/ours.list
sed -i 's/bookworm/trixie/g' /etc/apt/sources.list
apt-get -qq update
apt-get -qq -y dist-upgrade
dropin-cache check
python3 -c 'import sys; assert sys.version_info >= (3, 13)'
ls $site
"""


def test_upgraded(packages: Path, tmp_path: Path) -> None:
    """What root wrote below /usr/local for Python 3.11 goes with an upgrade to Debian 13."""
    script = tmp_path / "upgrade"
    script.write_text(_UPGRADE)
    image = tmp_path / "image.tar"
    copied = f"--customize-hook=copy-in {script} /root"
    build(image, packages, copied, '--customize-hook=chroot "$1" sh /root/upgrade')
    found = contents(image)
    site = "./usr/local/lib/python3.11/dist-packages/twisted/plugins"
    assert {f"{site}/local.py"} == {name for name in found if name.startswith(f"{site}/")}
    assert f".{PLUGINS}/dropin.cache" in found
