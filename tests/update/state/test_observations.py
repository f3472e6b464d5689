"""What imports looked at, and whether it still is as it was."""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import Callable

import pytest

from conftest import Tree
from dropin_cache.update.state.observations import (
    UNSETTLED,
    Look,
    Noted,
    Observed,
    note,
    pack,
    stamp_of,
    unpack,
    why_changed,
)
from updates import SETTLED


def noted(tree: Tree, observed: Observed, *roots: str) -> Noted:
    """Note what was looked at in a tree that has settled."""
    time.sleep(SETTLED)
    return note(observed, [str(tree.path), *roots], time.time_ns(), Look())


def names(*searched: tuple[str, list[Path]]) -> frozenset[tuple[str, tuple[str, ...]]]:
    """Return modules that were looked for, as an observation has them."""
    return frozenset((name, tuple(str(each) for each in path)) for name, path in searched)


@pytest.fixture
def roots(tree: Tree) -> list[Path]:
    """Three import roots."""
    for name in ("first", "second", "third"):
        (tree.path / name).mkdir(parents=True)
    return sorted(tree.path.iterdir())


class TestObserved:
    """What was looked at."""

    def test_of_all(self) -> None:
        """Several of them are one that has everything."""
        one = Observed(frozenset("a"), frozenset("b"), frozenset([("c", ("d",))]))
        two = Observed(frozenset("e"), frozenset("b"))
        assert Observed(frozenset("ae"), frozenset("b"), one.names) == Observed.of_all([one, two])


class TestFound:
    """Where a module would be imported from."""

    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            ([], ""),
            (["second/mod.py"], "second/mod.py"),
            (["second/mod.pyc"], "second/mod.pyc"),
            (["second/mod.pyc", "second/mod.py"], "second/mod.py"),
            (["second/mod.so", "second/mod.py"], "second/mod.so"),
            (["second/mod.cpython-311-x.so", "second/mod.abi3.so"], "second/mod.abi3.so"),
            (["second/mod.py", "third/mod.py"], "second/mod.py"),
            (["second/mod.py", "third/mod.py", "first/mod.py"], "first/mod.py"),
            (["second/mod/__init__.py", "second/mod.py"], "second/mod"),
            (["second/mod/__init__.abi3.so"], "second/mod"),
            (["first/mod/one.py", "second/mod/__init__.py"], "second/mod"),
            (["first/mod/one.py", "second/mod.py"], "second/mod.py"),
            (["first/mod/one.py", "third/mod/two.py"], "first/mod:third/mod"),
            (["first/mod.txt", "first/model.py", "first/mod-1.py"], ""),
        ],
    )
    def test_order(self, tree: Tree, roots: list[Path], files: list[str], expected: str) -> None:
        """It is the order of the import system."""
        for name in files:
            tree.write(name)
        found = Look().found("package.mod", tuple(map(str, roots)))
        assert expected == found.replace(f"{tree.path}/", "")

    def test_archive(self, tree: Tree, roots: list[Path]) -> None:
        """What is in an archive on the way is told by its stamp, of whatever is found behind it."""
        archive = tree.path / "archive.zip"
        archive.write_bytes(b"PK")
        tree.write("second/mod.py")
        tree.write("first/early.py")
        inner = f"{archive}/inner"
        for path in (str(archive), inner):
            searched = (str(roots[0]), path, str(roots[1]))
            mark = f"{path}:{stamp_of(str(archive))}:"
            assert [f"{mark}{roots[1]}/mod.py", mark, f"{roots[0]}/early.py"] == [
                Look().found(name, searched) for name in ("mod", "missing", "early")
            ]

    @pytest.mark.parametrize("path", ["/nonexistent", "/a\0b", ""])
    def test_no_directory(self, path: str) -> None:
        """What cannot be listed holds nothing."""
        assert ("", "") == (Look().found("mod", (path,)), Look().names_in(path))


class TestNamesIn:
    """What is in a directory."""

    def test_names(self, tree: Tree) -> None:
        """Names count, and not what an update writes, nor bytecode."""
        tree.write("one.txt")
        before = Look().names_in(str(tree.path))
        for name in ("dropin.cache", "__pycache__/one.pyc"):
            tree.write(name)
        assert before == Look().names_in(str(tree.path)) != ""
        tree.write("two.txt")
        assert before != Look().names_in(str(tree.path))


def front(tree: Tree) -> None:
    """Put a module in front of the one that is there."""
    tree.write("first/mod.py")


def zipped(tree: Tree) -> None:
    """Change what is in the archive."""
    with zipfile.ZipFile(tree.path / "lib.zip", "a") as archive:
        archive.writestr("more.py", "")


