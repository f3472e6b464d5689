"""Tests of finding drop-ins and telling whether they changed."""

from __future__ import annotations

import errno
import hashlib
import os
import py_compile
import socket
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dropin_cache import _scan
from dropin_cache._model import CacheTimes, Fingerprint, InterfaceName
from dropin_cache._scan import (
    Bucket,
    Dropin,
    content_digest,
    fingerprint,
    is_described,
    is_fresh,
    is_unchanged,
    pluginPackagePaths,
    recorded_time,
    scan,
)
from reader_support import LONG_AGO, entry, fingerprint_of, run_ordinary

if TYPE_CHECKING:
    from conftest import Tree


def never(path: str, error: OSError) -> None:
    """Fail where a directory is reported as unreadable that should not be."""
    raise AssertionError(path) from error


def scanned(*search_path: Any) -> list[Bucket]:
    """Scan directories of which none is unreadable."""
    return scan("app.plugins", list(search_path), never)


def keys(buckets: list[Bucket]) -> list[list[str]]:
    """Return the names of the drop-ins in each bucket."""
    return [[dropin.key for dropin in bucket.dropins] for bucket in buckets]


def only(path: Path) -> Dropin:
    """Return the drop-in that is alone in a directory."""
    ((dropin,),) = [bucket.dropins for bucket in scanned(path)]
    return dropin


def open_descriptors() -> int:
    """Count the open file descriptors of this process."""
    return len(os.listdir("/dev/fd"))


class TestPluginPackagePaths:
    """Where else modules of a plugin package may lie."""

    def test_every_entry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each entry of the path gives a directory, in order, whether it exists or not."""
        monkeypatch.setattr(sys, "path", ["/none/b", "/none/a"])
        assert pluginPackagePaths("x.plugins") == ["/none/b/x/plugins", "/none/a/x/plugins"]

    def test_packages_are_left_out(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """A directory with an __init__.py of its own is another package."""
        tree.write("one/x/plugins/__init__.py")
        tree.write("two/x/plugins/dropin.py")
        monkeypatch.setattr(sys, "path", [str(tree.path / "one"), str(tree.path / "two")])
        assert [str(tree.path / "two/x/plugins")] == pluginPackagePaths("x.plugins")

    def test_absolute(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """The empty entry, the working directory, gives an absolute path as well."""
        tree.path.mkdir()
        monkeypatch.chdir(tree.path)
        monkeypatch.setattr(sys, "path", ["", "lib"])
        expected = [str(tree.path / "x/plugins"), str(tree.path / "lib/x/plugins")]
        assert expected == pluginPackagePaths("x.plugins")

    def test_plain_module(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name without dots works."""
        monkeypatch.setattr(sys, "path", ["/none"])
        assert pluginPackagePaths("plugins") == ["/none/plugins"]

    @pytest.mark.parametrize("entry", [b"/bytes", 3, None])
    def test_no_path(self, monkeypatch: pytest.MonkeyPatch, entry: Any) -> None:
        """An entry that is no text is passed over, as the import system does."""
        monkeypatch.setattr(sys, "path", [entry, "/none"])
        assert pluginPackagePaths("x.plugins") == ["/none/x/plugins"]


