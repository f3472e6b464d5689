"""File systems that are really full or read-only, and writes that take only a part."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import missing
from fault_points import ANSWER, Count, Problem, left
from fault_support import STATE, Site, made_site
from scenarios import FIRST, OVERWRITE, Scenario
from tally import LONG
from test_failing_calls import KINDS, judged

_LOCKS = Path("/run/lock")
_PIECES = (1, 2, 3, 100, 511) if LONG else (100,)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The site, for all tests of this module."""
    with made_site() as made:
        yield made


@contextlib.contextmanager
def mounted(kind: str, place: Path, image: Path) -> Iterator[None]:
    """Have a small file system hold what a directory holds, as long as this lasts.

    Args:
        kind: "tmpfs" or "ext4".
        place: The directory.
        image: Where to put an image of the file system.
    """
    options = ["-o", "size=64k,nr_inodes=40,mode=0755"]
    source = "none"
    if kind == "ext4":
        if shutil.which("mkfs.ext4") is None:
            missing("mkfs.ext4 (Debian: e2fsprogs)")
        source = str(image)
        with image.open("wb") as file:
            file.truncate(1 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m0", "-N64", "-O^has_journal", source], check=True)
        options = ["-o", "loop"]
    place.mkdir(exist_ok=True)
    content = {path: path.read_bytes() for path in place.iterdir() if path.is_file()}
    times = {path: path.stat().st_mtime_ns for path in content}
    done = subprocess.run(["mount", "-t", kind, *options, source, place], check=False)
    if done.returncode != 0:
        pytest.skip(f"this machine cannot mount {kind}")
    try:
        for path, data in content.items():
            path.write_bytes(data)
            os.utime(path, ns=(times[path], times[path]))
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextlib.contextmanager
def spoiled(how: str, place: Path) -> Iterator[None]:
    """Use up what a file system has, or have it read-only, as long as this lasts."""
    if how == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        yield
        subprocess.run(["mount", "-o", "remount,rw", place], check=True)
        return
    filler = place / "filler"
    filler.mkdir()
    try:
        with pytest.raises(OSError, match="No space left"):
            fill(filler, 0 if how == "inodes" else 1 << 20)
        yield
    finally:
        shutil.rmtree(filler)


def fill(directory: Path, size: int) -> None:
    """Make files until no more fit."""
    for number in range(1000):
        with open(directory / str(number), "wb", 0) as file:
            written = 0
            while written < size:
                # As long as a page fits, and then as long as a byte does.
                written += file.write(b"x" * 4096)
    raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))


