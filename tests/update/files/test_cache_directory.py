"""Writing a cache: locks, files, dates, and what is left when it fails."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from command_line import give_away, in_mount_namespace, strace, unprivileged
from conftest import NOBODY, run_python
from dropin_cache import _decode, _scan
from dropin_cache._cachefile import CacheFile, read_cache_file
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin
from dropin_cache.errors import LockTimeoutError, NotWrittenError, UntrustedError
from dropin_cache.update.files import cache_directory
from dropin_cache.update.files.trusted import Files

CACHE = "dropin.cache"
OLD = b"what was there before"
NEWEST = _scan.Dropin("one", "app.plugins.one", "one.py", 1, 10**18, 1e9)

# What a child needs to write the cache of the directory that is its first argument.
WRITE = """
import sys
from dropin_cache import _scan
from dropin_cache._model import CachedDropin
from dropin_cache.update.files import cache_directory

def write_cache(directory=sys.argv[1]):
    dropin = _scan.Dropin("one", "app.plugins.one", "one.py", 1, 10**18, 1e9)
    entry = CachedDropin("app.plugins.one", None)
    cache_directory.write_cache(directory, [entry], [dropin], lock_timeout=0)
"""


def entry(name: str = "one", description: str | None = None) -> CachedDropin:
    """Return an entry of a cache."""
    return CachedDropin(f"app.plugins.{name}", description)


def dropin(path: Path) -> _scan.Dropin:
    """Return what the scan finds out about a file."""
    named = _scan.Dropin(path.stem, f"app.plugins.{path.stem}", str(path))
    return _scan.with_status(named, path.stat())


def write_one(directory: Path, mtime_ns: int = 10**18, timeout: float = 0) -> _scan.Dropin:
    """Write a drop-in and a cache for it."""
    file = directory / "one.py"
    file.touch()
    os.utime(file, ns=(mtime_ns, mtime_ns))
    cache_directory.write_cache(str(directory), [entry()], [dropin(file)], lock_timeout=timeout)
    return dropin(file)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A plugin directory."""
    path = tmp_path / "plugins"
    path.mkdir()
    return path


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    """Set the umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def locked_by_another_process(directory: Path) -> Iterator[None]:
    """Let another process hold the lock of a directory."""
    code = (
        "import sys\n"
        "from dropin_cache.update.files import cache_directory\n"
        "with cache_directory.open_locked(sys.argv[1], 0):\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-B", "-c", code, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert "locked\n" == process.stdout.readline()
        yield
        process.stdin.close()


class TestReplace:
    """The file that takes the cache's place."""

    def test_holds_the_data(self, directory: Path) -> None:
        """The cache is what the encoder makes of the entries, and nothing else is written."""
        write_one(directory)
        assert encode([entry()]) == (directory / CACHE).read_bytes()
        assert {"one.py", CACHE} == set(os.listdir(directory))

    @pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o277], ids="{:03o}".format)
    def test_mode_is_0644(self, directory: Path, mask: int) -> None:
        """Everybody can read the cache and nobody else write it, whatever the umask."""
        write_one(directory)  # makes the place for locks
        with umask(mask):
            write_one(directory)
        assert 0o644 == stat.S_IMODE((directory / CACHE).stat().st_mode)

    def test_old_file_is_replaced_and_not_changed(self, directory: Path) -> None:
        """Who has the old cache open goes on reading the old cache."""
        (directory / CACHE).write_bytes(OLD)
        with (directory / CACHE).open("rb") as reader:
            write_one(directory)
            assert OLD == reader.read()

    def test_hard_link(self, directory: Path) -> None:
        """A file that somebody linked to the cache's name keeps its content and its mode."""
        victim = directory.parent / "victim"
        victim.write_bytes(OLD)
        victim.chmod(0o600)
        os.link(victim, directory / CACHE)
        write_one(directory)
        assert (OLD, 0o600) == (victim.read_bytes(), stat.S_IMODE(victim.stat().st_mode))
        assert 1 == (directory / CACHE).stat().st_nlink

    @pytest.mark.parametrize("target", ["victim", "missing", CACHE])
    def test_symbolic_link(self, directory: Path, target: str) -> None:
        """A symbolic link is replaced, and what it names is left alone."""
        victim = directory.parent / "victim"
        victim.write_bytes(OLD)
        (directory / CACHE).symlink_to(directory / target if target == CACHE else victim)
        if target == "missing":
            victim.unlink()
        write_one(directory)
        assert stat.S_ISREG((directory / CACHE).lstat().st_mode)
        assert (target != "missing") == victim.exists()
        assert target == "missing" or victim.read_bytes() == OLD

    def test_fifo(self, directory: Path) -> None:
        """A FIFO is replaced, and nothing waits for a reader or writer of it."""
        os.mkfifo(directory / CACHE)
        write_one(directory)
        assert stat.S_ISREG((directory / CACHE).lstat().st_mode)

    @pytest.mark.parametrize("content", [[], ["file"]], ids=["empty", "full"])
    def test_directory(self, directory: Path, content: list[str]) -> None:
        """A directory by the name of the cache is an error, and stays with all it holds."""
        (directory / CACHE).mkdir()
        for name in content:
            (directory / CACHE / name).touch()
        with pytest.raises(NotWrittenError) as caught:
            write_one(directory)
        assert errno.EISDIR == caught.value.errno
        assert content == os.listdir(directory / CACHE)
        assert {"one.py", CACHE} == set(os.listdir(directory))

    def test_too_large_for_any_reader(self, directory: Path) -> None:
        """What readers would refuse is not put in the place of a cache."""
        (directory / CACHE).write_bytes(OLD)
        huge = entry(description="x" * _decode.MAX_SIZE)
        with pytest.raises(NotWrittenError) as caught:
            cache_directory.write_cache(str(directory), [huge], [NEWEST], lock_timeout=0)
        assert errno.EFBIG == caught.value.errno
        assert [CACHE] == os.listdir(directory)
        assert OLD == (directory / CACHE).read_bytes()

    def test_file_size_limit(self, directory: Path) -> None:
        """A write that ends half way leaves the old cache and no litter."""
        (directory / CACHE).write_bytes(OLD)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        data = encode([entry(description="x" * 9999)])
        with cache_directory.open_locked(str(directory), 0) as target:
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
                with pytest.raises(NotWrittenError) as caught:
                    target.replace(data, NEWEST)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
                signal.signal(signal.SIGXFSZ, before)
        assert errno.EFBIG == caught.value.errno
        assert str(directory / CACHE) == caught.value.path
        assert [CACHE] == os.listdir(directory)
        assert OLD == (directory / CACHE).read_bytes()

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs files of two users")
    def test_of_another(self, public_path: Path) -> None:
        """Where everybody may write, nobody replaces what is another's, and need not read it."""
        public_path.chmod(0o1777)
        cache = public_path / CACHE
        cache.write_bytes(OLD)
        cache.chmod(0o600)
        with (
            unprivileged(),
            cache_directory.open_locked(str(public_path), 0) as target,
            pytest.raises(NotWrittenError) as caught,
        ):
            target.replace(encode([entry()]), NEWEST)
        assert (errno.EPERM, os.strerror(errno.EPERM)) == (caught.value.errno, caught.value.reason)
        assert OLD == cache.read_bytes()

    def test_times_of_the_directory(self, directory: Path) -> None:
        """The directory of an image gets its times back, when all goes well and when not."""
        litter = directory / f".{CACHE}.0123456789abcdef.new"
        for data in (encode([entry()]), b"no cache"):
            litter.touch()
            os.utime(directory, ns=(10**18, 10**18 + 1))
            with (
                cache_directory.open_locked(str(directory), 0) as target,
                contextlib.suppress(NotWrittenError),
            ):
                target.replace(data, NEWEST, keep_time=True)
            status = directory.stat()
            assert (10**18, 10**18 + 1) == (status.st_atime_ns, status.st_mtime_ns)
            assert [CACHE] == os.listdir(directory)

    def test_times_are_not_kept_unasked(self, directory: Path) -> None:
        """Elsewhere the time of a directory tells that something in it has changed."""
        os.utime(directory, ns=(10**18, 10**18))
        write_one(directory)
        assert directory.stat().st_mtime_ns != 10**18

    def test_no_cache(self, directory: Path) -> None:
        """What no reader would decode never becomes the cache."""
        (directory / CACHE).write_bytes(OLD)
        with (
            cache_directory.open_locked(str(directory), 0) as target,
            pytest.raises(NotWrittenError),
        ):
            target.replace(b"no cache", NEWEST)
        assert [CACHE] == os.listdir(directory)
        assert OLD == (directory / CACHE).read_bytes()


