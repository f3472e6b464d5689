"""What takes long and seldom fails: the packages' own tests, as Debian runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from debian_support import BUILDER, Debian, built_packages
from roots import SUITE, Base

pytestmark = pytest.mark.long

TESTER = Base(
    "debian-tester",
    (
        *BUILDER.installed,
        *("autopkgtest", "bubblewrap", "build-essential", "systemd-standalone-sysusers"),
    ),
)


def test_piuparts(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, public_path: Path
) -> None:
    """Installing, upgrading, removing and purging leaves nothing behind.

    It makes a system of its own, for which it needs a network.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can make systems")
    packages = built_packages(tmp_path_factory)
    for file in packages.glob("*.deb"):
        shutil.copy(file, public_path)
    # Where the library comes from when the commands are tried alone.
    with (public_path / "Packages").open("w") as index:
        command = ["dpkg-scanpackages", "."]
        subprocess.run(
            command, cwd=public_path, stdout=index, stderr=subprocess.DEVNULL, check=True
        )
    done = subprocess.run(
        [
            *("piuparts", "--distribution", SUITE, "--warn-on-others", "--no-eatmydata"),
            # Else systemd is installed for the sake of systemd-sysusers, and leaves directories.
            "--fake-essential-packages=systemd-standalone-sysusers",
            f"--extra-repo=deb [trusted=yes] file:{public_path} ./",
            *(f"--bindmount={public_path}", f"--tmpdir={tmp_path}"),
            *sorted(map(str, public_path.glob("*dropin-cache_*.deb"))),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout[-2000:]


def test_autopkgtest(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All tests of debian/tests pass, on the system that they are started on."""
    packages: Path = built_packages(tmp_path_factory)
    debian = Debian(TESTER)
    try:
        debian.add(packages)
        command = "autopkgtest /srv/debs/*.changes -- null"
        done = debian.root.run("sh", "-c", command, status=None, timeout=1200)
        words = [line.split() for line in done.out.splitlines()]
        told = {each[0]: each[1] for each in words if each[1:] and each[1].isupper()}
        assert (0, {"stock-twisted": "PASS", "add-on": "PASS"}) == (done.status, told), done.err
    finally:
        debian.close()
