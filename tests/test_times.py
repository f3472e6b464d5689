"""Caches of trees that came another way than by their installer: by images, archives and copies.

Whatever such a tool does to times, readers are right and quick to find it out, `check` says what
they do, and an update has nothing to do where nothing can be done.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dropin_cache
from command_line import no_process_left
from conftest import Tree, missing
from dropin_cache._cachefile import read_cache_file
from reader_support import cache_of, facts, forget, use
from updates import ROOT, own, run

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = pytest.mark.processes

_EPOCH = "1600000000"
_ODD = 1_500_000_001_987_654_321  # rounded differently by whatever rounds
_NAMES = ("hello", "later", "zulu")  # in front of dropin.cache where files are sorted, and behind


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@pytest.fixture
def package(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The plugin package of an application whose plugin modules have no round times."""
    module = use(tree, monkeypatch)
    for number, name in enumerate(_NAMES):
        tree.dropin(name, mtime_ns=_ODD + number * 10**9)
        own(tree, name)
    run(tree)
    return module


def shell(script: str, *arguments: object) -> None:
    """Run a script whose tools may be missing."""
    for word in ("cpio", "mkfs.erofs", "mksquashfs", "rsync", "unzip", "zip"):
        if word in script and shutil.which(word) is None:
            missing(word)
    subprocess.run(["sh", "-ec", script, "sh", *map(str, arguments)], check=True, stdout=-3)


# What happens to a tree between the one who makes it and the one who uses it.
WAYS = {
    "ostree": 'find "$1" -exec touch -h -d @0 {} +',
    "nix": 'find "$1" -exec touch -h -d @1 {} +',
    "flatpak": 'find "$1" ! -type d -exec touch -d "2011-11-11 11:11:11.5" {} +',
    "cp-a": 'cp -a "$1" "$2"',
    "cp-r": 'cp -r "$1" "$2"',
    "rsync-without-times": 'rsync -r "$1/" "$2"',
    "tar-ustar": 'mkdir "$2"; tar -C "$1" --format=ustar -cf - . | tar -C "$2" -xf -',
    "tar-pax": 'mkdir "$2"; tar -C "$1" --format=pax --sort=name -cf - . | tar -C "$2" -xf -',
    "tar-clamped": 'mkdir "$2"; tar -C "$1" --clamp-mtime --mtime=@1500000002 -cf - . |'
    ' tar -C "$2" -xf -',
    "tar-reversed": 'mkdir "$2"; cd "$1"; find . ! -type d | sort -r |'
    ' tar --mtime=@1600000000 --no-recursion -cf - -T - | tar -C "$2" -xf -',
    "zip": 'cd "$1"; zip -qr ../tree.zip .; unzip -q ../tree.zip -d "$2"',
}
DATES = {
    "last-second-of-ext4": "@15032385535",
    "beyond-it": "@99999999999",
    "last-second-there-is": "@9223372036854775807.999999999",
    "before-the-epoch": "@-1.5",
    "first-of-32-bits": "@-2147483648",
    "last-of-32-bits": "@2147483647.999999999",
    "one-nanosecond": "@0.000000001",
    "all-but-one": "@1500000000.999999999",
    "next-year": "next year",
}


def arrive(tree: Tree, way: str) -> None:
    """Have a tree come another way, to the same path, so that it stays where it is imported."""
    there = tree.path.with_name("there")
    shell(WAYS[way], tree.path, there)
    if there.exists():
        shutil.rmtree(tree.path)
        there.rename(tree.path)


