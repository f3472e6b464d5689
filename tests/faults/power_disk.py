"""Disks in memory: made, mounted, recorded, and recovered after the power failed."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import missing
from power_log import Write

_PLUGIN = Path(__file__).with_name("power_recorder.py")
# Which Debian packages have the programs.
_PACKAGES = {
    "nbdkit": "nbdkit",
    "nbdfuse": "libnbd-bin",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.xfs": "xfsprogs",
    "setpriv": "util-linux",
}


class FileSystem(NamedTuple):
    """A kind of file system.

    Attributes:
        kind: As mount(8) has it.
        size: Bytes; the least that it can be made with, or enough.
        make: The command that makes one, but for the name of the image.
        options: For mount(8).
        check: The command that finds whether one is consistent; may be empty.
    """

    kind: str
    size: int
    make: tuple[str, ...]
    options: str = "loop"
    check: tuple[str, ...] = ()


# By itself, ext4 commits what there is five seconds after it began: on a busy machine, that could
# come in the place of a sync that has been left out.
_EXT4 = FileSystem(
    "ext4", 16 << 20, ("mkfs.ext4", "-q", "-b", "4096"), "loop,commit=300", ("e2fsck", "-f", "-n")
)
FILE_SYSTEMS = {
    "ext4": _EXT4,
    "ext4-writeback": _EXT4._replace(options="loop,commit=300,data=writeback"),
    "btrfs": FileSystem("btrfs", 128 << 20, ("mkfs.btrfs", "-q")),
    "xfs": FileSystem("xfs", 300 << 20, ("mkfs.xfs", "-q")),
}


@contextlib.contextmanager
def memory(path: Path) -> Iterator[Path]:
    """Have a directory in memory for images, if this process may mount."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    path.mkdir()
    if _run("mount", "-t", "tmpfs", "tmpfs", path).returncode != 0:
        pytest.skip("this machine does not let root mount")
    with _unmounting(path):
        yield path


def make(system: FileSystem, image: Path) -> None:
    """Make a file system, if there is the program for it."""
    _require(system.make[0])
    with image.open("wb") as file:
        file.truncate(system.size)
    _run(*system.make, image, check=True)


@contextlib.contextmanager
def mounted(system: FileSystem, image: Path, place: Path) -> Iterator[None]:
    """Mount an image."""
    command = ["mount", "-t", system.kind, "-o", system.options, image, place]
    done = _run(*command)
    if "failed to setup loop device" in done.stderr:
        missing("a loop device")
    assert 0 == done.returncode, done.stderr
    with _unmounting(place):
        yield


@contextlib.contextmanager
def bound(directory: Path, place: Path) -> Iterator[None]:
    """Have a directory somewhere else as well."""
    place.mkdir(exist_ok=True)
    _run("mount", "--bind", directory, place, check=True)
    with _unmounting(place):
        yield


@contextlib.contextmanager
def recorded(image: Path, log: Path) -> Iterator[Path]:
    """Serve an image as a file, and write down in a log what is written to it."""
    for program in ("nbdkit", "nbdfuse", "setpriv"):
        _require(program)
    if _run("nbdkit", "--dump-plugin", "python").returncode != 0:
        missing("nbdkit's plugin for Python (Debian has it in nbdkit-plugin-python)")
    if not os.path.exists("/dev/fuse"):
        missing("/dev/fuse")
    place = image.with_suffix(".served")
    place.mkdir()
    log.touch()
    server = ["nbdkit", "--exit-with-parent", "python", _PLUGIN, f"image={image}", f"log={log}"]
    # It has this process's mounts, and would keep them if this were killed.
    command = ["setpriv", "--pdeathsig", "KILL", "nbdfuse", place / "disk", "[", *server, "]"]
    with subprocess.Popen(command) as process:
        try:
            deadline = time.monotonic() + 60
            while not (place / "disk").exists():
                assert process.poll() is None, "nbdfuse has ended"
                assert time.monotonic() < deadline, "nbdfuse serves nothing"
                time.sleep(0.01)
            yield place / "disk"
        finally:
            # A loop device may take a moment to let go of the file.
            _run("umount", "--lazy", place)
            try:
                process.wait(60)
            finally:
                process.kill()
    place.rmdir()


class Disk:
    """A disk that can be as it was when the power failed."""

    def __init__(self, system: FileSystem, image: Path, place: Path) -> None:
        """Take over an image.

        Args:
            system: The file system on it.
            image: The image; it is changed.
            place: Where to mount what is recovered.
        """
        self._system, self._image, self._place = system, image, place
        self._state = image.with_suffix(".state")

    def write(self, writes: Iterable[Write]) -> None:
        """Write for good."""
        _write(self._image, writes)

    def holds(self, image: Path) -> bool:
        """Tell whether it is the same as an image."""
        return filecmp.cmp(self._image, image, shallow=False)

    @contextlib.contextmanager
    def failed(self, writes: Iterable[Write]) -> Iterator[None]:
        """Recover a copy to which these writes were the last, as the system does by mounting it."""
        # Not in Python: cp leaves out what was never written, which is most of it.
        _run("cp", "--sparse=always", self._image, self._state, check=True)
        _write(self._state, writes)
        with mounted(self._system, self._state, self._place):
            yield
        if self._system.check:
            done = _run(*self._system.check, self._state)
            assert 0 == done.returncode, done.stdout


def _write(image: Path, writes: Iterable[Write]) -> None:
    with image.open("r+b", buffering=0) as file:
        for each in writes:
            file.seek(each.offset)
            file.write(each.data)


def _require(program: str) -> None:
    if shutil.which(program) is None:
        missing(f"{program} (Debian has it in {_PACKAGES[program]})")


@contextlib.contextmanager
def _unmounting(place: Path) -> Iterator[None]:
    try:
        yield
    finally:
        _run("umount", place, check=True)


def _run(*command: str | Path, check: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=check, capture_output=True, text=True)