class TestScan:
    """Finding drop-ins."""

    def test_sorted(self, tree: Tree) -> None:
        """Drop-ins come in the order of their names, whatever order they were made in."""
        for name in ("b", "c", "a"):
            tree.write(f"{name}.py")
        (bucket,) = scanned(tree.path)
        assert str(tree.path) == bucket.directory
        assert keys([bucket]) == [["a", "b", "c"]]
        assert bucket.cacheable

    def test_facts(self, tree: Tree) -> None:
        """Each carries its names, its path, and what its file looks like."""
        path = tree.write("one.py", "x = 1\n", LONG_AGO)
        status = path.stat()
        expected = Dropin(
            key="one",
            module="app.plugins.one",
            path=str(path),
            size=6,
            mtime_ns=LONG_AGO,
            mtime=LONG_AGO / 10**9,
            ctime_ns=status.st_ctime_ns,
            inode=status.st_ino,
        )
        assert expected == only(tree.path)

    def test_what_is_none(self, tree: Tree) -> None:
        """Other files, names that cannot be imported, and hidden files are no drop-ins."""
        for name in (
            "__init__.py",
            "a.so",
            "b.txt",
            "c-d.py",
            "e f.py",
            "g.h.py",
            ".py",
            "Makefile",
        ):
            tree.write(name)
        (tree.path / "directory.py").mkdir()
        (tree.path / "empty_directory").mkdir()
        tree.write("__pycache__/one.cpython-311.pyc")
        assert scanned(tree.path) == []

    def test_special_files(self, tree: Tree) -> None:
        """A FIFO, a socket, a dangling link and a loop of links are no drop-ins."""
        tree.path.mkdir()
        os.mkfifo(tree.path / "fifo.py")
        (tree.path / "dangling.py").symlink_to("nowhere")
        (tree.path / "loop.py").symlink_to("loop.py")
        (tree.path / "loop").symlink_to("loop")
        (tree.path / "package").mkdir()
        os.mkfifo(tree.path / "package/__init__.py")
        with socket.socket(socket.AF_UNIX) as plug:
            here = Path.cwd()
            os.chdir(tree.path)  # the path of a socket has a small limit
            try:
                plug.bind("socket.py")
            finally:
                os.chdir(here)
        assert scanned(tree.path) == []

    def test_links(self, tree: Tree) -> None:
        """A link to a regular file is a drop-in; its facts are the file's."""
        target = tree.write("elsewhere/target.py", "x = 1\n")
        (tree.path / "here").mkdir()
        (tree.path / "here/linked.py").symlink_to(target)
        dropin = only(tree.path / "here")
        assert ("linked", target.stat().st_ino) == (dropin.key, dropin.inode)

    def test_bytecode(self, tree: Tree) -> None:
        """A .pyc file is a drop-in, unless a source file has its name."""
        tree.write("both.py")
        tree.write("both.pyc")
        tree.write("only.pyc")
        (bucket,) = scanned(tree.path)
        expected = [tree.path / "both.py", tree.path / "only.pyc"]
        assert expected == [Path(dropin.path) for dropin in bucket.dropins]

    def test_packages(self, tree: Tree) -> None:
        """A drop-in that is a package has a bucket to itself, in its own directory."""
        tree.write("after.py")
        tree.write("package/__init__.py")
        tree.write("sourceless/__init__.pyc")
        found = scanned(tree.path)
        assert keys(found) == [["after"], ["package"], ["sourceless"]]
        directories = [tree.path, tree.path / "package", tree.path / "sourceless"]
        assert [str(directory) for directory in directories] == [each.directory for each in found]
        assert str(tree.path / "package/__init__.py") == found[1].dropins[0].path

    def test_package_before_module(self, tree: Tree) -> None:
        """A package wins over a module of the same name, as it does for the import system."""
        tree.write("one/__init__.py")
        tree.write("one.py")
        assert str(tree.path / "one/__init__.py") == only(tree.path).path

    def test_first_directory_wins(self, tree: Tree) -> None:
        """Of two drop-ins with one name the first along the path counts."""
        tree.write("one/same.py")
        tree.write("two/same.py")
        tree.write("two/other.py")
        found = scanned(tree.path / "one", tree.path / "two")
        assert keys(found) == [["same"], ["other"]]

    def test_same_directory_twice(self, tree: Tree) -> None:
        """A directory that is on the path twice, or by two names, counts once."""
        tree.write("real/one.py")
        (tree.path / "alias").symlink_to("real")
        found = scanned(tree.path / "real", tree.path / "alias", f"{tree.path}/real/")
        assert keys(found) == [["one"]]

    def test_missing_directory(self, tree: Tree) -> None:
        """Directories that do not exist are passed over without a word."""
        assert scanned(tree.path / "none", "") == []

    @pytest.mark.parametrize("entry", [None, 3.5, object(), "with\0null", b"bytes\0"])
    def test_no_path(self, tree: Tree, entry: Any) -> None:
        """What is no path at all is passed over, and does not hide what comes after it."""
        tree.write("one.py")
        assert keys(scanned(entry, tree.path)) == [["one"]]

    def test_bytes_path(self, tree: Tree) -> None:
        """A path of bytes is passed over, as the import system does."""
        tree.write("one.py")
        tree.write("package/__init__.py")
        assert scanned(os.fsencode(tree.path)) == []

    def test_directory_that_loops(self, tree: Tree) -> None:
        """A directory that cannot be read is reported, and does not hide what comes after it."""
        tree.write("good/one.py")
        (tree.path / "loop").symlink_to("loop")
        reported: list[str] = []
        search_path = [str(tree.path / "loop"), str(tree.path / "good")]
        found = scan("app.plugins", search_path, lambda path, error: reported.append(path))
        assert keys(found) == [["one"]]
        assert [str(tree.path / "loop")] == reported

    def test_directory_that_may_not_exist(self, tree: Tree) -> None:
        """A directory is not reported if nobody can tell whether it is there."""
        tree.write("one.py")
        reported: list[str] = []
        paths = [str(tree.path / ("x" * 300)), str(tree.path)]
        found = scan("app.plugins", paths, lambda path, error: reported.append(path))
        assert keys(found) == [["one"]]
        assert not reported

    @pytest.mark.processes
    def test_unreadable_directory(self, public_path: Path) -> None:
        """A directory without permission is reported with its error, and the others are read."""
        (public_path / "secret").mkdir()
        (public_path / "secret").chmod(0)
        (public_path / "open").mkdir()
        (public_path / "open" / "one.py").touch()
        result = run_ordinary(
            """
            from dropin_cache._scan import scan
            reported = []
            paths = [place + "/secret", place + "/open"]
            buckets = scan("app.plugins", paths, lambda path, error: reported.append(
                [path, error.errno]))
            result = [reported, [each.key for bucket in buckets for each in bucket.dropins]]
            """,
            public_path,
            [],
        )
        (public_path / "secret").chmod(0o700)
        assert [[[str(public_path / "secret"), 13]], ["one"]] == result

    def test_file_that_cannot_be_looked_at(self, tree: Tree) -> None:
        """It is reported, also in the place of a package, and the others are found."""
        closed = [tree.write("one.py"), tree.write("two/__init__.py"), tree.path / "three"]
        (tree.path / "three").symlink_to("/")
        (tree.path / "dangling.py").symlink_to("gone")
        (tree.path / "circle.py").symlink_to("circle.py")
        (tree.path / "behind.py").symlink_to("one.py/below")
        (tree.path / "endless.py").symlink_to("x" * 300)
        tree.write("zero.py")
        reported: list[tuple[str, int]] = []

        def status(path: str) -> os.stat_result:
            if Path(path) in closed:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return os.stat(path)

        found = scan(
            "app.plugins",
            [str(tree.path)],
            lambda path, error: reported.append((path, error.errno or 0)),
            status,
        )
        assert keys(found) == [["zero"]]
        assert sorted((str(path), errno.EIO) for path in closed) == sorted(reported)

    def test_undecodable_name(self, tree: Tree) -> None:
        """A file name that is no text of the file system's encoding is kept as Python keeps it."""
        tree.path.mkdir()
        raw = os.path.join(os.fsencode(tree.path), b"caf\xe9.py")
        os.close(os.open(raw, os.O_CREAT | os.O_WRONLY, 0o644))
        assert only(tree.path).key == "caf\udce9"


