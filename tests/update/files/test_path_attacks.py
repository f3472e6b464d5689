"""Another user of the machine, who tries to make root write, truncate or read something else.

The attacker is a process that really is another user, and the kernel's own protections of links
and FIFOs are switched off meanwhile, since not every machine has them on. Each test first shows
that its attack does hit code which takes no care; otherwise it would pass for want of an attack.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import filelock
import pytest

import host
from conftest import NOBODY
from dropin_cache import _scan
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin
from dropin_cache.errors import LockTimeoutError, NotWrittenError, UntrustedError
from dropin_cache.update.files import atomic, cache_directory, locations
from dropin_cache.update.files.trusted import Files

pytestmark = pytest.mark.processes

CACHE = "dropin.cache"
SECRET = b"what only root may read and write"
DATA = encode([CachedDropin("app.plugins.one", None)])
NEWEST = _scan.Dropin("one", "app.plugins.one", "one.py", 1, 10**18, 1e9)
PROTECTIONS = [
    Path("/proc/sys/fs", f"protected_{what}")
    for what in ("symlinks", "hardlinks", "regular", "fifos")
]
ROUNDS = 150
PATIENCE = 20  # seconds until an attack on careless code has to have worked


@pytest.fixture(scope="module", autouse=True)
def _unprotected() -> Iterator[None]:
    """Switch off what the kernel does against such attacks, for as long as these tests run."""
    if not all(os.access(path, os.W_OK) for path in PROTECTIONS[:2]):
        pytest.skip("only root can do that, and not in every container")
    with PROTECTIONS[0].open("rb") as turn:
        # One process at a time: the settings are the machine's, and somebody has to put them back.
        fcntl.flock(turn, fcntl.LOCK_EX)
        before = {path: path.read_text() for path in PROTECTIONS if path.exists()}
        try:
            for path in before:
                path.write_text("0")
            yield
        finally:
            for path, value in before.items():
                path.write_text(value)


class Area:
    """A place that both root and the attacker can reach.

    Attributes:
        path: The directory, which is root's.
        victim: A file of root's that the attacker wants to have changed.
        target: A plugin directory of root's in which the attacker wants to have something written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.target = path / "target" / "plugins"
        self.target.mkdir(parents=True)
        self.victim = self.target / CACHE
        self.reset()

    def reset(self) -> None:
        """Make the victim what it is in the beginning."""
        self.victim.write_bytes(SECRET)
        self.victim.chmod(0o600)

    def is_hit(self) -> bool:
        """Tell whether the victim, or the directory it is in, has been changed."""
        return (SECRET, [CACHE]) != (self.victim.read_bytes(), os.listdir(self.target))

    def of_attacker(self, name: str) -> Path:
        """Make a directory that belongs to the attacker."""
        path = self.path / name
        path.mkdir(parents=True)
        os.chown(path, NOBODY, NOBODY)
        return path

    def shared(self, name: str, mode: int) -> Path:
        """Make a directory of root's with a mode."""
        path = self.path / name
        path.mkdir(parents=True)
        path.chmod(mode)
        return path


@pytest.fixture
def area(public_path: Path) -> Area:
    """A place that both root and the attacker can reach."""
    return Area(public_path)


def start_attacker(act: Callable[[], object], done: int) -> int:
    """Start a process of the attacker; when it has done what it is for, it writes a byte."""
    child = host.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            act()
            os.write(done, b"+")
        finally:
            # Nothing of this process may go on in the child, whatever hooks into its exit.
            os.kill(os.getpid(), signal.SIGKILL)
    return child


def attack(act: Callable[[], object]) -> None:
    """Let the attacker do something, and check that it could be done."""
    read, done = os.pipe()
    child = start_attacker(act, done)
    os.close(done)
    os.waitpid(child, 0)
    with open(read, "rb") as file:
        assert b"+" == file.read()