def upgrade(tree: Tree, name: str) -> None:
    """Put another content of the same size and date into a plugin module, as a new file."""
    file = tree.path / "app" / "plugins" / f"{name}.py"
    status, text = file.stat(), file.read_text()
    new = file.with_name(".new")
    new.write_text(text.replace("IGreeter", "IChatter"))
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(file)
    after = file.stat()
    assert (status.st_size, status.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def found_by_reader(package: ModuleType) -> tuple[list[str], list[str]]:
    """Return the keys that a new process finds, and which plugin modules it imports for that."""
    names = [f"app.plugins.{name}" for name in _NAMES]
    forget(*names)
    for memory in ("_imports", "_snapshots", "_unwritable"):
        getattr(dropin_cache._plugins, memory).clear()
    keys = sorted(dropin_cache.getCache(package))
    return keys, [name for name in names if name in sys.modules]


def state(tree: Tree) -> list[str]:
    """Return what check says of the directories, and prove that it has imported nothing."""
    done = run(tree, write=False)
    assert [] == done.imported
    return list(done.states.values())


class TestWays:
    """Trees that came another way."""

    @pytest.mark.parametrize("way", WAYS)
    def test_same_content(self, tree: Tree, package: ModuleType, way: str) -> None:
        """Readers import nothing, and check says fresh; so it is after an update."""
        before = facts(read_cache_file(str(cache_of(tree).parent)).dropins())
        arrive(tree, way)
        assert (sorted(_NAMES), []) == found_by_reader(package)
        assert ["fresh"] == state(tree)
        run(tree)
        assert (sorted(_NAMES), []) == found_by_reader(package)
        assert ["fresh"] == state(tree)
        after = facts(read_cache_file(str(cache_of(tree).parent)).dropins())
        assert [each[3] for each in before.values()] == [each[3] for each in after.values()]
        assert ["unchanged"] == list(run(tree).states.values())

    @pytest.mark.parametrize("way", WAYS)
    def test_another_content(self, tree: Tree, package: ModuleType, way: str) -> None:
        """An upgrade of the same size and date is noticed by readers and by check."""
        tree.write("app/interfaces.py", (tree.path / "app/interfaces.py").read_text() + _CHATTER)
        arrive(tree, way)
        upgrade(tree, "zulu")
        assert ["stale"] == state(tree)
        assert (sorted(_NAMES), ["app.plugins.zulu"]) == found_by_reader(package)
        # The reader has written it down, for the next one.
        assert (sorted(_NAMES), []) == found_by_reader(package)
        assert ["fresh"] == state(tree)


_CHATTER = "\nclass IChatter(Interface):\n    pass\n"


class TestDates:
    """Plugin modules with dates that hardly any file has."""

    @pytest.mark.parametrize("date", DATES)
    def test_date(self, tree: Tree, package: ModuleType, date: str) -> None:
        """The cache is written once, and is fresh then for check, readers and the next update."""
        shell('touch -d "$2" "$1"', tree.path / "app/plugins/hello.py", DATES[date])
        assert ["fresh"] == state(tree)
        run(tree)
        assert ["unchanged"] == list(run(tree).states.values())
        assert ["fresh"] == state(tree)
        assert (sorted(_NAMES), []) == found_by_reader(package)


class TestTouched:
    """An update of files that have got other dates."""

    def test_nothing_imported(self, tree: Tree, package: ModuleType) -> None:
        """The dates are recorded, as if the files had been installed so, without any import."""
        os.utime(tree.path / "app/plugins/zulu.py", ns=(_ODD - 5, _ODD - 5))
        done = run(tree)
        assert ([], ["written"]) == (done.imported, list(done.states.values()))
        touched = cache_of(tree).read_bytes(), cache_of(tree).stat().st_mtime_ns
        run(tree, force=True)
        assert touched == (cache_of(tree).read_bytes(), cache_of(tree).stat().st_mtime_ns)
        assert ["unchanged"] == list(run(tree).states.values())

    def test_installed_again(self, tree: Tree, package: ModuleType) -> None:
        """The same files under other inodes change nothing but the cache's own change time."""
        before = cache_of(tree).read_bytes(), cache_of(tree).stat()
        for file in (tree.path / "app/plugins").glob("[!_]*.py"):
            shutil.copy2(file, tree.path / "copy")
            (tree.path / "copy").rename(file)
        done = run(tree)
        assert ([], ["unchanged"]) == (done.imported, list(done.states.values()))
        after = cache_of(tree).stat()
        assert before[0] == cache_of(tree).read_bytes()
        kept = (before[1].st_ino, before[1].st_mtime_ns, before[1].st_mode)
        assert kept == (after.st_ino, after.st_mtime_ns, after.st_mode)
        newest = max(
            file.stat().st_ctime_ns for file in (tree.path / "app/plugins").glob("[!_]*.py")
        )
        assert after.st_ctime_ns > newest  # and so readers need no digests

    @pytest.mark.parametrize("seconds", [0, 1, 1_400_000_000, 4_000_000_000])
    def test_cache_touched(self, tree: Tree, package: ModuleType, seconds: int) -> None:
        """A cache that has got another date has the right one after an update."""
        right = cache_of(tree).stat().st_mtime_ns
        os.utime(cache_of(tree), (seconds, seconds))
        assert ["fresh"] == state(tree)
        run(tree)
        assert right == cache_of(tree).stat().st_mtime_ns


@contextlib.contextmanager
def mounted(kind: str, tree: Tree, place: Path) -> Iterator[None]:
    """Have a file system, read-only or a copy-up of one, in the place of a tree."""
    image, empty = place / "image", place / "empty"
    empty.mkdir()
    scripts = {
        "squashfs": 'mksquashfs "$1" "$2" -quiet -no-progress; mount -o loop "$2" "$1"',
        "squashfs-flat": 'mksquashfs "$1" "$2" -quiet -no-progress -all-time 1;'
        ' mount -o loop "$2" "$1"',
        "erofs": 'mkfs.erofs --quiet -T 1 "$2" "$1"; mount -o loop "$2" "$1"',
        "bind-ro": 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"',
        "overlay": 'mount -t tmpfs tmpfs "$3"; mkdir "$3/up" "$3/work";'
        ' mount -t overlay -o "lowerdir=$1,upperdir=$3/up,workdir=$3/work" overlay "$1"',
    }
    try:
        shell(scripts[kind], tree.path, image, empty)
        yield
    finally:
        for target in (tree.path, empty):
            subprocess.run(["umount", "--lazy", str(target)], check=False, stderr=-3)


@pytest.mark.skipif(not ROOT, reason="mounts")
class TestFileSystems:
    """Trees on file systems that cannot be written, or are laid over others."""

    @pytest.mark.parametrize("kind", ["squashfs", "squashfs-flat", "erofs", "bind-ro"])
    def test_read_only(self, tree: Tree, package: ModuleType, tmp_path: Path, kind: str) -> None:
        """Readers import nothing, check says fresh, and an update has nothing to do or to say."""
        with mounted(kind, tree, tmp_path):
            assert (sorted(_NAMES), []) == found_by_reader(package)
            assert ["fresh"] == state(tree)
            done = run(tree)
            assert ([], ["unchanged"]) == (done.imported, list(done.states.values()))
            assert () == done.report.problems

    def test_read_only_and_stale(self, tree: Tree, package: ModuleType, tmp_path: Path) -> None:
        """What readers cannot use is told as it is where it cannot be mended."""
        upgrade(tree, "hello")
        with mounted("bind-ro", tree, tmp_path):
            assert ["stale"] == state(tree)
            assert ["failed"] == list(run(tree).states.values())

    def test_copied_up(self, tree: Tree, package: ModuleType, tmp_path: Path) -> None:
        """A plugin module that is written to in an overlay is noticed, whatever its date."""
        with mounted("overlay", tree, tmp_path):
            assert ["fresh"] == state(tree)
            file = tree.path / "app/plugins/hello.py"
            status = file.stat()
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # copied up, unchanged
            assert ["fresh"] == state(tree)
            assert (sorted(_NAMES), []) == found_by_reader(package)
            upgrade(tree, "hello")
            assert ["stale"] == state(tree)