class TestScanArchive:
    """Drop-ins in zip archives."""

    def archive(self, tree: Tree) -> Path:
        """Make an archive with a module, a package, and something else."""
        tree.path.mkdir(exist_ok=True)
        path = tree.path / "lib.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("app/plugins/one.py", "")
            archive.writestr("app/plugins/two/__init__.py", "")
            archive.writestr("app/plugins/three-four.py", "")
            archive.writestr("app/plugins/data.txt", "")
        return path

    @pytest.mark.parametrize("end", ["", "/"])
    def test_members(self, tree: Tree, end: str) -> None:
        """Its modules and packages are drop-ins in one bucket, for which there is no cache."""
        directory = f"{self.archive(tree)}/app/plugins"
        (bucket,) = scanned(directory + end)
        assert keys([bucket]) == [["one", "two"]]
        assert directory == bucket.directory
        assert not bucket.cacheable

    def test_beside_directories(self, tree: Tree) -> None:
        """Directories before and after it on the path keep their caches."""
        tree.write("plain/three.py")
        found = scanned(f"{self.archive(tree)}/app/plugins", tree.path / "plain")
        assert [bucket.cacheable for bucket in found] == [False, True]

    @pytest.mark.parametrize("content", ["", "PK", "not an archive"])
    def test_no_archive(self, tree: Tree, content: str) -> None:
        """A path that goes through a file that is no archive is passed over."""
        path = tree.write("file", content)
        assert scanned(path, path / "app" / "plugins") == []

    def test_damaged_archive(self, tree: Tree) -> None:
        """An archive that is damaged anywhere is passed over, or has what can be read of it."""
        whole = self.archive(tree).read_bytes()
        tree.write("plain/three.py")
        for position in range(whole.index(b"PK\1\2"), len(whole)):
            damaged = tree.path / f"{position}.zip"
            damaged.write_bytes(whole[:position] + b"\xff" + whole[position + 1 :])
            found = scanned(damaged / "app" / "plugins", tree.path / "plain")
            assert found[-1].dropins[0].key == "three"


