"""Opening what a privileged process relies on: what is refused, and where a path may lead."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import unprivileged
from conftest import NOBODY
from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.trusted import Files

STAFF = 50
UNKNOWN = 54321
_ACL_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20


@pytest.fixture(autouse=True)
def _no_descriptor_left() -> Iterator[None]:
    """Fail if a test leaves something open."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert before == set(os.listdir("/proc/self/fd"))


@pytest.fixture
def area(public_path: Path) -> Path:
    """A directory of root's with a directory `a/b/c` and a file `a/b/file` in it."""
    (public_path / "a" / "b" / "c").mkdir(parents=True)
    (public_path / "a" / "b" / "file").write_bytes(b"content")
    return public_path


def named(kind: str, number: int) -> str:
    """Return a user or group as refusals name it."""
    with contextlib.suppress(KeyError):
        name = pwd.getpwuid(number)[0] if kind == "user" else grp.getgrgid(number)[0]
        return f"{kind} {number} ({name})"
    return f"{kind} {number}"


def identity(descriptor: int) -> tuple[int, int]:
    """Return what is behind a descriptor, and close that."""
    status = os.fstat(descriptor)
    os.close(descriptor)
    return status.st_dev, status.st_ino


def same(path: Path, descriptor: int) -> bool:
    """Tell whether a descriptor, which is closed, is that of a path."""
    return identity(descriptor) == identity(os.open(path, os.O_PATH))


def content(descriptor: int) -> bytes:
    """Return what is in an open file, and close that."""
    with open(descriptor, "rb") as file:
        return file.read()


def set_acl(path: Path, user: int, mask: int) -> None:
    """Let a user write: as setfacl does, which need not be installed."""
    entries = [(_USER_OBJ, 7, -1), (_USER, 7, user), (_GROUP_OBJ, 5, -1)]
    entries += [(_MASK, mask, -1), (_OTHER, 5, -1)]
    packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", _ACL_VERSION) + packed)
    except OSError:
        pytest.skip("no access control lists here")


