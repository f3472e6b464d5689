"""The configuration: what is understood, what is refused, and what then still counts."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from dropin_cache.errors import ConfigurationError, UntrustedError
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.settings import configuration, groups, syntax
from dropin_cache.update.settings.configuration import PackageLine, Settings

VENDOR, ADMIN = configuration.PACKAGE_DIRECTORIES
SAFEST = Settings(sandbox=("namespace",))


class Image:
    """The root of a system that is configured."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: str | bytes = "") -> Path:
        """Write a file; the name is absolute."""
        path = self.place(name)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def link(self, name: str, target: str) -> None:
        """Write a symbolic link."""
        self.place(name).symlink_to(target)

    def place(self, name: str) -> Path:
        """Make the directory of a file."""
        path = self.path / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        for directory in (path.parent, *path.parent.parents):
            if directory.is_relative_to(self.path):
                directory.chmod(0o755)
        return path

    def load(self, enforced: bool = False) -> Settings:
        """Read the configuration, and leave no descriptor open."""
        before = os.listdir("/proc/self/fd")
        try:
            with Files(enforced=enforced, root=str(self.path)) as files:
                return configuration.load(files)
        finally:
            assert before == os.listdir("/proc/self/fd")

    def packages(self) -> list[tuple[str, ...]]:
        """Read the plugin packages, as they stand in the files; all of them must be right."""
        settings = self.load()
        assert () == settings.problems
        return [(line.package, *line.import_roots) for line in settings.packages]

    def problem(self) -> tuple[str, int, str]:
        """Read a configuration with one mistake and return what is said about it."""
        (error,) = self.load().problems
        assert isinstance(error, ConfigurationError)
        return error.path, error.line, error.reason


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """A system without configuration."""
    path = tmp_path / "image"
    path.mkdir()
    return Image(path)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="what is trusted is root's")


class TestShipped:
    """The file that packages install."""

    TEXT = (Path(__file__).parents[3] / "hooks" / "dropin-cache.conf").read_text(encoding="utf-8")

    def test_changes_nothing(self, image: Image) -> None:
        """As it is, it says nothing."""
        image.write(configuration.MAIN_FILE, self.TEXT)
        assert Settings() == image.load()

    def test_shows_the_defaults(self, image: Image) -> None:
        """What is commented out in it is understood, and is what counts without it."""
        shown = [line[1:] for line in self.TEXT.splitlines() if re.match(r"#[a-z-]+ =", line)]
        image.write(configuration.MAIN_FILE, "\n".join(shown))
        assert (5, Settings()) == (len(shown), image.load())