CHANGES: dict[str, tuple[Callable[[Tree], object], str]] = {
    "file": (lambda tree: tree.write("second/data.txt", "x"), "has changed: {}/second/data.txt"),
    "file gone": (
        lambda tree: (tree.path / "second/data.txt").unlink(),
        "is gone: {}/second/data.txt",
    ),
    "file appears": (lambda tree: tree.write("second/no.txt"), "has appeared: {}/second/no.txt"),
    "front": (front, "is found elsewhere now: mod"),
    "package": (lambda tree: tree.write("second/mod/__init__.py"), "is found elsewhere now: mod"),
    "extension": (lambda tree: tree.write("second/mod.so"), "is found elsewhere now: mod"),
    "gone": (lambda tree: (tree.path / "second/mod.py").unlink(), "is gone: mod"),
    "appears": (lambda tree: tree.write("third/late.py"), "was missing and has appeared: late"),
    "portion": (
        lambda tree: tree.write("third/space/two.py"),
        "is found elsewhere now: space",
    ),
    "inner": (
        lambda tree: tree.write("second/space/late.py"),
        "was missing and has appeared: space.late",
    ),
    "listing": (
        lambda tree: tree.write("second/listed/two.txt"),
        "has listed a directory that has changed: {}/second/listed",
    ),
    "listing appears": (
        lambda tree: tree.write("second/unlisted/one.txt"),
        "has listed a directory that has changed: {}/second/unlisted",
    ),
    "archive": (zipped, "is found elsewhere now: zipped"),
}
"""What has an influence on imports, and how that is told."""

NO_CHANGES: dict[str, Callable[[Tree], object]] = {
    "nothing": lambda tree: None,
    "unrelated": lambda tree: (tree.write("first/README"), tree.write("second/other.py")),
    "directory without __init__": lambda tree: tree.write("first/mod/plugins/one.py"),
    "behind": lambda tree: tree.write("third/mod.py"),
    "cache": lambda tree: (
        tree.write("second/listed/dropin.cache"),
        tree.write("second/listed/__pycache__/one.cpython-311.pyc"),
    ),
    "touched directory": lambda tree: os.utime(tree.path / "second" / "listed", (1, 1)),
}
"""What has none."""


class TestWhyChanged:
    """Whether what was looked at is what it was."""

    @pytest.fixture
    def before(self, tree: Tree, roots: list[Path]) -> Noted:
        """What is noted of imports that look at something of each kind."""
        for name in ("data.txt", "mod.py", "space/one.py", "listed/one.txt"):
            tree.write(f"second/{name}")
        archive = tree.path / "lib.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("zipped.py", "")
        second = tree.path / "second"
        observed = Observed(
            files=frozenset(f"{second}/{name}.txt" for name in ("data", "no")),
            listed=frozenset(f"{second}/{name}" for name in ("listed", "unlisted")),
        )
        return noted(
            tree,
            observed._replace(
                names=names(
                    *(("mod", roots), ("late", roots), ("space", roots)),
                    *(("space.late", [second / "space"]), ("zipped", [archive])),
                )
            ),
        )

    @pytest.mark.parametrize("name", CHANGES)
    def test_changed(self, tree: Tree, before: Noted, name: str) -> None:
        """What changes is told, and what it was for."""
        change, why = CHANGES[name]
        assert None is why_changed(before, Look())
        change(tree)
        expected = f"what it imports {why.format(tree.path)}"
        assert expected == why_changed(before, Look())
        assert expected == why_changed(unpack(json.loads(json.dumps(pack([before]))))[0], Look())

    @pytest.mark.parametrize("name", NO_CHANGES)
    def test_same(self, tree: Tree, before: Noted, name: str) -> None:
        """What else changes is of no account."""
        NO_CHANGES[name](tree)
        assert None is why_changed(before, Look())

    def test_came_and_went(self, tree: Tree, before: Noted) -> None:
        """What is as it was again is what it was."""
        front(tree)
        (tree.path / "first" / "mod.py").unlink()
        assert None is why_changed(before, Look())


