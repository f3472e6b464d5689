"""Hostile images: nothing that `--root` names is executed before root has become another user."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import bare_environment, mounted_image, run
from conftest import Tree

pytestmark = pytest.mark.processes

# A program that needs no other file. It asks who it is, says so, and ends with status 7.
_CODE = bytes.fromhex(
    "b86b0000000f05488d352800000085c07407488d352d000000"
    "bf02000000ba10000000b8010000000f05bf07000000b8e70000000f05"
)
_ROOT, _OTHER = b"ran with uid 0!\n", b"ran as somebody\n"
PYTHON = "/usr/bin/python3"
LOADER = "/lib64/ld-linux-x86-64.so.2"
_TOOLS = (
    "setpriv",
    "prlimit",
    "choom",
    "bwrap",
    "unshare",
    "cat",
    "env",
    "nsenter",
    "rm",
    "chroot",
)


def _program() -> bytes:
    """Return a static program, elf(5), which can also stand in the place of a loader."""
    size = 120 + len(_CODE) + 32
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\2\1\1", 3, 62, 1, 120, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    return (
        header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096) + _CODE + _ROOT + _OTHER
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of packages with an application, and what that needs."""
    tree = Tree(tmp_path_factory.mktemp("site"))
    tree.application()
    tree.dropin("hello")
    found = bare_environment(tmp_path_factory.mktemp("environment") / "environment").site
    for name in ("zope", "dropin_cache"):
        shutil.copytree(found / name, tree.path / name)
    return tree.path


@pytest.fixture
def image(public_path: Path, site: Path) -> Iterator[Path]:
    """An image that has this machine's programs, and the application in /opt/site."""
    if platform.machine() != "x86_64":
        pytest.skip("the hostile program is for x86-64")
    with mounted_image(public_path / "image") as place:
        shutil.copytree(site, place / "opt" / "site")
        (place / "opt" / "site").chmod(0o755)
        yield place


def put(image: Path, *paths: str) -> None:
    """Put the program in the place of others, and their names in that of links."""
    for path in paths:
        place = Path(f"{image}{os.path.realpath(path)}")
        if place.exists():
            place.unlink()
            place.write_bytes(_program())
            place.chmod(0o755)


def updated(image: Path) -> tuple[int, str, bool]:
    """Update the image; return the status, what was said, and whether there is a cache now."""
    options = ["--root", image, "--path", "/opt/site", "--python", PYTHON]
    done = run("update", *options, "app.plugins")
    cache = image / "opt" / "site" / "app" / "plugins" / "dropin.cache"
    return done.status, done.out + done.err, cache.exists()


class TestNothingAsRoot:
    """Programs of the image in the place of those that a sandbox is made with."""

    def test_program(self, image: Path) -> None:
        """The hostile program works, and tells root from others."""
        put(image, "/usr/bin/setpriv")
        program = image / "usr" / "bin" / "setpriv"
        assert _ROOT == subprocess.run([program], capture_output=True, check=False).stderr
        other = ["setpriv", "--reuid=65534", "--", program]
        assert _OTHER == subprocess.run(other, capture_output=True, check=False).stderr

    def test_tools(self, image: Path) -> None:
        """None of the tools is the image's."""
        put(
            image,
            *(f"/usr/bin/{name}" for name in _TOOLS),
            "/usr/sbin/chroot",
            "/usr/sbin/ldconfig",
        )
        status, said, there = updated(image)
        assert (0, True) == (status, there)
        assert " ran " not in said

    @pytest.mark.parametrize("path", [PYTHON, LOADER], ids=["interpreter", "loader"])
    def test_interpreter(self, image: Path, path: str) -> None:
        """What starts first in the sandbox, and what loads that, is not root any more."""
        put(image, path)
        status, said, there = updated(image)
        assert (2, False) == (status, there)
        assert _OTHER.decode().strip() in said
        assert _ROOT.decode().strip() not in said

    @pytest.mark.parametrize("name", ["libc.so.6", "libm.so.6", "libz.so.1"])
    def test_library(self, image: Path, name: str) -> None:
        """A library of the image is loaded by nothing but the image's interpreter."""
        put(image, *map(str, Path("/usr/lib").glob(f"*/{name}")), f"/usr/lib64/{name}")
        status, said, there = updated(image)
        assert (2, False) == (status, there)
        assert "it did not start as a Python interpreter: /usr/bin/python3" in said

    def test_preloaded(self, image: Path) -> None:
        """What an image has loaded into every program does not count, ld.so(8)."""
        (image / "etc").mkdir()
        (image / "etc" / "ld.so.preload").write_text("/usr/lib/everywhere.so\n")
        put(image, "/usr/lib/everywhere.so")
        status, said, there = updated(image)
        assert (0, True) == (status, there)
        assert "everywhere.so" not in said