class Enforced:
    """What only root can try out."""

    groups: frozenset[int] = frozenset()

    @pytest.fixture(autouse=True)
    def _as_root(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root")

    def refused(self, path: Path, component: Path, problem: str, kind: str = "directory") -> None:
        """Check that a path is refused, and why."""
        with Files(enforced=True, groups=self.groups) as files:
            for method in {kind, "host_path"}:
                with pytest.raises(UntrustedError) as caught:
                    getattr(files, method)(str(path))
                expected = (str(path), str(component), problem)
                error = caught.value
                assert expected == (error.path, error.component, error.problem)

    def accepted(self, path: Path) -> None:
        """Check that a directory or file is opened."""
        with Files(enforced=True, groups=self.groups) as files:
            opened = (files.directory if path.is_dir() else files.file)(str(path))
            assert same(path.resolve(), opened)
            assert str(path.resolve()) == files.host_path(str(path))


class TestDirectories(Enforced):
    """What is refused for the sake of a directory."""

    COMPONENTS = pytest.mark.parametrize("component", ["a", "a/b", "a/b/c"])

    def test_of_root(self, area: Path) -> None:
        """Where all is root's, nothing is refused."""
        self.accepted(area / "a" / "b" / "c")
        self.accepted(Path("/"))

    @COMPONENTS
    @pytest.mark.parametrize("owner", [NOBODY, UNKNOWN])
    @pytest.mark.parametrize("mode", [0o755, 0o1755, 0o500])
    def test_owner(self, area: Path, component: str, owner: int, mode: int) -> None:
        """Each directory on the way has to be root's, and the last one too."""
        os.chown(area / component, owner, 0)
        (area / component).chmod(mode)
        problem = f"belongs to {named('user', owner)}, not to root"
        self.refused(area / "a" / "b" / "c", area / component, problem)

    @COMPONENTS
    @pytest.mark.parametrize("mode", [0o757, 0o777, 0o702])
    def test_open_to_others(self, area: Path, component: str, mode: int) -> None:
        """None may be open to everybody."""
        (area / component).chmod(mode)
        self.refused(area / "a" / "b" / "c", area / component, "can be written by others")

    @COMPONENTS
    @pytest.mark.parametrize("group", [STAFF, UNKNOWN])
    def test_open_to_a_group(self, area: Path, component: str, group: int) -> None:
        """None may be open to a group."""
        os.chown(area / component, 0, group)
        (area / component).chmod(0o2775)
        problem = f"can be written by {named('group', group)}"
        self.refused(area / "a" / "b" / "c", area / component, problem)

    def test_open_to_trusted_groups(self, area: Path) -> None:
        """Groups that are named, and root's own, may write."""
        self.groups = frozenset({STAFF})
        os.chown(area / "a", 0, STAFF)
        for component in ("a", "a/b", "a/b/c"):
            (area / component).chmod(0o2775)
        self.accepted(area / "a" / "b" / "c")
        (area / "a").chmod(0o777)
        self.refused(area / "a" / "b" / "c", area / "a", "can be written by others")

    def test_sticky(self, area: Path) -> None:
        """In a directory like /tmp, root's entries are root's."""
        for mode in (0o1777, 0o1775):
            (area / "a").chmod(mode)
            os.chown(area / "a", 0, STAFF)
            self.accepted(area / "a" / "b")
            self.accepted(area / "a" / "b" / "file")

    def test_entry_of_a_sticky_directory(self, area: Path) -> None:
        """Entries of others are not, whatever is in them."""
        (area / "a").chmod(0o1777)
        os.chown(area / "a" / "b", NOBODY, NOBODY)
        problem = f"belongs to {named('user', NOBODY)}, not to root"
        self.refused(area / "a" / "b" / "c", area / "a" / "b", problem)

    @pytest.mark.parametrize("way", ["a", "a/b/..", "a/b/c/../.."])
    def test_sticky_at_the_end(self, area: Path, way: str) -> None:
        """A directory that others can add to is not one to write in or to take anything from."""
        (area / "a").chmod(0o1777)
        self.refused(area / way, area / "a", "can be written by others")
        (area / "a").chmod(0o1755)
        self.accepted(area / way)

    def test_access_control_list(self, area: Path) -> None:
        """A list that lets a user write shows in the bits of the group, being its mask."""
        set_acl(area / "a", NOBODY, 5)
        self.accepted(area / "a" / "b")
        set_acl(area / "a", NOBODY, 7)
        os.chown(area / "a", 0, STAFF)
        problem = f"can be written by {named('group', STAFF)}"
        self.refused(area / "a" / "b", area / "a", problem)

    @pytest.mark.parametrize("component", ["a", "a/b/file"])
    def test_access_control_list_of_a_trusted_group(self, area: Path, component: str) -> None:
        """It does not help that the group which has the mask's bits is trusted."""
        self.groups = frozenset({STAFF})
        os.chown(area / component, 0, STAFF)
        (area / component).chmod(0o775)
        self.accepted(area / "a" / "b" / "file")
        set_acl(area / component, NOBODY, 7)
        problem = "can be written by those in its access control list"
        self.refused(area / "a" / "b" / "file", area / component, problem, "file")

    def test_unknown_state_of_the_list(self, area: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the list cannot be read, it is taken for granted."""
        (area / "a").chmod(0o775)

        def getxattr(*_: object) -> bytes:
            raise OSError(errno.EIO, "")

        monkeypatch.setattr(os, "getxattr", getxattr)
        problem = "can be written by those in its access control list"
        self.refused(area / "a" / "b", area / "a", problem)


class TestFilesThemselves(Enforced):
    """What is refused for the sake of a file."""

    def test_of_root(self, area: Path) -> None:
        """A file of root's is opened for reading."""
        self.accepted(area / "a" / "b" / "file")
        with Files(enforced=True) as files:
            assert b"content" == content(files.file(str(area / "a" / "b" / "file")))

    def test_owner(self, area: Path) -> None:
        """A file of somebody else is refused."""
        file = area / "a" / "b" / "file"
        os.chown(file, NOBODY, NOBODY)
        problem = f"belongs to {named('user', NOBODY)}, not to root"
        self.refused(file, file, problem, "file")

    @pytest.mark.parametrize("mode", [0o666, 0o1666, 0o4646])
    def test_open_to_others(self, area: Path, mode: int) -> None:
        """A file that everybody can write is refused; the sticky bit of a file means nothing."""
        file = area / "a" / "b" / "file"
        file.chmod(mode)
        self.refused(file, file, "can be written by others", "file")

    def test_open_to_a_group(self, area: Path) -> None:
        """A file that a group can write is refused, unless the group is trusted."""
        file = area / "a" / "b" / "file"
        os.chown(file, 0, STAFF)
        file.chmod(0o664)
        self.refused(file, file, f"can be written by {named('group', STAFF)}", "file")
        self.groups = frozenset({STAFF})
        self.accepted(file)

    @pytest.mark.parametrize("kind", ["file", "link"])
    def test_hard_link(self, area: Path, kind: str) -> None:
        """In a sticky directory, somebody may have given root's file or link another place."""
        source, place = area / "a" / "b" / kind, area / "shared" / "name"
        place.parent.mkdir()
        if kind == "link":
            source.symlink_to(area / "a" / "b" / "file")
        os.link(source, place, follow_symlinks=False)
        self.accepted(place)
        place.parent.chmod(0o1777)
        problem = "may be a hard link that others have made"
        self.refused(place, place, problem, "file")

    @pytest.mark.parametrize("kind", ["file", "link"])
    def test_last_hard_link(self, area: Path, kind: str) -> None:
        """It is no longer to be told from root's own when root removes what it was made from."""
        source, place = area / "a" / "b" / kind, area / "shared" / "name"
        place.parent.mkdir()
        if kind == "link":
            source.symlink_to(area / "a" / "b" / "c")
        os.link(source, place, follow_symlinks=False)
        place.parent.chmod(0o1777)
        source.unlink()
        self.refused(place, place, "may be a hard link that others have made", "file")


class TestLinks(Enforced):
    """Symbolic links, and what they lead through."""

    def test_of_root(self, area: Path) -> None:
        """Root's links are followed: absolute ones, relative ones, and chains of them."""
        (area / "absolute").symlink_to(area / "a" / "b")
        (area / "relative").symlink_to("a/./b//../b/")
        (area / "chain").symlink_to("a/link/../link/c")
        (area / "a" / "link").symlink_to("../relative")
        for link in ("absolute", "relative", "a/link", "chain"):
            self.accepted(area / link)
        for link in ("absolute", "relative", "a/link"):
            self.accepted(area / link / "file")

    @pytest.mark.parametrize("way", ["link", "link/c", "chain", "chain/c"])
    def test_of_somebody_else(self, area: Path, way: str) -> None:
        """A link that somebody else can change is refused, wherever it leads now."""
        (area / "link").symlink_to("a/b")
        (area / "chain").symlink_to("a/../link")
        self.accepted(area / way)
        os.lchown(area / "link", NOBODY, NOBODY)
        problem = f"is a symbolic link of {named('user', NOBODY)}"
        self.refused(area / way, area / "link", problem)

    def test_file_by_a_link_of_somebody_else(self, area: Path) -> None:
        """The same for a link to a file."""
        (area / "link").symlink_to("a/b/file")
        self.accepted(area / "link")
        os.lchown(area / "link", NOBODY, NOBODY)
        problem = f"is a symbolic link of {named('user', NOBODY)}"
        self.refused(area / "link", area / "link", problem, "file")

    def test_to_what_is_refused(self, area: Path) -> None:
        """What a link of root's leads through is checked like any other way."""
        (area / "link").symlink_to(area / "a" / "b" / "c")
        (area / "a" / "b").chmod(0o777)
        self.refused(area / "link", area / "a" / "b", "can be written by others")

    def test_way_back(self, area: Path) -> None:
        """What was on the way has been relied on, even if the way leads out of it again."""
        (area / "a" / "b").chmod(0o777)
        self.refused(area / "a" / "b" / "..", area / "a" / "b", "can be written by others")


MODES = pytest.mark.parametrize("enforced", [False, True], ids=["user", "root"])
ROOTS = pytest.mark.parametrize("inside", [False, True], ids=["machine", "image"])


def opened(area: Path, *, enforced: bool, inside: bool) -> tuple[Files, Path]:
    """Return files, with `area` as root or without one, and the path of the area for them."""
    if enforced and os.geteuid() != 0:
        pytest.skip("needs root")
    root = str(area) if inside else None
    return Files(enforced=enforced, root=root), Path("/") if inside else area


@MODES
@ROOTS
class TestErrors:
    """What cannot be opened, for whatever user and wherever the root is."""

    def fails(
        self, area: Path, enforced: bool, inside: bool, name: str, numbers: dict[str, int]
    ) -> None:
        """Check the errors for a path below the area; of methods not named it does not matter."""
        files, top = opened(area, enforced=enforced, inside=inside)
        with files:
            for method, number in numbers.items():
                with pytest.raises(OSError, match=r".") as caught:
                    getattr(files, method)(f"{top}/{name}")
                assert number == caught.value.errno
                assert f"{area}/{name}" == str(caught.value.filename).replace("//", "/")

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            ("missing", errno.ENOENT),
            ("a/missing/c", errno.ENOENT),
            ("missing/..", errno.ENOENT),
            ("dangling", errno.ENOENT),
            ("loop", errno.ELOOP),
            ("loop/x", errno.ELOOP),
            ("a/b/file/x", errno.ENOTDIR),
            ("a/b/file/..", errno.ENOTDIR),
            ("x" * 256, errno.ENAMETOOLONG),
            ("nu\0ll", errno.EINVAL),
            ("\ud800", errno.EINVAL),
        ],
        ids=ascii,
    )
    def test_any(self, area: Path, enforced: bool, inside: bool, name: str, number: int) -> None:
        """The error is the system's, and names the whole path."""
        (area / "loop").symlink_to("loop")
        (area / "dangling").symlink_to("a/missing")
        numbers = dict.fromkeys(("directory", "file", "host_path"), number)
        self.fails(area, enforced, inside, name, numbers)

    @pytest.mark.parametrize("name", ["a/b/file", "link"])
    def test_no_directory(self, area: Path, enforced: bool, inside: bool, name: str) -> None:
        """A file is no directory."""
        (area / "link").symlink_to("a/b/file")
        self.fails(area, enforced, inside, name, {"directory": errno.ENOTDIR})

    @pytest.mark.parametrize("name", ["a", "link", "a/b/.."])
    def test_directory(self, area: Path, enforced: bool, inside: bool, name: str) -> None:
        """A directory is no file."""
        (area / "link").symlink_to("a/b")
        self.fails(area, enforced, inside, name, {"file": errno.EINVAL})

    def test_fifo(self, area: Path, enforced: bool, inside: bool) -> None:
        """A FIFO is neither, and nothing waits for somebody to write to it."""
        os.mkfifo(area / "fifo")
        numbers = {"directory": errno.ENOTDIR, "file": errno.EINVAL, "host_path": errno.EINVAL}
        self.fails(area, enforced, inside, "fifo", numbers)

    def test_links(self, area: Path, enforced: bool, inside: bool) -> None:
        """Forty links are followed, one more is not."""
        (area / "0").symlink_to("a")
        for number in range(1, 41):
            (area / str(number)).symlink_to(str(number - 1))
        files, top = opened(area, enforced=enforced, inside=inside)
        with files:
            assert same(area / "a", files.directory(str(top / "39")))
        self.fails(area, enforced, inside, "40", {"directory": errno.ELOOP})

    def test_no_more_descriptors(
        self, area: Path, enforced: bool, inside: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whichever call is the one that fails, nothing stays open."""
        (area / "link").symlink_to("a/b/..")
        real, calls = os.open, [0]

        def fail(*arguments: object, **options: object) -> int:
            calls[0] -= 1
            if calls[0] < 0:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return real(*arguments, **options)

        files, top = opened(area, enforced=enforced, inside=inside)
        before = len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as patch, files:
            patch.setattr(os, "open", fail)
            for limit in range(100):
                calls[0] = limit
                with contextlib.suppress(OSError):
                    os.close(files.directory(str(top / "link" / "b" / "c")))
                    break
                assert before == len(os.listdir("/proc/self/fd"))
        assert 0 < limit < 99


@MODES
class TestRoot:
    """Paths below a root, out of which none leads."""

    @pytest.fixture
    def image(self, area: Path) -> Path:
        """A root that looks like the machine's to whom it is one."""
        image = area / "image"
        (image / "a" / "b").mkdir(parents=True)
        (image / "a" / "b" / "file").write_bytes(b"content of the image")
        return image

    @pytest.mark.parametrize(
        "path",
        [
            "/a/b",
            "a/b",
            "//a//./b/",
            "/../a/b",
            "../../../../a/b",
            "/a/../../a/b",
            "/absolute",
            "/dotdot",
            "/a/dotdot",
            "/a/b/up/a/b",
            "/self/self/a/b",
            "/twice",
        ],
    )
    def test_stays_inside(self, image: Path, enforced: bool, path: str) -> None:
        """Neither absolute links nor those that go up lead to the machine's own files."""
        (image / "absolute").symlink_to("/a/b")
        (image / "dotdot").symlink_to("../../a/b")
        (image / "a" / "dotdot").symlink_to("../../../../../../a/b")
        (image / "a" / "b" / "up").symlink_to("../../..")
        (image / "self").symlink_to("/")
        (image / "twice").symlink_to("/absolute/../dotdot")
        files, _ = opened(image, enforced=enforced, inside=True)
        with files:
            assert same(image / "a" / "b", files.directory(path))
            assert b"content of the image" == content(files.file(path + "/file"))
            assert str(image / "a" / "b") == files.host_path(path)
            assert str(image / "a" / "b" / "file") == files.host_path(path + "/file")

    @pytest.mark.parametrize("path", ["/", "..", "/up", "/a/../..", "."])
    def test_root_itself(self, image: Path, enforced: bool, path: str) -> None:
        """The root is its own parent."""
        (image / "up").symlink_to("..")
        files, _ = opened(image, enforced=enforced, inside=True)
        with files:
            assert same(image, files.directory(path))
            assert str(image) == files.host_path(path)

    def test_absolute_path_of_the_machine(self, image: Path, enforced: bool) -> None:
        """What is outside is not there."""
        files, _ = opened(image, enforced=enforced, inside=True)
        with files, pytest.raises(FileNotFoundError) as caught:
            files.directory(str(image))
        assert f"{image}{image}" == caught.value.filename

    def test_moved(self, image: Path, enforced: bool) -> None:
        """The root is a directory, not a name that could be given to another."""
        files, _ = opened(image, enforced=enforced, inside=True)
        image.rename(image.parent / "moved")
        image.mkdir()
        with files:
            assert b"content of the image" == content(files.file("/a/b/file"))

    def test_machine(self, image: Path, enforced: bool) -> None:
        """The machine's root may be given as one."""
        if enforced and os.geteuid() != 0:
            pytest.skip("needs root")
        with Files(enforced=enforced, root="/") as files:
            assert same(image, files.directory(str(image)))
            with pytest.raises(FileNotFoundError) as caught:
                files.directory("/missing")
        assert "/missing" == caught.value.filename

    def test_closed(self, image: Path, enforced: bool) -> None:
        """After closing, paths do not suddenly mean files of the machine; closing twice is well."""
        files, _ = opened(image, enforced=enforced, inside=True)
        files.close()
        files.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            files.directory("/")

    @pytest.mark.parametrize("root", ["missing", "", "a/b/file"])
    def test_no_root(self, area: Path, enforced: bool, root: str) -> None:
        """The root has to be a directory."""
        if enforced and os.geteuid() != 0:
            pytest.skip("needs root")
        with pytest.raises(OSError, match=r"directory|file"):
            Files(enforced=enforced, root=root and str(area / root))


class TestUntrustedRoot(Enforced):
    """Roots that others can change, and things in roots."""

    def test_root(self, area: Path) -> None:
        """A root that others can change is refused."""
        (area / "a").chmod(0o777)
        with pytest.raises(UntrustedError) as caught:
            Files(enforced=True, root=str(area / "a" / "b"))
        assert str(area / "a") == caught.value.component

    def test_later(self, area: Path) -> None:
        """It is looked at again for each path."""
        with Files(enforced=True, root=str(area)) as files:
            area.chmod(0o777)
            with pytest.raises(UntrustedError) as caught:
                files.directory("/a")
        assert (str(area / "a"), str(area)) == (caught.value.path, caught.value.component)

    def test_component(self, area: Path) -> None:
        """What is refused in a root is named as the machine names it."""
        (area / "a" / "b").chmod(0o777)
        with Files(enforced=True, root=str(area)) as files, pytest.raises(UntrustedError) as caught:
            files.directory("/a/b/c")
        assert str(area / "a" / "b" / "c") == caught.value.path
        assert str(area / "a" / "b") == caught.value.component
        problem = "can be written by others"
        assert f"refused {area}/a/b/c: {area}/a/b {problem}" == str(caught.value)


@MODES
class TestRelativePaths:
    """Relative paths without a root."""

    def test_start_where_the_process_is(
        self, area: Path, enforced: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They are what they are for everybody else, and ".." is the directory above a link's."""
        (area / "link").symlink_to("a/b/c")
        monkeypatch.chdir(area / "a")
        files, _ = opened(area, enforced=enforced, inside=False)
        with files:
            assert same(area / "a" / "b", files.directory("b"))
            assert same(area / "a", files.directory("."))
            assert same(area / "a" / "b", files.directory("../link/.."))
            with pytest.raises(FileNotFoundError):
                files.directory("")


class TestAsUser:
    """Without enforcement."""

    def test_nothing_is_refused(self, area: Path) -> None:
        """A user relies on what the system lets this user open."""
        (area / "a").chmod(0o777)
        (area / "link").symlink_to("a/b")
        if os.geteuid() == 0:
            os.lchown(area / "link", NOBODY, NOBODY)
            os.chown(area / "a" / "b", NOBODY, NOBODY)
        for root in (None, "/"):
            with unprivileged(), Files(enforced=False, root=root) as files:
                assert same(area / "a" / "b" / "c", files.directory(str(area / "link" / "c")))
                assert b"content" == content(files.file(str(area / "link" / "file")))


class TestSwaps(Enforced):
    """Somebody who changes things between the steps."""

    @pytest.mark.parametrize("kind", ["file", "link", "fifo", "nothing"])
    @pytest.mark.parametrize("enforced", [False, True])
    def test_file_that_is_replaced(
        self, area: Path, monkeypatch: pytest.MonkeyPatch, kind: str, enforced: bool
    ) -> None:
        """What is not the file that was looked at is refused, and nothing waits for it."""
        file = area / "a" / "b" / "file"
        real = os.open

        def swap(path: str, flags: int, *arguments: int, **options: int) -> int:
            if os.path.basename(path) == "file" and not flags & os.O_PATH:
                file.rename(area / "moved")
                if kind == "file":
                    file.write_bytes(b"other content")
                elif kind == "link":
                    file.symlink_to("/etc/passwd")
                elif kind == "fifo":
                    os.mkfifo(file)
            return real(path, flags, *arguments, **options)

        expected = {"nothing": {errno.ENOENT}, "link": {errno.ELOOP, errno.ESTALE}}
        monkeypatch.setattr(os, "open", swap)
        with Files(enforced=enforced) as files, pytest.raises(OSError, match=r".") as caught:
            files.file(str(file))
        assert caught.value.errno in expected.get(kind, {errno.ESTALE})

    @pytest.mark.parametrize("enforced", [False, True])
    def test_device(self, monkeypatch: pytest.MonkeyPatch, enforced: bool) -> None:
        """A device is not even opened: that alone may do something."""
        real = os.open

        def look(path: str, flags: int, *arguments: int, **options: int) -> int:
            assert flags & os.O_PATH or os.path.basename(path) != "null"
            return real(path, flags, *arguments, **options)

        monkeypatch.setattr(os, "open", look)
        with Files(enforced=enforced) as files, pytest.raises((OSError, UntrustedError)):
            files.file("/dev/null")

    def test_component_that_is_replaced(self, area: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What has been opened is used, whatever has its name by now."""
        real = os.open

        def swap(path: str, flags: int, *arguments: int, **options: int) -> int:
            if path == "c":
                (area / "a" / "b").rename(area / "moved")
                (area / "a" / "b" / "c").mkdir(parents=True)
            return real(path, flags, *arguments, **options)

        with monkeypatch.context() as patch, Files(enforced=True) as files:
            patch.setattr(os, "open", swap)
            descriptor = files.directory(str(area / "a" / "b" / "c"))
        assert same(area / "moved" / "c", descriptor)

    def test_each_component_once(self, area: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No component is looked up twice, and none by a path of several."""
        real, names = os.open, []

        def record(path: str, *arguments: int, **options: int) -> int:
            names.append(path)
            return real(path, *arguments, **options)

        with monkeypatch.context() as patch, Files(enforced=True) as files:
            patch.setattr(os, "open", record)
            os.close(files.directory(str(area / "a" / "b" / "c")))
        assert ["/", *str(area).split("/")[1:], "a", "b", "c", "."] == names


class TestAccepts(Enforced):
    """Directories and links that have been found already."""

    def asked(self, path: Path, link: str | None = None, *, enforced: bool = True) -> bool:
        """Ask about a directory, or a link in it."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with Files(enforced=enforced, groups=self.groups) as files:
                return files.accepts(descriptor, link)
        finally:
            os.close(descriptor)

    def test_directory(self, area: Path) -> None:
        """It is one of root's that is closed to others."""
        assert self.asked(area / "a")
        (area / "a").chmod(0o777)
        assert not self.asked(area / "a")
        assert self.asked(area / "a", enforced=False)
        os.chown(area / "a/b", NOBODY, NOBODY)
        assert not self.asked(area / "a/b")

    def test_link(self, area: Path) -> None:
        """It is root's."""
        (area / "a/link").symlink_to("b")
        assert self.asked(area / "a", "link")
        os.chown(area / "a/link", NOBODY, NOBODY, follow_symlinks=False)
        assert not self.asked(area / "a", "link")
        assert self.asked(area / "a", "link", enforced=False)
