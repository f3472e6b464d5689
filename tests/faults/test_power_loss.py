"""The power fails in the middle of an update, wherever it can: the cache is the old or the new.

A real update runs on a disk that writes down all that reaches it. From that log come the disks that
a power failure may leave; the system recovers each by mounting it, as after a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import power_disk
import power_log
from conftest import Tree
from dropin_cache._cachefile import CacheFile
from power_disk import FILE_SYSTEMS
from power_updates import (
    RIGHT,
    WRONG,
    Found,
    Run,
    first,
    judge,
    overwriting,
    record,
    removal,
    replay,
)
from tally import LONG, tally

_STATES = 512 if LONG else 16  # for each flush
_CASES = [
    (system, scenario, ledger)
    for system in FILE_SYSTEMS
    for scenario in (first, overwriting, removal)
    for ledger in (True, False)
    if LONG or system == "ext4" or (scenario, ledger) == (overwriting, True)
]
_FLAWED = """
import os, sys
from dropin_cache import cli
from dropin_cache.update.files import cache_directory

{}
sys.exit(cli.main())
"""
_REPLACE = """
def replace(directory, name, data, mode, finish):
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | {flag}, mode, dir_fd=directory)
    {then}
    os.write(descriptor, data)
    os.ftruncate(descriptor, len(data))
    finish(descriptor)
    os.fsync(descriptor)
    os.fsync(directory)
    os.close(descriptor)
cache_directory.replace_file = replace
"""
_UNSYNCED = """
from stat import S_ISDIR
fsync = os.fsync
def sync(descriptor):
    if S_ISDIR(os.fstat(descriptor).st_mode) is {directories}:
        fsync(descriptor)
os.fsync = sync
"""
_FLAWS = {
    "no sync": "os.fsync = lambda descriptor: None",
    "no sync of directories": _UNSYNCED.format(directories=False),
    "no sync of files": _UNSYNCED.format(directories=True),
    # The system writes out what there is every few seconds; here it does so at a bad moment.
    "truncation": _REPLACE.format(flag="os.O_TRUNC", then="os.fsync(directory)"),
    "in place": _REPLACE.format(flag="0", then="pass"),
}


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory."""
    with power_disk.memory(tmp_path / "memory") as path:
        yield path


class TestUpdate:
    """An update during which the power fails."""

    @pytest.mark.parametrize(("system", "scenario", "ledger"), _CASES)
    def test_power_loss(
        self, memory: Path, system: str, scenario: Callable[[Tree], None], ledger: bool
    ) -> None:
        """The cache is the old or the new one, after exit status 0 the new; so is the ledger."""
        run = record(memory, FILE_SYSTEMS[system], scenario, ledger=ledger)
        counts = replay(run, memory / "place", _STATES)
        tally(f"power loss, {system}", **{word: counts[word] for word in (*RIGHT, *WRONG)})
        assert dict.fromkeys(WRONG, 0) == {word: counts[word] for word in WRONG}
        assert min(counts["old"], counts["new"]) > 0


class TestSelfCheck:
    """The harness, when there is something to find."""

    @pytest.mark.parametrize(
        ("flaw", "scenario", "word"),
        [
            ("no sync", overwriting, "lost_after_exit_0"),
            ("no sync of directories", overwriting, "lost_after_exit_0"),
            ("no sync of directories", removal, "lost_after_exit_0"),
            ("no sync of files", first, "empty"),
            ("truncation", overwriting, "empty"),
            ("in place", overwriting, "torn"),
        ],
    )
    def test_flaw_is_found(
        self, memory: Path, flaw: str, scenario: Callable[[Tree], None], word: str
    ) -> None:
        """A writer that leaves out a step is found out."""
        entry = ("-c", _FLAWED.format(_FLAWS[flaw]))
        run = record(memory, FILE_SYSTEMS["ext4"], scenario, entry, ledger=False)
        counts = replay(run, memory / "place", 16, mend=False)
        assert counts[word] > 0, counts


class TestJudge:
    """What is said of what a power failure left."""

    @pytest.mark.parametrize(
        ("cache", "ledger", "returned", "word"),
        [
            (b"old", b"old", False, "old"),
            (b"new", b"old", False, "new"),
            (b"new", b"new", True, "new"),
            (b"old", b"old", True, "lost_after_exit_0"),
            (b"old", b"new", False, "ledger_of_no_cache"),
            (b"new", b"neo", False, "false_ledger"),
            (b"nld", b"old", False, "torn"),
            (b"", b"old", False, "empty"),
            (None, b"old", False, "empty"),
        ],
    )
    def test_words(self, cache: bytes | None, ledger: bytes, returned: bool, word: str) -> None:
        """There is a word for each way in which it can be wrong."""
        run = Run(None, Path(), [], 0, seen(b"old", b"old"), seen(b"new", b"new"))
        assert word == judge(seen(cache, ledger), run, returned=returned)

    def test_ledger_that_is_none(self) -> None:
        """A ledger in which nothing is believed is as good as none."""
        run = Run(None, Path(), [], 0, seen(b"old", b"old"), seen(b"new", b"new"))
        assert "old" == judge(seen(b"old", b"o")._replace(known=False), run, returned=False)


def seen(cache: bytes | None, ledger: bytes) -> Found:
    """Make up what is found on a disk."""
    file = None if cache is None else CacheFile(cache, 0.0, 0, 0o644, 0)
    return Found(file, ledger, known=True)


class TestEpochs:
    """What is read from a log."""

    def test_split(self) -> None:
        """Writes are split at the ends of blocks, and the log at flushes."""
        block = b"b" * power_log.BLOCK
        log = b"write 4000 100\n" + b"a" * 100 + b"flush\nwrite 0 4096\n" + block
        first, second = power_log.epochs(log)
        assert [(4000, b"a" * 96), (4096, b"a" * 4)] == first.writes
        assert [(0, block)] == second.writes
        assert (log.index(b"flush") + 6, len(log) + 1) == (first.end, second.end)


class TestChoices:
    """Which writes reach the disk."""

    def test_all(self) -> None:
        """Few writes are lost in all the ways that there are."""
        found = power_log.choices(3, 8)
        assert [[], [0], [1], [0, 1], [2], [0, 2], [1, 2], [0, 1, 2]] == found

    def test_some(self) -> None:
        """Of many ways, some are tried: none and all, and as many others as were asked for."""
        found = power_log.choices(100, 50)
        assert 50 == len({tuple(each) for each in found})
        assert [] in found
        assert list(range(100)) in found