class TestRead:
    """Reading the cache of a directory that is open for writing."""

    def read(self, directory: Path) -> CacheFile | None:
        """Return what there is to read, and check that nothing stays open."""
        before = len(os.listdir("/proc/self/fd"))
        with cache_directory.open_locked(str(directory), 0) as target:
            file = target.read()
        assert before == len(os.listdir("/proc/self/fd"))
        return file

    def test_cache(self, directory: Path) -> None:
        """It is the same as by path."""
        write_one(directory)
        assert None is not self.read(directory)
        assert read_cache_file(str(directory)) == self.read(directory)

    def test_none(self, directory: Path) -> None:
        """There need not be one."""
        assert None is self.read(directory)

    def test_same_directory(self, directory: Path) -> None:
        """What was opened is read, whatever has its name by now."""
        write_one(directory)
        other = directory.parent / "other"
        with cache_directory.open_locked(str(directory), 0) as target:
            directory.rename(other)
            directory.mkdir()
            file = target.read()
        assert read_cache_file(str(other)) == file

    def test_symbolic_link(self, directory: Path) -> None:
        """A link is not followed, not even to a cache."""
        write_one(directory)
        (directory / CACHE).rename(directory / "cache")
        (directory / CACHE).symlink_to("cache")
        assert None is not read_cache_file(str(directory))
        assert None is self.read(directory)

    def test_fifo(self, directory: Path) -> None:
        """Nothing waits for a writer of a FIFO."""
        os.mkfifo(directory / CACHE)
        assert None is self.read(directory)

    def test_directory(self, directory: Path) -> None:
        """A directory is no cache."""
        (directory / CACHE).mkdir()
        assert None is self.read(directory)


