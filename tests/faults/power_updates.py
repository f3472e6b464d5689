"""Updates that a power failure ends: recorded, and judged by what each failure leaves."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import power_disk
import power_log
from conftest import Tree
from dropin_cache._cachefile import CacheFile, read_cache_file
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.state.ledger import Ledger
from power_disk import Disk, FileSystem
from power_log import Epoch
from updates import ledger_file

RIGHT = ("crash_states", "old", "new", "mended")
"""What is counted: how often the power failed, what may be found."""

WRONG = ("torn", "empty", "lost_after_exit_0", "false_ledger", "ledger_of_no_cache", "not_mended")
"""What may not."""

_EVERY = 50  # how many states there are for each that is updated once more
_PARTS = 40  # of a docstring: enough for a cache of many blocks
_REAL = ("-m", "dropin_cache")


class Found(NamedTuple):
    """What is on a disk.

    Attributes:
        cache: The cache, its times and mode too; None if there is none.
        ledger: The ledger's bytes; None if there is none.
        known: Whether anything is believed that is in there.
    """

    cache: CacheFile | None
    ledger: bytes | None
    known: bool

    @classmethod
    def on(cls, place: Path) -> Found:
        """Look at a disk that is mounted."""
        ledger = place / "ledger" / ledger_file().name
        loaded = Ledger(str(ledger), Files(enforced=False))
        return cls(
            read_cache_file(str(place / "tree/app/plugins")),
            ledger.read_bytes() if ledger.exists() else None,
            bool(loaded.interpreters or loaded.directories),
        )


class Run(NamedTuple):
    """An update that was recorded.

    Attributes:
        disk: The disk as it was before the update.
        image: The disk as it was in the end.
        epochs: What was written after that.
        returned: Where in the log the update ended.
        old: What was there before.
        new: What was there afterwards.
    """

    disk: Disk
    image: Path
    epochs: list[Epoch]
    returned: int
    old: Found
    new: Found


def first(tree: Tree) -> None:
    """There is no cache yet."""
    tree.application()
    for name in ("one", "two"):
        document(tree.dropin(name), name)


def overwriting(tree: Tree) -> None:
    """One drop-in of two has changed since the last update."""
    first(tree)
    assert 0 == update(tree.path, _REAL)
    document(tree.dropin("two"), "changed")


def removal(tree: Tree) -> None:
    """All drop-ins have gone since the last update."""
    first(tree)
    assert 0 == update(tree.path, _REAL)
    for name in ("one", "two"):
        (tree.path / f"app/plugins/{name}.py").unlink()


def document(dropin: Path, word: str) -> None:
    """Give a drop-in a docstring of some blocks."""
    text = "\n".join(f"{number} {word * 99}" for number in range(_PARTS))
    dropin.write_text(f'"""{text}"""\n{dropin.read_text()}')


def update(tree: Path, entry: tuple[str, ...]) -> int:
    """Update the caches in a tree; return the exit status."""
    command = [sys.executable, "-B", *entry, "update", "app.plugins", "--path", tree]
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode


@contextlib.contextmanager
def ledger_on(place: Path) -> Iterator[None]:
    """Have the ledger on a disk, if there is a directory for it."""
    if (place / "ledger").exists():
        with power_disk.bound(place / "ledger", ledger_file().parent):
            yield
    else:
        yield


def record(
    memory: Path,
    system: FileSystem,
    scenario: Callable[[Tree], None],
    entry: tuple[str, ...] = _REAL,
    *,
    ledger: bool = True,
) -> Run:
    """Record the update that a scenario leads up to.

    Args:
        memory: Where to keep images.
        system: The file system.
        scenario: What to do before it.
        entry: How to start the command.
        ledger: Whether the ledger lies on the same disk. Writing it out may take along what has
            been forgotten of the cache.
    """
    image, base, log, place = (memory / name for name in ("image", "base", "log", "place"))
    place.mkdir()
    power_disk.make(system, image)
    with power_disk.mounted(system, image, place):
        if ledger:
            (place / "ledger").mkdir()
        with ledger_on(place):
            scenario(Tree(place / "tree"))
        old = Found.on(place)
    subprocess.run(["cp", "--sparse=always", image, base], check=True)
    with (
        power_disk.recorded(image, log) as served,
        power_disk.mounted(system, served, place),
        ledger_on(place),
    ):
        subprocess.run(["sync", "-f", place], check=True)
        began = log.stat().st_size
        status = update(place / "tree", entry)
        returned = log.stat().st_size
        new = Found.on(place)
    assert 0 == status
    assert old.cache != new.cache
    disk, epochs = Disk(system, base, place), power_log.epochs(log.read_bytes())
    while epochs[0].end <= began:
        disk.write(epochs.pop(0).writes)
    return Run(disk, image, epochs, returned, old, new)


def judge(found: Found, run: Run, *, returned: bool) -> str:
    """Say in a word what a power failure left."""
    if found.ledger not in {run.old.ledger, run.new.ledger} and found.known:
        return "false_ledger"
    if found.cache == run.new.cache:
        return "new"
    if found.ledger == run.new.ledger != run.old.ledger:
        return "ledger_of_no_cache"
    if found.cache == run.old.cache:
        return "lost_after_exit_0" if returned else "old"
    return "torn" if found.cache is not None and found.cache.data else "empty"


def replay(run: Run, place: Path, limit: int, *, mend: bool = True) -> Counter[str]:
    """Let the power fail wherever it can; count what that left.

    Args:
        run: The update.
        place: Where its disk is mounted.
        limit: How many states to try for each flush.
        mend: Whether to look for what the next update makes of some of them.
    """
    counts: Counter[str] = Counter()
    for epoch in run.epochs:
        for chosen in power_log.choices(len(epoch.writes), limit):
            with run.disk.failed(epoch.writes[number] for number in chosen):
                counts[judge(Found.on(place), run, returned=epoch.end > run.returned)] += 1
                counts["crash_states"] += 1
                if mend and counts["crash_states"] % _EVERY == 0:
                    counts["mended" if is_mended(place, run) else "not_mended"] += 1
        run.disk.write(epoch.writes)
    assert run.disk.holds(run.image), "something was written that is not in the log"
    return counts


def is_mended(place: Path, run: Run) -> bool:
    """Tell whether the next update makes all as it should be."""
    with ledger_on(place):
        status = update(place / "tree", _REAL)
    left = [path.name for path in (place / "tree/app/plugins").iterdir() if path.suffix == ".new"]
    return (0, run.new.cache, []) == (status, Found.on(place).cache, left)