class TestFull:
    """There is no room, or no way to write, where something is to be written."""

    @pytest.mark.parametrize(
        ("kind", "how", "trigger"),
        [
            ("tmpfs", "blocks", False),
            ("tmpfs", "inodes", True),
            ("tmpfs", "read-only", True),
            ("ext4", "blocks", True),
            ("ext4", "inodes", False),
            ("ext4", "read-only", False),
        ],
    )
    def test_plugins(self, site: Site, tmp_path: Path, kind: str, how: str, trigger: bool) -> None:
        """The cache stays, an error says why, nothing is left, and with room all is well."""
        contents = OVERWRITE.prepare(site)
        arguments = ["--trigger"] if trigger else []
        words = "Read-only file system" if how == "read-only" else "No space left on device"
        with (
            Count("file system full or read-only", *KINDS) as count,
            mounted(kind, site.plugins, tmp_path / "image"),
        ):
            with spoiled(how, site.plugins):
                ended = site.run(*arguments)
                count.done["runs"] += 1
                count.add(f"{kind}, {how}", judged(site, contents, ended, trigger=trigger))
                count.add(f"{kind}, {how}", site.litter())
                assert contents[0] == site.content()
            assert (
                f"dropin-cache: error: cannot write {site.cache}: {words}"
                == (ended.err.splitlines()[0])
            )
            count.add("afterwards", [*site.next_run(), *site.damage(contents[1])])
        assert [] == count.problems, count.told

    @pytest.mark.parametrize("how", ["blocks", "inodes", "read-only"])
    def test_state(self, site: Site, tmp_path: Path, how: str) -> None:
        """Without room for the ledger the cache is written all the same."""
        contents = OVERWRITE.prepare(site)
        with (
            Count("file system full or read-only", *KINDS) as count,
            mounted("tmpfs", STATE, tmp_path / "image"),
        ):
            with spoiled(how, STATE):
                ended = site.run()
                count.done["runs"] += 1
                count.add(how, judged(site, contents, ended, trigger=False))
                count.add(how, [*site.litter(), *site.damage(contents[1])])
            assert (0, "") == (ended.status, ended.err)
            count.add("afterwards", [*site.next_run(), *site.damage(contents[1])])
        assert [] == count.problems, count.told

    @pytest.mark.parametrize("how", ["inodes", "read-only"])
    def test_locks(self, site: Site, tmp_path: Path, how: str) -> None:
        """Without room for a lock in the usual place, the directory itself has it."""
        contents = OVERWRITE.prepare(site)
        with (
            Count("file system full or read-only", *KINDS) as count,
            mounted("tmpfs", _LOCKS, tmp_path / "image"),
        ):
            with spoiled(how, _LOCKS):
                ended = site.run()
                count.done["runs"] += 1
                count.add(how, judged(site, contents, ended, trigger=False))
            assert (0, "", contents[1]) == (ended.status, ended.err, site.content())
            count.add("afterwards", [*site.next_run(), *site.damage(contents[1])])
        assert [] == count.problems, count.told

    @pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
    @pytest.mark.parametrize("how", ["blocks", "inodes", "read-only"])
    def test_reader(self, site: Site, tmp_path: Path, kind: str, how: str) -> None:
        """A reader that cannot write finds everything, says so once, and leaves the cache alone."""
        old, new = OVERWRITE.prepare(site)
        with (
            Count("file system full or read-only", *KINDS, ANSWER) as count,
            mounted(kind, site.plugins, tmp_path / "image"),
        ):
            with spoiled(how, site.plugins):
                ended = site.read()
                count.done["runs"] += 1
                count.add(f"{kind}, {how}", [*left(ended), *site.damage(old), *site.litter()])
                found = [json.loads(line) for line in ended.out.splitlines()]
                if [["hello", "loud"]] * 2 != found:
                    count.add(f"{kind}, {how}", [Problem(ANSWER, ended.out + ended.err)])
                number = errno.EROFS if how == "read-only" else errno.ENOSPC
            said = f"Unable to write to plugin cache {site.cache}: error number {number}\n"
            assert (0, said) == (ended.status, ended.err)
            afterwards = site.read()
            assert (0, "") == (afterwards.status, afterwards.err)
            count.add("afterwards", site.damage(new))
        assert [] == count.problems, count.told


class TestParts:
    """The kernel writes less than it was given, which it may do at any time."""

    @pytest.mark.parametrize("scenario", [FIRST, OVERWRITE], ids=lambda each: each.name)
    @pytest.mark.parametrize("piece", _PIECES)
    def test_short_writes(self, site: Site, scenario: Scenario, piece: int) -> None:
        """What was not written is written next."""
        contents = scenario.prepare(site)
        with Count("writes cut short", *KINDS) as count:
            ended = site.run(piece=piece)
            count.done["runs"] += 1
            count.add(f"{piece}", judged(site, contents, ended, trigger=False))
            count.add(f"{piece}", [*site.litter(), *site.damage(contents[1])])
        assert (0, "", []) == (ended.status, ended.err, count.problems)

    @pytest.mark.parametrize("missing_bytes", [1, 2, 50, 100, 200, 1000] if LONG else [1, 1000])
    def test_limit(self, site: Site, missing_bytes: int) -> None:
        """When only a part fits into the limit of file size, the old cache stays."""
        contents = OVERWRITE.prepare(site)
        assert contents[1] is not None
        size = max(0, len(contents[1]) - missing_bytes)
        with Count("writes cut short", *KINDS) as count:
            ended = site.run(file_size=size)
            count.done["runs"] += 1
            count.add(f"{size}", judged(site, contents, ended, trigger=False))
            count.add(f"{size}", [*site.litter(), *site.damage(contents[0])])
            count.add("afterwards", [*site.next_run(), *site.damage(contents[1])])
        assert [] == count.problems, count.told
        assert (5, True) == (ended.status, "File too large\n" in ended.err)