class TestContentDigest:
    """Digests of files."""

    def test_is_sha256(self, tree: Tree) -> None:
        """It is what sha256sum prints, also for a file of several blocks."""
        path = tree.write("file", "0123456789abcdef" * 200_000)
        assert fingerprint_of(path).digest == content_digest(str(path))

    def test_nothing_there(self, tree: Tree) -> None:
        """There is none where there is no file."""
        assert content_digest(str(tree.path / "none")) is None

    def test_no_regular_file(self, tree: Tree) -> None:
        """There is none for what is no regular file, and nothing waits for a FIFO's writer."""
        tree.path.mkdir()
        os.mkfifo(tree.path / "fifo")
        assert content_digest(str(tree.path / "fifo")) is None
        assert content_digest("/dev/zero") is None

    def test_swapped(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor is there one for what comes into the file's place before it is opened."""
        tree.path.mkdir()
        (tree.path / "file").touch()
        os.mkfifo(tree.path / "fifo")
        status = os.stat(tree.path / "file")
        before = open_descriptors()
        monkeypatch.setattr(os, "stat", lambda *_: status)
        assert content_digest(str(tree.path / "fifo")) is None
        assert before == open_descriptors()

    def test_directory(self, tree: Tree) -> None:
        """There is none for a directory, and no descriptor stays open."""
        tree.path.mkdir()
        before = open_descriptors()
        assert content_digest(str(tree.path)) is None
        assert before == open_descriptors()

    @pytest.mark.parametrize("missing", [(), ("_sha2",), ("_sha2", "_sha256")])
    def test_all(
        self, tree: Tree, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
    ) -> None:
        """It is the same with each."""
        monkeypatch.setattr(_scan, "_constructors", [])
        for name in missing:
            monkeypatch.setitem(sys.modules, name, None)
        assert hashlib.sha256(b"x").hexdigest() == content_digest(str(tree.write("one.py", "x")))


class TestFingerprint:
    """Fingerprints of drop-ins."""

    def test_facts(self, tree: Tree) -> None:
        """It is size, time and digest of the file."""
        path = tree.write("one.py", "x = 1\n", LONG_AGO)
        assert fingerprint_of(path) == fingerprint(only(tree.path))

    def test_changed(self, tree: Tree) -> None:
        """There is none where the file is not the one that was found."""
        path = tree.write("one.py", "x = 1\n", LONG_AGO)
        dropin = only(tree.path)
        path.write_text("x = 2\n", encoding="ascii")
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
        assert fingerprint(dropin) is None

    def test_gone(self, tree: Tree) -> None:
        """There is none where the file is gone."""
        path = tree.write("one.py")
        dropin = only(tree.path)
        path.unlink()
        assert fingerprint(dropin) is None


class TestIsUnchanged:
    """Whether a file is still the same."""

    def test_same(self, tree: Tree) -> None:
        """A file that nobody touched is."""
        tree.write("one.py")
        assert is_unchanged(only(tree.path))

    def test_gone(self, tree: Tree) -> None:
        """A file that is gone is not."""
        path = tree.write("one.py")
        dropin = only(tree.path)
        path.unlink()
        assert not is_unchanged(dropin)

    def test_replaced(self, tree: Tree) -> None:
        """A file put in its place is not, though size and time are equal."""
        path = tree.write("one.py", "x = 1\n", LONG_AGO)
        dropin = only(tree.path)
        tree.write("new", "x = 2\n", LONG_AGO).rename(path)
        assert not is_unchanged(dropin)


OURS = InterfaceName("dropin_cache", "IPlugin")
THEIRS = InterfaceName("twisted.plugin", "IPlugin")
GREETER = InterfaceName("app.interfaces", "IGreeter")


def times(mtime: float = 0.0, ctime_ns: int = sys.maxsize) -> CacheTimes:
    """Return the times of a cache; if not said otherwise, one put there after everything."""
    return CacheTimes(mtime, ctime_ns)


class TestIsFresh:
    """Whether an entry still holds."""

    @pytest.fixture
    def path(self, tree: Tree) -> Path:
        """A drop-in's file."""
        return tree.write("one.py", "x = 1\n", LONG_AGO)

    def test_same(self, path: Path) -> None:
        """An entry holds as long as size and time are the same, whatever the cache's date."""
        recorded = Fingerprint(6, LONG_AGO, "not even looked at")
        assert is_fresh(recorded, only(path.parent), times())

    @pytest.mark.parametrize("later", [0, -1, -(10**18)])
    def test_put_there_after_the_cache(self, path: Path, later: int) -> None:
        """Of a file that has changed, or come, later than the cache, the content decides."""
        dropin = only(path.parent)
        cache = times(ctime_ns=dropin.ctime_ns + later)
        assert is_fresh(fingerprint_of(path), dropin, cache)
        assert not is_fresh(Fingerprint(6, LONG_AGO, "0" * 64), dropin, cache)

    @pytest.mark.parametrize("shift", [-1, 1, -(10**12), 10**18])
    def test_touched(self, path: Path, shift: int) -> None:
        """It holds where only the time changed, in whichever direction."""
        recorded = fingerprint_of(path)
        os.utime(path, ns=(LONG_AGO + shift, LONG_AGO + shift))
        assert is_fresh(recorded, only(path.parent), times())

    @pytest.mark.parametrize("shift", [-1, 1, -(10**12), 10**18])
    def test_content_changed(self, path: Path, shift: int) -> None:
        """It does not hold where the content changed, whatever the new time."""
        recorded = fingerprint_of(path)
        path.write_text("x = 2\n", encoding="ascii")
        os.utime(path, ns=(LONG_AGO + shift, LONG_AGO + shift))
        assert not is_fresh(recorded, only(path.parent), times(1e12))

    def test_size_changed(self, path: Path) -> None:
        """It does not hold where the size changed, though the time is the same."""
        recorded = fingerprint_of(path)
        path.write_text("x = 10\n", encoding="ascii")
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
        assert not is_fresh(recorded, only(path.parent), times(1e12))

    def test_unreadable_meanwhile(self, path: Path) -> None:
        """It does not hold where the time changed and the content cannot be read."""
        recorded = fingerprint_of(path)
        os.utime(path, ns=(LONG_AGO + 1, LONG_AGO + 1))
        dropin = only(path.parent)
        path.unlink()
        assert not is_fresh(recorded, dropin, times(1e12))

    @pytest.mark.parametrize(("later", "expected"), [(-1.0, False), (0.0, False), (1.0, True)])
    def test_entry_of_twisted(self, path: Path, later: float, expected: bool) -> None:
        """Without a fingerprint the cache must be newer than the drop-in, as in Twisted."""
        cache = times(LONG_AGO / 10**9 + later)
        assert expected is is_fresh(None, only(path.parent), cache)

    def test_bytecode(self, tree: Tree) -> None:
        """A compiled drop-in is treated as a source file is."""
        source = tree.write("source/one.py", "x = 1\n")
        compiled = tree.path / "one.pyc"
        py_compile.compile(str(source), str(compiled), doraise=True)
        assert is_fresh(fingerprint_of(compiled), only(tree.path), times())


class TestRecordedTime:
    """Times, as they are recorded."""

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("", LONG_AGO),
            ("1499999999", 1499999999 * 10**9),
            ("1500000000", LONG_AGO),
            ("1500000001", LONG_AGO),
            ("0", 0),
            *(
                (text, LONG_AGO)
                for text in ("-1", "1.5", "yesterday", "9" * 5000, "\N{SUPERSCRIPT TWO}")
            ),
        ],
    )
    def test_source_date_epoch(
        self, monkeypatch: pytest.MonkeyPatch, given: str, expected: int
    ) -> None:
        """None is later than SOURCE_DATE_EPOCH, if that is a number of seconds."""
        monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
        assert expected == recorded_time(LONG_AGO)

    def test_in_fingerprints(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """A fingerprint has such a time, and holds by the content."""
        path = tree.write("one.py", "x = 1\n")
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")
        taken = fingerprint(only(tree.path))
        assert fingerprint_of(path)._replace(mtime_ns=LONG_AGO) == taken
        assert is_fresh(taken, only(tree.path), times())
        os.utime(path, (1500000000, 1500000000))  # as who makes an image does afterwards
        assert is_fresh(taken._replace(digest=""), only(tree.path), times())


class TestIsDescribed:
    """Whether an entry says all of a drop-in."""

    @pytest.mark.parametrize(
        ("text", "plugins", "expected"),
        [
            ("from dropin_cache import IPlugin\n", [(OURS, GREETER)], True),
            ("from dropin_cache import IPlugin\n", [(THEIRS, GREETER)], False),
            ("from dropin_cache import IPlugin\n", [(THEIRS,), (OURS,)], True),
            ("import dropin_cache as d\n", [], False),
            ("from app.services import maker\n", [], False),
            ("from twisted.plugin import IPlugin\n", [(THEIRS, GREETER)], True),
        ],
    )
    @pytest.mark.parametrize("compiled", [False, True])
    def test_entry_of_twisted(
        self, tree: Tree, text: str, plugins: Any, expected: bool, compiled: bool
    ) -> None:
        """One of Twisted's does not if plugins may be marked with our interface alone."""
        path = tree.write("one.py", text, LONG_AGO)
        if compiled:
            py_compile.compile(str(path), str(path.with_suffix(".pyc")), doraise=True)
            path.unlink()
            os.utime(path.with_suffix(".pyc"), ns=(LONG_AGO, LONG_AGO))
        made = entry("app.plugins.one", *(("p", None, names, ()) for names in plugins))
        later = LONG_AGO / 10**9 + 1
        assert expected is is_described(made, only(tree.path), times(later))
        assert not is_described(made, only(tree.path), times(later - 1))
        ours = entry("app.plugins.one", fingerprint=fingerprint_of(Path(only(tree.path).path)))
        assert is_described(ours, only(tree.path), times())

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("from twisted import plugin\nmarker = plugin.IPlugin\n", True),
            ("from twisted.plugin import IPlugin\n", True),
            ("from twisted.plugin import IPlugin\nimport dropin_cache\n", False),
            ("from app.markers import IPlugin\n", False),
            ("from twisted.application.service import ServiceMaker\n", False),
            ("", False),
            ("'It needs nothing of others.'", True),
        ],
    )
    def test_nothing_found_by_twisted(self, tree: Tree, text: str, expected: bool) -> None:
        """It is believed of source that names Twisted's marker, and not ours."""
        path = tree.write("one.py", text, LONG_AGO)
        made = entry("app.plugins.one")
        assert expected is is_described(made, only(tree.path), times(1e12))
        py_compile.compile(str(path), str(path.with_suffix(".pyc")), doraise=True)
        path.unlink()
        os.utime(path.with_suffix(".pyc"), ns=(LONG_AGO, LONG_AGO))
        assert not is_described(made, only(tree.path), times(1e12))

    def test_unreadable(self, tree: Tree) -> None:
        """What cannot be read names nothing."""
        path = tree.write("one.py", "", LONG_AGO)
        dropin = only(tree.path)
        path.unlink()
        made = entry("app.plugins.one", ("p", None, (THEIRS,), ()))
        assert is_described(made, dropin, times(1e12))
        assert not is_described(entry("app.plugins.one"), dropin, times(1e12))


class TestMemory:
    """What a scan keeps in memory."""

    def test_other_files(self, tree: Tree) -> None:
        """Files that are no drop-ins take none, however many there are."""
        tree.write("hello.py")
        for number in range(5000):
            tree.write(f"{number}.txt")
        tracemalloc.start()
        try:
            assert [["hello"]] == keys(scanned(tree.path))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 5000 * 10  # bytes: less than any of their names