class TestRemove:
    """Removing a cache that should not be there."""

    def test_without_entries(self, directory: Path) -> None:
        """A directory without entries shall have no cache; that there is none is no error."""
        (directory / CACHE).write_bytes(OLD)
        for _ in range(2):
            cache_directory.write_cache(str(directory), [], [], lock_timeout=0)
            assert [] == os.listdir(directory)

    def test_removes(self, directory: Path) -> None:
        """The cache goes, and with it the leftovers of runs that were killed."""
        write_one(directory)
        (directory / f".{CACHE}.0123456789abcdef.new").touch()
        with cache_directory.open_locked(str(directory), 0) as target:
            target.remove()
        assert ["one.py"] == os.listdir(directory)

    @pytest.mark.parametrize("keep_time", [False, True])
    def test_times_of_the_directory(self, directory: Path, keep_time: bool) -> None:
        """The directory of an image gets its times back."""
        (directory / CACHE).write_bytes(OLD)
        os.utime(directory, ns=(10**18, 10**18))
        with cache_directory.open_locked(str(directory), 0) as target:
            target.remove(keep_time=keep_time)
        assert keep_time == (directory.stat().st_mtime_ns == 10**18)
        assert [] == os.listdir(directory)

    def test_not_synced(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """When only the directory cannot be synced, the cache is gone, and that is told."""
        (directory / CACHE).write_bytes(OLD)

        def fsync(descriptor: int) -> NoReturn:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", fsync)
        with (
            cache_directory.open_locked(str(directory), 0) as target,
            pytest.raises(NotWrittenError) as e,
        ):
            target.remove()
        assert [] == os.listdir(directory)
        expected = "the cache is removed, but that may not survive a power failure"
        assert f"{expected}: {os.strerror(errno.EIO)}" == e.value.reason

    def test_directory(self, directory: Path) -> None:
        """A directory by the name of the cache is not removed."""
        (directory / CACHE).mkdir()
        with (
            cache_directory.open_locked(str(directory), 0) as target,
            pytest.raises(NotWrittenError),
        ):
            target.remove()
        assert [CACHE] == os.listdir(directory)


class TestDate:
    """The modification time of a cache."""

    @pytest.mark.parametrize(
        "seconds",
        [-(10**9), -1, 0, 1, 10**9, 4 * 10**9, 12 * 10**9],
        ids=["1938", "before", "epoch", "after", "2001", "2096", "2350"],
    )
    @pytest.mark.parametrize("nanoseconds", [0, 1, 999_999_999])
    def test_just_above_the_newest(self, directory: Path, seconds: int, nanoseconds: int) -> None:
        """The cache is newer than the drop-in, by hardly anything, also as Twisted compares."""
        newest = write_one(directory, seconds * 10**9 + nanoseconds)
        assert seconds == newest.mtime_ns // 10**9, "the file system cannot do it"
        status = (directory / CACHE).stat()
        assert status.st_mtime > newest.mtime
        assert status.st_mtime_ns - newest.mtime_ns <= 2 * 10**9
        assert cache_directory.is_dated_after(status.st_mtime_ns, newest)

    def test_dated_again(self, directory: Path) -> None:
        """A cache is dated again if it is what it should be, and otherwise left as it is."""
        newest = write_one(directory)
        right = (directory / CACHE).stat().st_mtime_ns
        data = (directory / CACHE).read_bytes()
        os.utime(directory / CACHE, (5, 5))
        with cache_directory.open_locked(str(directory), 0) as target:
            target.date(data + b"?", newest)
            assert 5 * 10**9 == (directory / CACHE).stat().st_mtime_ns
            target.date(data, newest)
            assert right == (directory / CACHE).stat().st_mtime_ns
            (directory / CACHE).unlink()
            target.date(data, newest)
        assert not (directory / CACHE).exists()

    def test_same_date_every_time(self, directory: Path) -> None:
        """The date does not depend on when the cache is written."""
        write_one(directory)
        first = (directory / CACHE).stat().st_mtime_ns
        write_one(directory)
        assert first == (directory / CACHE).stat().st_mtime_ns

    @pytest.mark.parametrize("fraction", [0, 5, 999_999_999])
    def test_whole_seconds(self, directory: Path, fraction: int) -> None:
        """That of an image is newer also where archives keep whole seconds."""
        newest = write_one(directory, 10**18 + fraction)
        data = (directory / CACHE).read_bytes()
        with cache_directory.open_locked(str(directory), 0) as target:
            target.replace(data, newest, keep_time=True)
        assert (directory / CACHE).stat().st_mtime_ns // 10**9 > newest.mtime_ns // 10**9

    def test_last_date_of_the_file_system(self, directory: Path) -> None:
        """A drop-in with a date that has no successor is cached all the same."""
        write_one(directory, 2**60 * 10**9)
        file = read_cache_file(str(directory))
        assert file is not None
        assert ["one"] == list(file.dropins() or {})

    @pytest.mark.processes
    def test_coarse_file_system(self, tmp_path: Path) -> None:
        """Where only whole seconds are kept, the cache is still newer than the drop-in."""
        if shutil.which("mkfs.ext2", path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
            pytest.skip("mkfs.ext2 is missing")
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate(1 << 20)
        code = """
            import os, sys
            from pathlib import Path
            from dropin_cache import _scan
            from dropin_cache.update.files import cache_directory
            sys.path.insert(0, sys.argv[2])
            from test_cache_directory import write_one
            newest = write_one(Path(sys.argv[1]), 10**18 + 5)
            status = os.stat(sys.argv[1] + "/dropin.cache")
            print(newest.mtime_ns, status.st_mtime_ns)
            print(cache_directory.is_dated_after(status.st_mtime_ns, newest))
            """
        script = """
            PATH=$PATH:/usr/sbin:/sbin
            mkfs.ext2 -q -I 128 "$1" >/dev/null 2>&1 && mount -o loop "$1" /mnt || exit 77
            "$2" -B -c "$3" /mnt "$4"
            """
        here = Path(__file__).parent
        outcome = in_mount_namespace(
            script,
            image,
            sys.executable,
            textwrap.dedent(code),
            here,
            env={"PYTHONPATH": str(here.parents[1])},
        )
        if outcome.status == 77:
            pytest.skip("no loop device, or no ext2, to be had")
        assert (f"{10**18} {10**18 + 10**9}\nTrue\n", 0) == (outcome.out, outcome.status)


class TestIsDatedAfter:
    """Whether the date of a cache is as it should be."""

    @pytest.mark.parametrize(
        ("mtime_ns", "expected"),
        [
            (10**18, False),
            (10**18 - 1, False),
            (10**18 + 1000, True),
            (10**18 + 2 * 10**9, True),
            (10**18 + 2 * 10**9 + 1, False),
        ],
    )
    def test_limits(self, mtime_ns: int, expected: bool) -> None:
        """Only a little newer than the newest drop-in will do."""
        assert expected == cache_directory.is_dated_after(mtime_ns, NEWEST)

    @pytest.mark.parametrize(
        ("epoch", "mtime_ns", "expected"),
        [
            (10**9 - 1, 10**18 - 10**9, True),
            (10**9 - 1, 10**18, False),
            (10**9 - 1, 10**18 + 1000, False),
            (10**9, 10**18, True),
            (10**9, 10**18 + 1000, False),
            (10**9 + 1, 10**18 + 1000, True),
            (10**9 + 9, 10**18 + 1000, True),
            (10**9 + 9, 10**18, False),
        ],
    )
    def test_source_date_epoch(
        self, monkeypatch: pytest.MonkeyPatch, epoch: int, mtime_ns: int, expected: bool
    ) -> None:
        """With SOURCE_DATE_EPOCH none is later than that."""
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(epoch))
        assert expected == cache_directory.is_dated_after(mtime_ns, NEWEST)


class TestIsWritable:
    """Whether the cache in a directory can be replaced."""

    def test_nowhere(self, tmp_path: Path) -> None:
        """In a directory that is gone it cannot."""
        assert cache_directory.is_writable(str(tmp_path))
        assert not cache_directory.is_writable(str(tmp_path / "gone"))


class TestNewestOf:
    """The drop-in that dates the cache."""

    def test_newest(self) -> None:
        """It is the one with the latest date, not the last."""
        dropins = [_scan.Dropin(str(time), str(time), "", 0, time) for time in (-5, 7, 3)]
        assert dropins[1] == cache_directory.newest_of(dropins)

    def test_none(self) -> None:
        """Without drop-ins there is none."""
        assert None is cache_directory.newest_of([])


class TestLeftovers:
    """Temporary files of runs that did not come to clean up."""

    @pytest.mark.processes
    def test_of_a_killed_run(self, directory: Path) -> None:
        """What a run killed before the rename leaves behind, the next one removes."""
        (directory / CACHE).write_bytes(OLD)
        code = f"""{WRITE}
import os, signal
os.rename = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
write_cache()
"""
        done = run_python(code, str(directory))
        assert -signal.SIGKILL == done.returncode, done.stderr
        (litter,) = set(os.listdir(directory)) - {CACHE}
        assert re.fullmatch(r"\.dropin\.cache\.[0-9a-f]{16}\.new", litter)
        assert OLD == (directory / CACHE).read_bytes()
        write_one(directory)
        assert {"one.py", CACHE} == set(os.listdir(directory))

    @pytest.mark.processes
    def test_killed_at_the_rename(self, directory: Path) -> None:
        """The same when the kernel itself ends the run at the system call."""
        trace = strace("-e", "trace=rename,renameat,renameat2", "-o", os.devnull)
        inject = ["-e", "inject=rename,renameat,renameat2:error=EINTR:signal=KILL"]
        command = [*trace, *inject, sys.executable, "-B", "-c", WRITE + "write_cache()"]
        subprocess.run([*command, str(directory)], check=False)
        assert 1 == len(os.listdir(directory))
        write_one(directory)
        assert {"one.py", CACHE} == set(os.listdir(directory))

    @pytest.mark.parametrize("age", [0, 7200])
    def test_of_twisted(self, directory: Path, age: int) -> None:
        """Twisted does not lock, so only its files of old are nobody's."""
        litter = directory / f"{'0123456789abcdef' * 2}{CACHE}.new"
        litter.touch()
        os.utime(litter, (time.time() - age,) * 2)
        write_one(directory)
        assert (age == 0) == litter.exists()

    def test_of_others(self, directory: Path) -> None:
        """Files of other users and files with other names stay."""
        names = {"dropin.cache.new", ".dropin.cache.new", f".{CACHE}.{'0' * 15}.new", "x.new"}
        if os.geteuid() == 0:
            names.add(f".{CACHE}.{'f' * 16}.new")
        for name in names:
            (directory / name).touch()
        if os.geteuid() == 0:
            os.chown(directory / f".{CACHE}.{'f' * 16}.new", NOBODY, NOBODY)
        write_one(directory)
        assert {"one.py", CACHE, *names} == set(os.listdir(directory))

    def test_that_cannot_be_removed(self, directory: Path) -> None:
        """Litter that will not go away is no reason to fail."""
        (directory / f".{CACHE}.{'0' * 16}.new").mkdir()
        write_one(directory)
        assert (directory / CACHE).is_file()


@pytest.mark.processes
class TestSystemCalls:
    """Order and flags, as the kernel sees them."""

    CALLS = "openat,write,fchmod,utimensat,fsync,renameat,rename,renameat2,unlinkat,ftruncate"

    def trace(self, directory: Path, *options: str, code: str = WRITE) -> list[str]:
        """Return the calls that have to do with the temporary file or the directory."""
        log = directory.parent / "log"
        command = strace("-e", f"trace={self.CALLS}", "-o", str(log), "-y", *options)
        done = subprocess.run(
            [*command, sys.executable, "-B", "-c", code + "write_cache()", str(directory)],
            check=False,
            capture_output=True,
            text=True,
        )
        self.errors = done.stderr
        return [
            line.partition(" ")[2].strip()
            for line in log.read_text().splitlines()
            if str(directory) in line and not re.search("O_DIRECTORY|O_PATH", line)
        ]

    def test_order(self, directory: Path) -> None:
        """The content is on disk before the name, and the name before the command says so."""
        calls = self.trace(directory)
        assert [
            "openat",
            "write",
            "fchmod",
            "utimensat",
            "fsync",
            "renameat",
            "fsync",
        ] == [call.partition("(")[0].replace("renameat2", "renameat") for call in calls], calls
        assert re.search(r'\.new", O_RDWR\|O_CREAT\|O_EXCL\|O_NOFOLLOW\|O_CLOEXEC, 0600', calls[0])
        assert ", 0644" in calls[2]
        assert ".new>" in calls[4]
        assert f"<{directory}>)" in calls[6]

    @pytest.mark.parametrize(
        ("inject", "number"),
        [
            ("fchmod:error=EPERM", errno.EPERM),
            ("utimensat:error=EPERM", errno.EPERM),
            ("fsync:error=EIO:when=1", errno.EIO),
            ("rename,renameat,renameat2:error=EDQUOT", errno.EDQUOT),
        ],
        ids=["fchmod", "utimensat", "fsync", "rename"],
    )
    def test_failure(self, directory: Path, inject: str, number: int) -> None:
        """Whichever step fails, the old cache stays and the temporary file does not."""
        (directory / CACHE).write_bytes(OLD)
        self.trace(directory, "-e", f"inject={inject}")
        assert f"cannot write {directory / CACHE}: {os.strerror(number)}\n" in self.errors
        assert [CACHE] == os.listdir(directory)
        assert OLD == (directory / CACHE).read_bytes()

    def test_failure_of_the_last_step(self, directory: Path) -> None:
        """When only the directory cannot be synced, the new cache is there, and that is told."""
        (directory / CACHE).write_bytes(OLD)
        self.trace(directory, "-e", "inject=fsync:error=EIO:when=2")
        assert (
            f"cannot write {directory / CACHE}: the new cache is in place, "
            "but that may not survive a power failure: Input/output error\n"
        ) in self.errors
        assert [CACHE] == os.listdir(directory)
        assert encode([entry()]) == (directory / CACHE).read_bytes()

    def test_disk_that_lies(self, directory: Path) -> None:
        """A file that does not read back as written never becomes the cache."""
        (directory / CACHE).write_bytes(OLD)
        code = f"""{WRITE}
import os
real = os.fchmod
def fchmod(descriptor, mode):
    real(descriptor, mode)
    os.pwrite(descriptor, b"?", 20)
os.fchmod = fchmod
try:
    write_cache()
except cache_directory.NotWrittenError as error:
    print(error.errno)
"""
        assert f"{errno.EIO}\n" == run_python(code, str(directory)).stdout
        assert [CACHE] == os.listdir(directory)
        assert OLD == (directory / CACHE).read_bytes()


class TestOpenLocked:
    """Opening a plugin directory for writing."""

    def test_untrusted(self, public_path: Path) -> None:
        """A directory that `files` refuses is not opened."""
        if os.geteuid() != 0:
            pytest.skip("root trusts itself only; nobody else refuses anything")
        plugins = give_away(public_path / "plugins")
        with (
            Files(enforced=True) as files,
            pytest.raises(UntrustedError),
            cache_directory.open_locked(str(plugins), 0, files),
        ):
            pass

    def test_below_a_root(self, directory: Path) -> None:
        """With `files` that have a root, the path begins there."""
        with (
            Files(enforced=False, root=str(directory.parent)) as files,
            cache_directory.open_locked("/plugins", 0, files) as target,
        ):
            target.replace(encode([entry()]), NEWEST)
            assert None is not target.read()
        assert [CACHE] == os.listdir(directory)

    def test_is_same(self, directory: Path) -> None:
        """A path leads to the directory that is open, or to another that has its name by now."""
        with cache_directory.open_locked(str(directory), 0) as target:
            assert target.is_same(str(directory))
            directory.rename(directory.parent / "other")
            directory.mkdir()
            assert not target.is_same(str(directory))

    @pytest.mark.processes
    def test_excludes(self, directory: Path) -> None:
        """While another process holds the lock nothing is written, by whatever path."""
        other = directory.parent / "other"
        other.symlink_to(directory)
        with locked_by_another_process(directory), pytest.raises(LockTimeoutError) as caught:
            write_one(other)
        assert str(other / CACHE) == caught.value.path
        assert 0 == caught.value.timeout
        assert ["one.py"] == os.listdir(directory)

    @pytest.mark.processes
    def test_timeout(self, directory: Path) -> None:
        """Waiting ends after the time that was given."""
        with locked_by_another_process(directory), pytest.raises(LockTimeoutError) as caught:
            write_one(directory, timeout=0.1)
        assert 0.1 == caught.value.timeout

    @pytest.mark.processes
    def test_waits(self, directory: Path) -> None:
        """The lock is taken when the other process has gone."""
        with locked_by_another_process(directory):
            code = WRITE.replace("lock_timeout=0", "lock_timeout=60") + "write_cache()"
            waiting = subprocess.Popen([sys.executable, "-B", "-c", code, str(directory)])
        assert 0 == waiting.wait(60)
        assert [CACHE] == os.listdir(directory)

    def test_released_after_a_failure(self, directory: Path) -> None:
        """An exception inside lets the next one in."""
        with pytest.raises(KeyError), cache_directory.open_locked(str(directory), 0):
            raise KeyError
        write_one(directory)

    @pytest.mark.parametrize(
        ("name", "number"), [("missing", errno.ENOENT), ("file", errno.ENOTDIR)]
    )
    def test_no_directory(self, directory: Path, name: str, number: int) -> None:
        """What is not a directory has no cache."""
        (directory / "file").touch()
        with pytest.raises(NotWrittenError) as caught:
            cache_directory.write_cache(str(directory / name), [], [], lock_timeout=0)
        assert number == caught.value.errno
        assert str(directory / name / CACHE) == caught.value.path

    def test_no_permission(self, public_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A directory that belongs to somebody else is refused before anything else is done."""
        cache_home = give_away(public_path / "cache")
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache_home))
        plugins = public_path / "plugins"
        plugins.mkdir(mode=0o555)
        with unprivileged(), pytest.raises(NotWrittenError) as caught:
            cache_directory.write_cache(str(plugins), [], [], lock_timeout=0)
        assert errno.EACCES == caught.value.errno
        assert [] == os.listdir(cache_home)

    @pytest.mark.processes
    def test_read_only_file_system(self) -> None:
        """The reason for a refusal is the file system where that is the reason."""
        script = """
            mount -t tmpfs none /mnt
            mount -o remount,ro /mnt
            exec "$1" -B -c "$2" /mnt
            """
        code = WRITE + textwrap.dedent(
            """
            try:
                write_cache()
            except cache_directory.NotWrittenError as error:
                print(error)
            """
        )
        expected = f"cannot write /mnt/{CACHE}: {os.strerror(errno.EROFS)}\n"
        assert expected == in_mount_namespace(script, sys.executable, code).out

    @pytest.mark.processes
    def test_descriptors(self, directory: Path) -> None:
        """Nothing stays open, however it ends."""
        write_one(directory)
        before = set(os.listdir("/proc/self/fd"))
        write_one(directory)
        with contextlib.suppress(NotWrittenError):
            cache_directory.write_cache(str(directory / "missing"), [], [], lock_timeout=0)
        with locked_by_another_process(directory), pytest.raises(LockTimeoutError):
            write_one(directory)
        assert before == set(os.listdir("/proc/self/fd"))