@contextlib.contextmanager
def attacking(*acts: Callable[[], object]) -> Iterator[None]:
    """Let the attacker do several things in turn, as fast as possible, for a while."""

    def loop() -> None:
        while True:
            for act in acts:
                with contextlib.suppress(OSError):
                    act()

    child = start_attacker(loop, -1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def write_carelessly(directory: Path) -> None:
    """Write a cache as if there were nobody else."""
    with (directory / CACHE).open("wb") as file:
        file.write(DATA)


def write_cache(directory: Path | str, files: Files | None = None) -> None:
    """Write a cache as the writer does."""
    with cache_directory.open_locked(str(directory), 0, files) as target:
        target.replace(DATA, NEWEST)


def until(is_done: Callable[[], bool], act: Callable[[], object]) -> None:
    """Do something again and again until it has happened."""
    deadline = time.monotonic() + PATIENCE
    while not is_done():
        assert time.monotonic() < deadline, "the attack does not even hit careless code"
        with contextlib.suppress(OSError):
            act()


class TestCacheFile:
    """What the attacker puts under the name of the cache, where the attacker can write."""

    @pytest.fixture
    def plugins(self, area: Area) -> Path:
        """A plugin directory of the attacker, in which root is told to write."""
        return area.of_attacker("app")

    @pytest.mark.parametrize("plant", [os.symlink, os.link], ids=["symbolic", "hard"])
    def test_link(self, area: Area, plugins: Path, plant: Callable[[Path, Path], None]) -> None:
        """A link to a file of root's is replaced, and the file is not touched."""
        cache = plugins / CACHE
        attack(lambda: plant(area.victim, cache))
        write_carelessly(plugins)
        assert area.is_hit()

        area.reset()
        write_cache(plugins)
        assert not area.is_hit()
        assert 0o600 == area.victim.stat().st_mode & 0o777
        assert (DATA, 1) == (cache.read_bytes(), cache.lstat().st_nlink)

    def test_read_through_a_link(self, area: Area, plugins: Path) -> None:
        """The file that a symbolic link leads to is not taken for the cache."""
        attack(lambda: (plugins / CACHE).symlink_to(area.victim))
        assert SECRET == (plugins / CACHE).read_bytes()

        with cache_directory.open_locked(str(plugins), 0) as target:
            assert None is target.read()

    def test_fifo(self, area: Area, plugins: Path) -> None:
        """A FIFO neither blocks root nor gets what root writes."""
        cache = plugins / CACHE
        attack(lambda: os.mkfifo(cache))
        with pytest.raises(OSError, match="No such device") as caught:
            os.open(cache, os.O_WRONLY | os.O_NONBLOCK)
        assert errno.ENXIO == caught.value.errno, "it would not have waited for a reader"

        with cache_directory.open_locked(str(plugins), 0) as target:
            assert None is target.read()
            target.replace(DATA, NEWEST)
        assert DATA == cache.read_bytes()

    def test_directory(self, area: Area, plugins: Path) -> None:
        """Nothing is put into a directory instead, and nothing of the attacker's is removed."""
        cache = plugins / CACHE
        attack(lambda: (cache / "full").mkdir(parents=True))
        (area.path / "new").write_bytes(DATA)
        shutil.move(area.path / "new", cache)
        assert {"full", "new"} == set(os.listdir(cache))

        (cache / "new").unlink()
        with cache_directory.open_locked(str(plugins), 0) as target:
            assert None is target.read()
            with pytest.raises(NotWrittenError):
                target.replace(DATA, NEWEST)
            with pytest.raises(NotWrittenError):
                target.remove()
        assert [CACHE] == os.listdir(plugins)
        assert ["full"] == os.listdir(cache)

    @pytest.mark.parametrize("plant", [os.symlink, os.link], ids=["symbolic", "hard"])
    def test_swapped(self, area: Area, plugins: Path, plant: Callable[[Path, Path], None]) -> None:
        """It does not matter when the link comes and goes."""
        cache = plugins / CACHE

        def swap_in() -> None:
            with contextlib.suppress(OSError):
                cache.unlink()
            plant(area.victim, cache)

        def write_with_check() -> None:
            if not cache.is_symlink() and cache.stat().st_nlink == 1:
                write_carelessly(plugins)

        with attacking(swap_in, cache.unlink, cache.touch):
            until(area.is_hit, write_with_check)

        area.reset()
        with attacking(swap_in, cache.unlink, cache.touch):
            for _ in range(ROUNDS):
                write_cache(plugins)
                with cache_directory.open_locked(str(plugins), 0) as target:
                    file = target.read()
                # By a hard link root may see the file, though only to find that it is no cache.
                assert file is None or file.data in (b"", DATA, *[SECRET] * (plant == os.link))
        assert not area.is_hit()


class TestTemporaryFile:
    """Names that the attacker knows beforehand."""

    @pytest.mark.parametrize("plant", [os.symlink, os.link], ids=["symbolic", "hard"])
    def test_planted(
        self,
        area: Area,
        plant: Callable[[Path, Path], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Even if the random number were known, nothing would be written through a link."""
        plugins = area.of_attacker("app")
        name = f".{CACHE}.{'0' * 16}.new"
        attack(lambda: plant(area.victim, plugins / name))
        with (plugins / name).open("wb") as file:
            file.write(DATA)
        assert area.is_hit()

        area.reset()
        monkeypatch.setattr(os, "urandom", lambda size: b"\0" * size)
        descriptor = os.open(plugins, os.O_RDONLY)
        try:
            with pytest.raises(FileExistsError):
                atomic.replace_file(descriptor, CACHE, DATA, 0o644)
        finally:
            os.close(descriptor)
        assert not area.is_hit()
        assert [name] == os.listdir(plugins)

    def test_leftovers(self, area: Area) -> None:
        """What looks like litter of ours is removed by its name; nothing behind it is."""
        plugins = area.of_attacker("app")
        names = [f".{CACHE}.{digit * 16}.new" for digit in "0123"]
        attack(lambda: (plugins / names[0]).symlink_to(area.victim))
        attack(lambda: os.link(area.victim, plugins / names[1]))
        attack(lambda: (plugins / names[2]).symlink_to(area.target))
        attack((plugins / names[3]).mkdir)
        for name in names[:2]:
            (plugins / name).write_bytes(b"")
            assert area.is_hit()
            area.reset()

        write_cache(plugins)
        assert not area.is_hit()
        assert {names[0], names[2], names[3], CACHE} == set(os.listdir(plugins))


class TestDirectories:
    """What the attacker does to the directories on the way."""

    @pytest.fixture
    def files(self) -> Iterator[Files]:
        """How a privileged process opens things."""
        with Files(enforced=True) as files:
            yield files

    def refused(self, area: Area, plugins: Path, files: Files) -> None:
        """Check that careless code is hit by now, and that the writer refuses."""
        write_carelessly(plugins)
        assert area.is_hit()
        area.reset()
        with pytest.raises(UntrustedError):
            write_cache(plugins, files)
        assert not area.is_hit()
        assert [] == atomic.prune(files, str(area.path), str(plugins))

    @pytest.mark.parametrize("way", ["", "app", "app/plugins"])
    def test_link(self, area: Area, files: Files, way: str) -> None:
        """A symbolic link of the attacker's is not followed, be it the last or an earlier one."""
        home = area.of_attacker("home")
        target = {"": area.target, "app": area.target.parent}.get(way, area.target)
        link = home / way if way else area.path / "link"
        if way == "app/plugins":
            attack((home / "app").mkdir)
        if not way:
            area.path.chmod(0o1777)
        attack(lambda: link.symlink_to(target))
        self.refused(area, link / "plugins" if way == "app" else link, files)

    @pytest.mark.parametrize("mode", [0o755, 0o777, 0o775, 0o1777], ids="{:04o}".format)
    def test_replaced(self, area: Area, files: Files, mode: int) -> None:
        """Where the attacker can replace a directory of root's, it is refused before that too."""
        site = area.shared("site", mode)
        if mode == 0o755:
            os.chown(site, NOBODY, NOBODY)
        if mode == 0o775:
            os.chown(site, 0, NOBODY)
        (site / "plugins").mkdir()
        if mode == 0o1777:
            write_cache(site / "plugins", files)  # others cannot rename it, so this is well
            os.chown(site / "plugins", NOBODY, NOBODY)
        with pytest.raises(UntrustedError):
            write_cache(site / "plugins", files)

        def replace() -> None:
            (site / "plugins").rename(site / "old")
            (site / "plugins").symlink_to(area.target)

        attack(replace)
        self.refused(area, site / "plugins", files)

    def test_hard_link_to_a_link_of_root(self, area: Area, files: Files) -> None:
        """A link of root's that the attacker has given a new place leads somewhere else there."""
        (area.path / "a" / "b").mkdir(parents=True)
        (area.path / "a" / "b" / "link").symlink_to("../target/plugins")
        shared = area.shared("shared", 0o1777)
        old, new = area.path / "a" / "b" / "link", shared / "plugins"
        attack(lambda: os.link(old, new, follow_symlinks=False))
        assert 0 == new.lstat().st_uid
        self.refused(area, new, files)

    def test_swapped(self, area: Area, files: Files) -> None:
        """Between a directory and links, the attacker finds no moment in which it is accepted."""
        app = area.shared("shared", 0o1777) / "app"
        (area.path / "link").symlink_to(area.target)  # root's

        def remove() -> None:
            with contextlib.suppress(OSError):
                (app / CACHE).unlink()
            app.rmdir()

        def hard_link() -> None:
            os.link(area.path / "link", app, follow_symlinks=False)

        def write_with_check() -> None:
            if not app.is_symlink() and app.is_dir():
                write_carelessly(app)

        acts = [app.mkdir, remove, lambda: app.symlink_to(area.target), app.unlink]
        with attacking(*acts):
            until(area.is_hit, write_with_check)

        area.reset()
        outcomes: list[str] = []
        with attacking(*acts, hard_link, app.unlink):
            until(
                lambda: outcomes.count("UntrustedError") >= ROUNDS,
                lambda: outcomes.append(self.outcome(app, files)),
            )
        assert not area.is_hit()
        assert {"UntrustedError", "NotWrittenError"} >= set(outcomes)

    def outcome(self, directory: Path | str, files: Files) -> str:
        """Write a cache; return the name of the error, or nothing if it has been written."""
        try:
            write_cache(directory, files)
        except (UntrustedError, NotWrittenError) as error:
            return type(error).__name__
        return ""

    @pytest.mark.parametrize("kind", ["absolute", "relative"])
    def test_swapped_in_an_image(self, area: Area, kind: str) -> None:
        """Whatever is swapped in an image, nothing outside of it is written."""
        image = area.of_attacker("image")
        app, new = image / "app", image / ".new"
        attack((image / "real").mkdir)
        outside = str(area.target) if kind == "absolute" else "../target/plugins"

        def swap(target: str) -> None:
            with contextlib.suppress(OSError):
                new.unlink()
            new.symlink_to(target)
            new.rename(app)

        acts = [lambda: swap("real"), lambda: swap(outside)]
        with attacking(*acts):
            until(area.is_hit, lambda: write_carelessly(app))

        area.reset()
        outcomes: list[str] = []
        with attacking(*acts), Files(enforced=False, root=str(image)) as files:
            until(
                lambda: outcomes.count("") >= ROUNDS,
                lambda: outcomes.append(self.outcome("/app", files)),
            )
        assert not area.is_hit()
        assert DATA == (image / "real" / CACHE).read_bytes()
        assert "NotWrittenError" in outcomes, "nothing was swapped"


class TestLock:
    """What the attacker does to root's place for locks."""

    @pytest.fixture
    def place(self, area: Area, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The place for locks, in a directory like /run/lock, before root has made it."""
        place = area.shared("lock", 0o1777) / "dropin-cache"
        places = [str(place), str(area.path / "dropin-cache")]
        monkeypatch.setattr(locations, "lock_directories", lambda: places)
        return place

    @pytest.fixture
    def plugins(self, area: Area) -> Path:
        """A plugin directory of root's."""
        path = area.path / "site" / "plugins"
        path.mkdir(parents=True)
        return path

    def name(self, plugins: Path) -> str:
        """Return the name of the lock of a directory."""
        return f"{plugins.stat().st_dev:x}-{plugins.stat().st_ino:x}.lock"

    def passed_over(self, area: Area, plugins: Path) -> None:
        """Check that the lock is in the other place: the attacker does not keep root from it."""
        with Files(enforced=True) as files:
            write_cache(plugins, files)
        assert [self.name(plugins)] == os.listdir(area.path / "dropin-cache")
        assert ["dropin.cache"] == os.listdir(plugins)
        assert not area.is_hit()

    def test_symbolic_link(self, area: Area, place: Path, plugins: Path) -> None:
        """No lock is made in a directory that a link of the attacker's leads to."""
        attack(lambda: place.symlink_to(area.target))
        (place / "x.lock").touch()
        assert area.is_hit()

        (area.target / "x.lock").unlink()
        self.passed_over(area, plugins)

    @pytest.mark.parametrize("kind", ["symbolic", "hard"])
    def test_link_in_a_directory_of_the_attacker(
        self, area: Area, place: Path, plugins: Path, kind: str
    ) -> None:
        """No lock is made, and nothing truncated, in a directory that the attacker has made."""
        name = self.name(plugins)

        def plant() -> None:
            place.mkdir(mode=0o700)
            if kind == "hard":
                os.link(area.victim, place / name)
            else:
                (place / name).symlink_to(area.victim)

        attack(plant)
        with (place / name).open("wb"):  # as filelock opened it up to 4.2.0
            assert area.is_hit()

        area.reset()
        self.passed_over(area, plugins)

    @pytest.mark.parametrize("kind", ["file", "hard link", "fifo"])
    def test_no_directory(self, area: Area, place: Path, plugins: Path, kind: str) -> None:
        """What is no directory is not opened: neither waited for, nor truncated."""
        if kind == "file":
            attack(place.touch)
        elif kind == "fifo":
            attack(lambda: os.mkfifo(place))
            with pytest.raises(OSError, match="No such device"):  # would wait
                os.open(place, os.O_WRONLY | os.O_NONBLOCK)
        else:
            attack(lambda: os.link(area.victim, place))
            with place.open("wb"):
                assert area.is_hit()
            area.reset()
        self.passed_over(area, plugins)

    def test_open_place(self, area: Area, place: Path, plugins: Path) -> None:
        """The attacker cannot hold locks of root's: nobody else gets at them."""
        careless = place.parent / "careless.lock"
        careless.touch()
        attack(lambda: fcntl.flock(os.open(careless, os.O_RDONLY), fcntl.LOCK_EX))

        write_cache(plugins)
        name = place / self.name(plugins)
        assert name.is_file()

        def take() -> None:
            with pytest.raises(PermissionError):
                os.open(name, os.O_RDONLY)
            with pytest.raises(PermissionError):
                place.rename(place.parent / "moved")

        attack(take)

    def test_held_for_ever(self, area: Area, place: Path, plugins: Path) -> None:
        """A lock that is never let go costs the time that was given, and nothing is written."""
        (plugins / CACHE).write_bytes(SECRET)
        place.mkdir(mode=0o700)
        held = os.open(place / self.name(plugins), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(filelock.Timeout):
                filelock.FileLock(place / self.name(plugins)).acquire(timeout=0)

            start = time.monotonic()
            with (
                pytest.raises(LockTimeoutError),
                Files(enforced=True) as files,
                cache_directory.open_locked(str(plugins), 0.3, files),
            ):
                pass
            assert 0.3 <= time.monotonic() - start
        finally:
            os.close(held)
        assert SECRET == (plugins / CACHE).read_bytes()
        assert [CACHE] == os.listdir(plugins)