class TestMainFile:
    """What dropin-cache.conf says."""

    def test_nothing(self, image: Image) -> None:
        """Without files the defaults count, and nothing is wrong."""
        assert Settings() == image.load()

    def test_everything(self, image: Image) -> None:
        """Every key has its effect."""
        image.write("/etc/group", "root:x:0:\nstaff:x:50:\n")
        image.write(
            configuration.MAIN_FILE,
            "# What this site wants.\n"
            "\n"
            "interpreters = /usr/bin/python3.11  /opt/python/bin/python3\t/usr/bin/python3.11\n"
            "triggers = no\n"
            "plugin-directories = /srv/plugins /opt/more\n"
            "trusted-groups = staff 1234\n"
            "sandbox=landlock\n"
            "  timeout = 2.5\r\n"
            "lock-timeout = 0\n"
            "memory = 512\n"
            "cpu = 7\n"
            "processes = 8\n"
            "descriptors = 99\n"
            "file-size = 1\n",
        )
        expected = Settings(
            interpreters=("/usr/bin/python3.11", "/opt/python/bin/python3"),
            triggers=False,
            plugin_directories=("/srv/plugins", "/opt/more"),
            trusted_groups=frozenset({50, 1234}),
            sandbox=("landlock",),
            limits=Limits(cpu=7, memory=512 << 20, processes=8, descriptors=99, file_size=1 << 20),
            timeout=2.5,
            lock_timeout=0.0,
        )

        assert expected == image.load()

    def test_all_keys(self, image: Image) -> None:
        """No key is accepted and then ignored: each one refuses nonsense."""
        for key in configuration._KEYS:
            image.write(configuration.MAIN_FILE, f"{key} = @ @\n")
            assert (configuration.MAIN_FILE, 1) == image.problem()[:2], key

    @pytest.mark.parametrize(
        ("name", "tiers"),
        [
            ("auto", ("namespace", "landlock")),
            ("namespace", ("namespace",)),
            ("landlock", ("landlock",)),
        ],
    )
    def test_sandbox(self, image: Image, name: str, tiers: tuple[str, ...]) -> None:
        """A tier can be asked for, or the best one there is."""
        image.write(configuration.MAIN_FILE, f"sandbox = {name}\n")

        assert tiers == image.load().sandbox

    @pytest.mark.parametrize("key", ["interpreters", "plugin-directories", "trusted-groups"])
    def test_empty_list(self, image: Image, key: str) -> None:
        """A list may have nothing in it."""
        image.write(configuration.MAIN_FILE, f"{key} =\n")

        assert Settings() == image.load()

    @pytest.mark.parametrize(
        ("text", "line", "reason"),
        [
            ("cpu 5", 1, 'expected "key = value"'),
            ("# x\n\ncolour = red", 3, 'there is no key "colour"'),
            ("= 5", 1, 'there is no key ""'),
            ("cpu = 5\nCPU = 5", 2, 'there is no key "CPU"'),
            ("cpu = 5\ntimeout = 1\ncpu = 5", 3, '"cpu" is in line 1 already'),
            ("interpreters = /a python3", 1, 'interpreters: "python3" is not an absolute path'),
            ("sandbox = none", 1, 'sandbox: "none" is none of auto, namespace, landlock, user'),
            ("sandbox =", 1, 'sandbox: "" is none of auto, namespace, landlock, user'),
            ("triggers = off", 1, 'triggers: "off" is neither yes nor no'),
            ("cpu = 0", 1, 'cpu: "0" is not a whole number from 1 to 1048576'),
            ("cpu = -1", 1, 'cpu: "-1" is not a whole number from 1 to 1048576'),
            ("cpu = 1_0", 1, 'cpu: "1_0" is not a whole number from 1 to 1048576'),
            ("cpu = 1.5", 1, 'cpu: "1.5" is not a whole number from 1 to 1048576'),
            ("memory = 1048577", 1, 'memory: "1048577" is not a whole number from 1 to 1048576'),
            ("timeout = 0.0", 1, "timeout: no time at all is not enough"),
            ("timeout = nan", 1, 'timeout: "nan" is not a number of seconds up to 1048576'),
            (
                "lock-timeout = inf",
                1,
                'lock-timeout: "inf" is not a number of seconds up to 1048576',
            ),
            ("timeout = 1e3", 1, 'timeout: "1e3" is not a number of seconds up to 1048576'),
            (
                "timeout = 1048576.1",
                1,
                'timeout: "1048576.1" is not a number of seconds up to 1048576',
            ),
            ("cpu = 5 # s", 1, 'cpu: "5 # s" is not a whole number from 1 to 1048576'),
            ("cpu = 5\nsandbox = \u202eauto", 2, "it has characters that cannot be seen"),
            ("cpu\u00a0= 5", 1, "it has characters that cannot be seen"),
            ("cpu = 5\0", 1, "it has characters that cannot be seen"),
        ],
    )
    def test_mistakes(self, image: Image, text: str, line: int, reason: str) -> None:
        """A mistake is reported with its line."""
        image.write(configuration.MAIN_FILE, text)

        assert (configuration.MAIN_FILE, line, reason) == image.problem()

    def test_not_text(self, image: Image) -> None:
        """What is not UTF-8 is a mistake, in comments too."""
        image.write(configuration.MAIN_FILE, b"cpu = 5\n# \xff\n")

        assert (configuration.MAIN_FILE, 2, "it is not UTF-8 text") == image.problem()

    def test_size(self, image: Image) -> None:
        """The largest file that is read has 64 KiB."""
        image.write(configuration.MAIN_FILE, "cpu = 5\n".ljust(syntax.MAX_SIZE))
        assert 5 == image.load().limits.cpu

        image.write(configuration.MAIN_FILE, "cpu = 5\n".ljust(syntax.MAX_SIZE + 1))
        assert (configuration.MAIN_FILE, 0, "it is larger than 64 KiB") == image.problem()

    def test_directory(self, image: Image) -> None:
        """What is no file is a problem."""
        image.place(configuration.MAIN_FILE).mkdir()

        settings = image.load()

        assert 1 == len(settings.problems)
        assert SAFEST == settings._replace(problems=())

    def test_unreadable(self, image: Image) -> None:
        """A file that the system does not let us open is a problem, in the system's words."""
        image.link(configuration.MAIN_FILE, "dropin-cache.conf")  # a loop

        settings = image.load()

        assert 1 == len(settings.problems)
        assert SAFEST == settings._replace(problems=())

    @pytest.mark.parametrize("sandbox", ["namespace", "auto", "landlock"])
    def test_mistake_weakens_nothing(self, image: Image, sandbox: str) -> None:
        """Beside a mistake nothing counts, no group is trusted, only the best tier is allowed."""
        image.write(
            configuration.MAIN_FILE,
            f"sandbox = {sandbox}\ntrusted-groups = 50\nmemory = 0\ntimeout = 1\n",
        )
        settings = image.load()

        assert 1 == len(settings.problems)
        assert SAFEST == settings._replace(problems=())

    @needs_root
    def test_untrusted(self, image: Image) -> None:
        """A file that others may write counts for nothing, nor does a group it names."""
        image.write(configuration.MAIN_FILE, "trusted-groups = 50\nsandbox = auto\n").chmod(0o666)

        settings = image.load(enforced=True)

        assert [UntrustedError] == [type(problem) for problem in settings.problems]
        assert SAFEST == settings._replace(problems=())

    @needs_root
    def test_own_group(self, image: Image) -> None:
        """A file cannot make the group trusted that may write it."""
        path = image.write(configuration.MAIN_FILE, "trusted-groups = 50\n")
        os.chown(path, 0, 50)
        path.chmod(0o664)

        settings = image.load(enforced=True)

        assert [UntrustedError] == [type(problem) for problem in settings.problems]
        assert frozenset() == settings.trusted_groups