class TestNote:
    """In what state something is when it is noted."""

    def test_elsewhere(self, tree: Tree, tmp_path: Path) -> None:
        """Only what is in import roots and below prefixes counts."""
        (tmp_path / "treetop").mkdir()
        paths = [tmp_path / "above.txt", tmp_path / "treetop" / "beside.txt"]
        inside = tree.write("inside.txt")
        observed = Observed(
            frozenset(map(str, [*paths, inside, "/etc/passwd", "/proc/self/stat", "relative"])),
            frozenset([str(tmp_path), str(tree.path), "/etc", "/tmp", "."]),  # noqa: S108
        )
        found = noted(tree, observed)
        assert ([str(inside)], [str(tree.path)]) == (list(found.files), list(found.listed))

    def test_caches(self, tree: Tree) -> None:
        """What an update writes is not what it depends on."""
        tree.write("app/plugins/dropin.cache")
        found = noted(tree, Observed(frozenset([f"{tree.path}/app/plugins/dropin.cache"])))
        assert {} == found.files

    def test_canonical(self, tree: Tree, tmp_path: Path) -> None:
        """An import root that is a link counts under both of its names."""
        file = tree.write("data.txt")
        (tmp_path / "link").symlink_to(tree.path)
        for path in (file, tmp_path / "link" / "data.txt"):
            time.sleep(SETTLED)
            observed = Observed(frozenset([str(path)]))
            found = note(observed, [f"{tmp_path}/link"], time.time_ns(), Look())
            assert {str(path): stamp_of(str(file))} == found.files

    def test_archive_as_root(self, tree: Tree) -> None:
        """An import root that is an archive counts itself."""
        archive = tree.write("lib.zip")
        observed = Observed(frozenset([str(archive)]))
        assert [str(archive)] == list(note(observed, [str(archive)], time.time_ns(), Look()).files)

    @pytest.mark.parametrize("root", ["/a\0b", "/\ud800", "", "/"])
    def test_no_root(self, root: str) -> None:
        """A root that no path can be holds nothing."""
        assert {} == note(Observed(frozenset(["/etc/passwd"])), [root], 0, Look()).files

    def test_too_new(self, tree: Tree) -> None:
        """What was written just before may be written once more, so nothing matches it."""
        file = tree.write("data.txt")
        tree.write("listed/one.txt")
        observed = Observed(
            frozenset([str(file)]),
            frozenset([f"{tree.path}/listed"]),
            names(("mod", [tree.path])),
        )
        found = note(observed, [str(tree.path)], 0, Look())
        assert UNSETTLED == found.files[str(file)]
        assert ["?"] == list(found.names.values()) == list(found.listed.values())
        assert why_changed(found, Look())
        for part in ({"files": {}}, {"files": {}, "names": {}}):
            assert why_changed(found._replace(**part), Look())

    @pytest.mark.parametrize("kind", ["files", "names", "listed"])
    @pytest.mark.parametrize("others", [True, False], ids=["seen", "not seen"])
    def test_changed_since_a_look(self, tree: Tree, kind: str, others: bool) -> None:
        """What has changed between an earlier look and later imports counts as changed."""
        tree.write("listed/data.txt")
        tree.write("listed/early.py")
        time.sleep(SETTLED)
        since, look = time.time_ns(), Look()
        place = tree.path / "listed"
        if others:  # have looked at the same before
            everything = Observed(
                frozenset([f"{place}/data.txt"]), frozenset([str(place)]), names(("mod", [place]))
            )
            note(everything, [str(tree.path)], since, look)
        else:  # have looked at the directory alone
            look.stamp(str(place))
        tree.write("listed/mod.py")
        tree.write("listed/data.txt", "changed")
        observed = {
            "files": Observed(files=frozenset([f"{place}/data.txt"])),
            "names": Observed(names=names(("mod", [place]))),
            "listed": Observed(listed=frozenset([str(place)])),
        }[kind]
        found = note(observed, [str(tree.path)], since, look)
        assert why_changed(found, Look()) is not None


class TestPack:
    """The form that the ledger keeps."""

    def test_common_things_once(self, tree: Tree) -> None:
        """What several have in common is there once, and all of it comes back."""
        for number in range(3):
            tree.write(f"m{number}.py")
        notes = [
            noted(
                tree,
                Observed(
                    frozenset([f"{tree.path}/m0.py", f"{tree.path}/m{number}.py"]),
                    names=names(("m0", [tree.path]), (f"m{number}", [tree.path, tree.path / "no"])),
                ),
            )
            for number in range(3)
        ]
        packed = json.dumps(pack(notes))
        assert 1 == packed.count('m0.py", [')
        assert notes == unpack(json.loads(packed))

    def test_several_runs(self, tree: Tree) -> None:
        """What one run has noted of a directory says nothing of what another has."""
        tree.path.mkdir()
        observed = Observed(names=names(("mod", [tree.path])))
        first = noted(tree, observed)
        tree.write("mod.py")
        second = noted(tree, observed)
        both = unpack(json.loads(json.dumps(pack([first, second]))))
        assert ["what it imports was missing and has appeared: mod", None] == [
            why_changed(each, Look()) for each in both
        ]

    def test_nothing(self) -> None:
        """Nothing is nothing."""
        assert [] == unpack(json.loads(json.dumps(pack([]))))


class TestStampOf:
    """What tells whether something has changed."""

    def test_file(self, tmp_path: Path) -> None:
        """Of a file it is size, times and inode."""
        file = tmp_path / "file"
        file.write_text("text")
        status = file.stat()
        expected = [4, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        assert expected == stamp_of(str(file))

    def test_replaced(self, tmp_path: Path) -> None:
        """A file that another takes the place of has another, with the same date and size."""
        file = tmp_path / "file"
        file.write_text("text")
        before = stamp_of(str(file))
        shutil.copy2(file, tmp_path / "copy")
        (tmp_path / "copy").replace(file)
        assert before != stamp_of(str(file))

    def test_directory(self, tmp_path: Path) -> None:
        """The size of a directory says nothing."""
        assert 0 == stamp_of(str(tmp_path))[0]

    def test_in_an_archive(self, tmp_path: Path) -> None:
        """Of what is in an archive it is the archive's."""
        (tmp_path / "archive.zip").touch()
        expected = stamp_of(str(tmp_path / "archive.zip"))
        assert expected == stamp_of(str(tmp_path / "archive.zip" / "a" / "b.py"))

    @pytest.mark.parametrize("path", ["/nonexistent", "/a\0b"])
    def test_nothing(self, path: str) -> None:
        """Where there is nothing, there is none."""
        assert None is stamp_of(path)