class TestGroups:
    """The groups that are trusted."""

    GROUPS = "root:x:0:\nstaff:x:50:alice,bob\nstaff:x:51:\n7:x:70:\nbad:x\nodd:x:y:\n"

    def groups(self, image: Image, text: str) -> frozenset[int]:
        """Read the groups of a configuration that names these."""
        image.write(configuration.MAIN_FILE, f"trusted-groups = {text}\n")
        settings = image.load()
        assert () == settings.problems
        return settings.trusted_groups

    @pytest.mark.parametrize(
        ("text", "numbers"),
        [
            ("staff", {50}),
            ("50 staff root", {0, 50}),
            ("7 staff", {50, 70}),
            ("4294967294", {4294967294}),
        ],
    )
    def test_names(self, image: Image, text: str, numbers: set[int]) -> None:
        """Names are looked up in the image, the first entry counts, and numbers are themselves."""
        image.write("/etc/group", self.GROUPS)

        assert numbers == self.groups(image, text)

    def test_numbers_alone(self, image: Image) -> None:
        """Numbers need no list of groups."""
        assert {50, 51} == self.groups(image, "50 51")

    def test_this_system(self) -> None:
        """Names are found in the system's own file too."""
        assert frozenset({0}) == groups.numbers_of(Files(enforced=False), "root")

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("nosuch", 'there is no group "nosuch" in /etc/group'),
            ("bad", 'there is no group "bad" in /etc/group'),
            ("odd", 'there is no group "odd" in /etc/group'),
            ("-1", 'there is no group "-1" in /etc/group'),
            ("\u0665\u0660", 'there is no group "\u0665\u0660" in /etc/group'),
            ("4294967295", '"4294967295" is not the number of a group'),
        ],
    )
    def test_unknown(self, image: Image, text: str, reason: str) -> None:
        """A group that there is not is a mistake."""
        image.write("/etc/group", self.GROUPS)
        image.write(configuration.MAIN_FILE, f"trusted-groups = {text}\n")

        assert (configuration.MAIN_FILE, 1, f"trusted-groups: {reason}") == image.problem()

    def test_no_list(self, image: Image) -> None:
        """Without a list of groups no name is known."""
        image.write(configuration.MAIN_FILE, "trusted-groups = staff\n")

        assert "trusted-groups: names cannot be looked up" in image.problem()[2]

    @needs_root
    def test_untrusted_list(self, image: Image) -> None:
        """A list that others may write is not believed."""
        image.write("/etc/group", self.GROUPS).chmod(0o666)
        image.write(configuration.MAIN_FILE, "trusted-groups = staff\n").chmod(0o644)

        settings = image.load(enforced=True)

        assert [ConfigurationError] == [type(problem) for problem in settings.problems]
        assert frozenset() == settings.trusted_groups


class TestPackages:
    """The plugin packages of packages.d."""

    def test_lines(self, image: Image) -> None:
        """A line is a package and import roots; comments and empty lines are passed over."""
        image.write(
            f"{VENDOR}/app.conf",
            "# Ours.\n\n app.plugins  /opt/app/lib\t/srv/app\r\nother.deep.plugins\n",
        )
        expected = [("app.plugins", "/opt/app/lib", "/srv/app"), ("other.deep.plugins",)]

        assert expected == image.packages()

    def test_value(self, image: Image) -> None:
        """The packages are part of the settings."""
        image.write(f"{ADMIN}/app.conf", "app.plugins\n")

        assert Settings(packages=(PackageLine("app.plugins"),)) == image.load()

    def test_order(self, image: Image) -> None:
        """Files are read in the order of their names, wherever they are."""
        image.write(f"{VENDOR}/30-c.conf", "c\n")
        image.write(f"{VENDOR}/10-a.conf", "a\n")
        image.write(f"{ADMIN}/20-b.conf", "b\n")
        image.write(f"{ADMIN}/40-d.conf", "d\n")

        assert [("a",), ("b",), ("c",), ("d",)] == image.packages()

    def test_same_package(self, image: Image) -> None:
        """The import roots of several lines are joined, in order and each once."""
        image.write(f"{VENDOR}/1.conf", "a /one /two\nb\na\n")
        image.write(f"{ADMIN}/2.conf", "a /three /one /three\n")

        assert [("a", "/one", "/two", "/three"), ("b",)] == image.packages()

    def test_mask(self, image: Image) -> None:
        """A file of the administrator's replaces the one of the same name."""
        image.write(f"{VENDOR}/app.conf", "vendor\n")
        image.write(f"{ADMIN}/app.conf", "admin\n")

        assert [("admin",)] == image.packages()

    @pytest.mark.parametrize("target", ["/dev/null", "../../../dev/null", "//dev/./null"])
    def test_mask_by_link(self, image: Image, target: str) -> None:
        """A link to /dev/null removes the file of the same name, and is no mistake."""
        image.write(f"{VENDOR}/app.conf", "vendor\n")
        image.write(f"{VENDOR}/other.conf", "other\n")
        image.link(f"{ADMIN}/app.conf", target)
        os.mkfifo(image.place("/dev/null"))  # like the real one, no regular file

        assert [("other",)] == image.packages()

    def test_mask_by_empty_file(self, image: Image) -> None:
        """So does an empty file."""
        image.write(f"{VENDOR}/app.conf", "vendor\n")
        image.write(f"{ADMIN}/app.conf")

        assert [] == image.packages()

    def test_broken_file_masks(self, image: Image) -> None:
        """A file with a mistake does not bring back what it was to replace."""
        image.write(f"{VENDOR}/app.conf", "vendor\n")
        image.write(f"{ADMIN}/app.conf", "no such thing\n")

        assert () == image.load().packages

    @pytest.mark.parametrize(
        "name",
        [
            ".hidden.conf",
            "a.conf~",
            "a.conf.bak",
            "a.conf.dpkg-old",
            "a.conf.rpmnew",
            "a",
            "README",
        ],
    )
    def test_other_files(self, image: Image, name: str) -> None:
        """Files of other names are passed over, whatever is in them."""
        image.write(f"{ADMIN}/{name}", b"\xff")

        assert [] == image.packages()

    @pytest.mark.parametrize(
        ("text", "line", "reason"),
        [
            ("a\n1b\n", 2, '"1b" is not the dotted name of a package'),
            ("a..b\n", 1, '"a..b" is not the dotted name of a package'),
            ("../a\n", 1, '"../a" is not the dotted name of a package'),
            ("a lib\n", 1, '"lib" is not an absolute path'),
            ("a /lib\0\n", 1, "it has characters that cannot be seen"),
        ],
    )
    def test_mistakes(self, image: Image, text: str, line: int, reason: str) -> None:
        """A file with a mistake counts for nothing; the others and the main file do."""
        image.write(configuration.MAIN_FILE, "sandbox = auto\ncpu = 5\n")
        image.write(f"{VENDOR}/1.conf", "first\n")
        image.write(f"{VENDOR}/2.conf", text)
        image.write(f"{ADMIN}/3.conf", "last\n")
        settings = image.load()

        assert (f"{VENDOR}/2.conf", line, reason) == image.problem()
        assert (PackageLine("first"), PackageLine("last")) == settings.packages
        assert (5, ("namespace", "landlock")) == (settings.limits.cpu, settings.sandbox)

    def test_one_problem_each(self, image: Image) -> None:
        """Every file with mistakes is reported, once."""
        image.write(f"{VENDOR}/1.conf", "1\n2\n")
        image.write(f"{ADMIN}/2.conf", "3\n4\n")

        assert [f"{VENDOR}/1.conf", f"{ADMIN}/2.conf"] == [
            error.path for error in image.load().problems if isinstance(error, ConfigurationError)
        ]

    def test_vanished(self, image: Image) -> None:
        """A file that is gone when it is opened is a missing one."""
        image.write(f"{VENDOR}/app.conf", "app\n")
        image.link(f"{VENDOR}/gone.conf", "nowhere.conf")

        settings = image.load()

        assert (PackageLine("app"),) == settings.packages

    def test_no_directory(self, image: Image) -> None:
        """A directory that is a file is one problem, and the other directory counts."""
        image.write(ADMIN)
        image.write(f"{VENDOR}/app.conf", "app\n")
        settings = image.load()

        assert 1 == len(settings.problems)
        assert (PackageLine("app"),) == settings.packages

    @needs_root
    def test_untrusted_file(self, image: Image) -> None:
        """A file that others may write counts for nothing, and the others do."""
        image.write(f"{VENDOR}/1.conf", "first\n").chmod(0o644)
        image.write(f"{VENDOR}/2.conf", "second\n").chmod(0o666)
        settings = image.load(enforced=True)

        assert [UntrustedError] == [type(problem) for problem in settings.problems]
        assert (PackageLine("first"),) == settings.packages

    @needs_root
    def test_untrusted_directory(self, image: Image) -> None:
        """A directory that others may write is one problem, and masks nothing."""
        image.write(f"{VENDOR}/app.conf", "vendor\n").chmod(0o644)
        image.write(f"{ADMIN}/app.conf", "admin\n").chmod(0o644)
        (image.path / ADMIN.lstrip("/")).chmod(0o777)
        settings = image.load(enforced=True)

        assert [UntrustedError] == [type(problem) for problem in settings.problems]
        assert (PackageLine("vendor"),) == settings.packages
