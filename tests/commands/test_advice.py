"""What to do about errors: for each message, what fits each of its situations."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from command_line import give_away, unprivileged
from conftest import NOBODY
from dropin_cache import errors
from dropin_cache.commands.advice import failed, what_to_do
from dropin_cache.errors import DropinCacheError

ROOT = os.geteuid() == 0
AGAIN = "Fix that, and run the same command again."
RAISE = "Try again, and raise the limit first if there is one: ulimit"
PYTHON = "Give the path of a Python 3.9 or later, or of an environment: --python ~/venv"
WITHOUT = "Root imports no plugin modules without one"
OUTSIDE = f"{WITHOUT}. Run this from outside of what denies it: update-dropin-cache --root DIR"
ZOPE = (
    "Debian: apt install python3-zope.interface; Fedora: dnf install python3-zope-interface; "
    "Arch: pacman -S python-zope-interface"
)
KNOWN = ("twisted.plugins", "dropin_cache.plugins")


def caused(error: DropinCacheError, number: int) -> DropinCacheError:
    """Give an error of ours one of the system as its cause."""
    error.__cause__ = OSError(number, os.strerror(number))
    return error


CASES: list[tuple[DropinCacheError, str]] = [
    (
        errors.PackageNotFoundError("a.b", "/p", KNOWN),
        (
            "Check the spelling, or name the environment that has it: --python ENVIRONMENT, "
            "or the directory: --path DIR"
        ),
    ),
    (errors.PackageNotFoundError("twisted.plugin", "/p", KNOWN), "Did you mean twisted.plugins?"),
    (
        errors.PackageNotFoundError("/usr/lib/twisted/plugins", "/p", KNOWN),
        (
            "Name the package with dots, such as twisted.plugins. About an environment: --python "
            "ENVIRONMENT; about one file: dropin-cache explain FILE"
        ),
    ),
    (errors.PackageNotFoundError("Twisted", "/p", KNOWN), "Did you mean twisted.plugins?"),
    (
        errors.PackageNotFoundError("check", "/p", KNOWN),
        "One command at a time, and first: dropin-cache check",
    ),
    (
        errors.PackageNotFoundError("all", "/p", KNOWN),
        "Leave it out: all plugin packages are meant where none is named.",
    ),
    *(
        (
            errors.PackageNotFoundError(f"a.plugins{between}b.plugins", "/p", KNOWN),
            "Give each package as a word of its own, without commas or quotes.",
        )
        for between in (",", " ", "; ")
    ),
    (
        errors.NotAPluginPackageError("a", "it contains a.b, which is one", "a.b"),
        "Name a.b instead, here or in packages.d. About one module: dropin-cache explain MODULE",
    ),
    (
        errors.NotAPluginPackageError("a", "it is something else", None),
        "Name plugin packages only, here and in packages.d.",
    ),
    (
        errors.PackageBrokenError("a.b", "E: e", "t"),
        "The package itself fails: reinstall what owns a.b.",
    ),
    (
        errors.PackageBrokenError("a.b", "the sandbox does not show /s/a", "", True),
        "It and the directories above it have to be root's, and readable by everybody.",
    ),
    # A limit that a package meets with is the sandbox's.
    (
        errors.PackageBrokenError("a", "OSError: Too many open files", ""),
        "The package itself fails: reinstall what owns a.",
    ),
    (caused(errors.InterpreterError("/p", "No such file"), errno.ENOENT), PYTHON),
    (errors.InterpreterError("/p", "it is Python 3.8, older than 3.9"), PYTHON),
    (
        errors.InterpreterError("/etc/bin/python", "No such file or directory"),
        "An environment has bin/python in it. Give its directory: --python ~/venv",
    ),
    (
        errors.InterpreterError("/srv/~/venv", "No such file or directory"),
        "A shell puts a home in the place of ~ only where there are no quotes around it.",
    ),
    (
        errors.InterpreterError("3.11", "there is no such program on PATH"),
        "A version is no program. Did you mean --python python3.11?",
    ),
    (caused(errors.InterpreterError("/p", "Input/output error"), errno.EIO), AGAIN),
    (errors.InterpreterError("/p", os.strerror(errno.EMFILE)), f"{RAISE} -n 1024"),
    (errors.InterpreterError("/p", os.strerror(errno.EAGAIN)), f"{RAISE} -u 1024"),
    (
        errors.UnreadableError("/d", errno.EIO),
        "The caches of its package are unchanged. Try again.",
    ),
    (
        errors.UnreadableError("/d", errno.ENOMEM),
        f"{RAISE} -v unlimited -d unlimited",
    ),
    (
        errors.ZopeInterfaceMissingError("/usr/bin/python3"),
        f"Without it there are no plugins. To install it: {ZOPE}",
    ),
    (
        errors.ZopeInterfaceMissingError("/venv/bin/python"),
        (
            "Without it there are no plugins. To install it: "
            "uv pip install --python /venv/bin/python zope.interface"
        ),
    ),
    (
        caused(errors.DirectoryError("/nonexistent/a", "gone"), errno.ENOENT),
        "Check the spelling: of the directories above it, / is there.",
    ),
    (
        caused(errors.DirectoryError("/usr/nonexistent/a", "gone"), errno.ENOENT),
        "Check the spelling: of the directories above it, /usr is there.",
    ),
    (
        caused(errors.DirectoryError("/home/x/~/a", "gone"), errno.ENOENT),
        "A shell puts a home in the place of ~ only where there are no quotes around it.",
    ),
    (
        caused(errors.DirectoryError("/srv/a:/srv/b", "gone"), errno.ENOENT),
        "Give each directory by an option of its own: --path DIR --path DIR",
    ),
    (
        caused(errors.DirectoryError("/x.zip", "Not a directory"), errno.ENOTDIR),
        "Give the directory that it is unpacked or mounted in, or leave it out.",
    ),
    (
        caused(errors.DirectoryError("/nonexistent/a", "closed"), errno.EACCES),
        "Run this as a user who may read it.",
    ),
    (caused(errors.DirectoryError("/d", "too long"), errno.ENAMETOOLONG), "Check the path."),
    (errors.DirectoryError("/d", "it is not shown to plugin modules as a whole"), ""),
    (
        errors.NotWrittenError("/d/c", errno.EROFS),
        "Update before it is made read-only, or mount it writable.",
    ),
    (
        errors.NotWrittenError("/d/c", errno.EISDIR),
        "A directory has the name of the cache. If it is of no use: rmdir /d/c",
    ),
    (
        errors.NotWrittenError("/d/c", 1, "its directory is immutable", "attribute /d"),
        "Somebody wants it to stay as it is. If not any more, as root: chattr -i -a /d",
    ),
    (
        errors.NotWrittenError("/d/c", 1, "it is immutable", "attribute /d/c"),
        "Somebody wants it to stay as it is. If not any more, as root: chattr -i -a /d/c",
    ),
    (caused(errors.NotWrittenError("/d/c", errno.ENOSPC), errno.ENOSPC), AGAIN),
    (errors.NotWrittenError("/d/c", errno.EEXIST), AGAIN),
    (
        errors.LockTimeoutError("/d/c", 2.5),
        "Try again when it is done, or wait longer: --lock-timeout S",
    ),
    (
        errors.LockTimeoutError("/d/c", 0),
        "Try again when it is done, or wait longer: --lock-timeout S",
    ),
    (
        errors.CommandError("/c", errno.ENOENT),
        "Nothing was run. Give a program that is there, and that you may execute.",
    ),
    (
        errors.CommandError("nosuch", errno.ENOENT),
        "Nothing was run. There is no such program on PATH; check the spelling.",
    ),
    (
        errors.CommandError("uv sync", errno.ENOENT),
        "Nothing was run. Give each word by itself, without quotes around the whole command.",
    ),
    (
        errors.CommandError("./x", errno.ENOEXEC),
        "Nothing was run. A script begins with a line such as #!/bin/sh",
    ),
    (
        errors.CommandError("./x.py", errno.EACCES),
        "Nothing was run. Say what runs it: python3 ./x.py",
    ),
    (
        errors.CommandError("./x", errno.EACCES),
        "Nothing was run. Give a program that is there, and that you may execute.",
    ),
    (
        errors.UnstableError("/d"),
        "Try again when nothing is being installed or removed there.",
    ),
    (
        caused(errors.UnstableError("/d"), errno.EIO),
        AGAIN,
    ),
    (
        errors.UnknownNameError("a.b", ("c.d",)),
        (
            "Give the name of a plugin module such as twisted.plugins.twisted_web, or its path. "
            "To see what is in the caches: dropin-cache list. Archives (zip, egg, pyz) have none."
        ),
    ),
    (
        errors.UnknownNameError("twisted.plugins.twisted_wep", ("twisted.plugins.twisted_web",)),
        "Did you mean twisted.plugins.twisted_web?",
    ),
    (
        errors.UnknownNameError("/etc/passwd", ()),
        (
            "It is in no directory of a plugin package that is known, such as twisted/plugins. "
            "To see which are: dropin-cache check"
        ),
    ),
    (
        errors.UnknownNameError("/nonexistent/twisted/plugins/a.py", ()),
        "There is no such file. Check the path, or give the name: dropin-cache list",
    ),
    (
        errors.UnknownNameError("/s/twisted/plugins/__init__.py", ()),
        "That is the package itself. Give its directory: /s/twisted/plugins",
    ),
    (
        errors.UnknownNameError("twisted.plugins.a:A", ("twisted.plugins.a.A", "b")),
        "Did you mean twisted.plugins.a.A?",
    ),
    (
        errors.UnknownNameError("twisted", ("twisted.plugins", "twisted.plugins.twisted_web")),
        "Did you mean twisted.plugins or twisted.plugins.twisted_web?",
    ),
    (
        errors.UnknownNameError("app.hello.plugun", ("app.hello.plugin", "app.hallo.plugin")),
        "Did you mean app.hello.plugin?",
    ),
    (
        errors.UnknownNameError("twisted_web", ("twisted.plugins.twisted_web",)),
        "Did you mean twisted.plugins.twisted_web?",
    ),
    (
        errors.UnknownInterfaceError(
            "IServiceMaker", ("twisted.application.service.IServiceMaker",)
        ),
        "Did you mean twisted.application.service.IServiceMaker?",
    ),
    (
        errors.UnknownInterfaceError("a.IB", ("a.interfaces.IMaker",)),
        "Check the spelling. To see what plugins provide: dropin-cache list",
    ),
    (
        errors.UnknownInterfaceError("a.IB", ()),
        "No cache has any plugins. To see whether they are fresh: dropin-cache check",
    ),
    (
        errors.UntrustedError("/d/e/f", "/d/e", "can be written by others"),
        "Only root may be able to write there: chmod go-w /d/e",
    ),
    (
        errors.UntrustedError("/d", "/d", "can be written by those in its access control list"),
        "Only root may be able to write there: setfacl -b /d",
    ),
    *(
        (
            errors.ForeignDirectoryError(path, path, "is no directory of a.b"),
            (
                f"If plugin modules belong there, allow it: plugin-directories = {path} in "
                "/etc/dropin-cache/dropin-cache.conf"
            ),
        )
        for path in ("/d", "/e")
    ),
    (
        errors.ConfigurationError("/c", 3, "bad"),
        "Nothing in this file counts until that is fixed.",
    ),
    (
        errors.ConfigurationError("/c", 0, "it is larger than 64 KiB"),
        "Nothing in this file counts until it is fixed.",
    ),
    (
        errors.NoSandboxError((("none", "plugin modules never run with the rights of root"),)),
        "Leave out --sandbox none: the best sandbox that works here is used then.",
    ),
    (
        errors.NoSandboxError((("namespace", "bwrap is not there"),)),
        f"{WITHOUT}: apt install bubblewrap (or dnf, pacman), or use a kernel with Landlock.",
    ),
    (
        errors.NoSandboxError((("landlock", "Landlock is forbidden here"),)),
        f"{OUTSIDE}. In a builder that is a sandbox itself: --sandbox user",
    ),
    (errors.NoSandboxError((("user", "root cannot become another user here"),)), OUTSIDE),
    # A program that was started may have met with a limit, and tells by its output.
    (
        errors.NoSandboxError((("namespace", "bwrap: fork: Cannot allocate memory"),)),
        f"{RAISE} -v unlimited -d unlimited",
    ),
    *(
        (
            caused(errors.NoProcError(), number) if number else errors.NoProcError(),
            (
                "Mount it (mount -t proc proc /proc), or run from outside: "
                "update-dropin-cache --root DIR"
            ),
        )
        for number in (0, errno.ENOENT)
    ),
    (
        errors.ConfinementError("landlock", ("it has a network",)),
        "Nothing was imported. Try --sandbox namespace, and please report this.",
    ),
    (
        errors.ConfinementError("namespace", ("it has a network",)),
        "Nothing was imported. Try --sandbox landlock, and please report this.",
    ),
]


def name_of(user: int) -> str:
    """Return the name of a user."""
    return pwd.getpwuid(user).pw_name


class TestEach:
    """Each class of errors."""

    @pytest.mark.parametrize(
        ("error", "advice"), CASES, ids=[type(case[0]).__name__ for case in CASES]
    )
    def test_advice(self, error: DropinCacheError, advice: str) -> None:
        """What is advised fits the case."""
        assert advice == what_to_do(error)

    def test_none_is_missing_here(self) -> None:
        """Each class of errors has at least two situations above."""
        known = [
            each
            for above in (DropinCacheError, errors.UntrustedError)
            for each in above.__subclasses__()
        ]
        tried = [type(case[0]) for case in CASES]
        assert [] == [each for each in known if tried.count(each) < 2]

    def test_directory_of_programs(self, tmp_path: Path) -> None:
        """Who names the directory of an interpreter may mean its environment."""
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python").touch()
        advice = what_to_do(errors.InterpreterError(f"{tmp_path}/bin/bin/python", "gone"))
        assert f"Did you mean the environment that it is in? --python {tmp_path}" == advice

    @pytest.mark.parametrize(
        ("user", "advice"),
        [
            (
                0,
                "Root looks for programs in the system's directories only. Give the whole path.",
            ),
            (1000, PYTHON),
        ],
    )
    def test_program(self, monkeypatch: pytest.MonkeyPatch, user: int, advice: str) -> None:
        """Root's PATH is not the one that is set."""
        monkeypatch.setattr(os, "geteuid", lambda: user)
        assert advice == what_to_do(errors.InterpreterError("mypython", "not on PATH"))

    def test_nothing(self) -> None:
        """About an error of no special kind there is no advice."""
        assert "" == what_to_do(DropinCacheError("strange"))

    @pytest.mark.parametrize(
        ("number", "advice"),
        [(errno.ENOMEM, f"{RAISE} -v unlimited -d unlimited"), (errno.EIO, AGAIN)],
    )
    def test_unexpected(self, number: int, advice: str) -> None:
        """Some failures are limits."""
        assert advice == failed(OSError(number, os.strerror(number)))


class TestImages:
    """What is said where a command is about an image."""

    def test_zope_interface(self) -> None:
        """It is missing in there: no pip of this machine helps."""
        advice = what_to_do(errors.ZopeInterfaceMissingError("/usr/bin/python3"), "/image")
        expected = "To install it in /image, use what that system is made with."
        assert f"Without it there are no plugins. {expected} {ZOPE}" == advice

    def test_interpreter(self) -> None:
        """Whether one was given or not, it has to be in there."""
        advice = what_to_do(errors.InterpreterError("/usr/bin/python3", "gone"), "/image")
        assert advice.startswith("Paths are inside of /image. If that is the root of a system ")

    def test_environment(self, tmp_path: Path) -> None:
        """An environment is no image."""
        (tmp_path / "pyvenv.cfg").touch()
        advice = what_to_do(errors.InterpreterError("/usr/bin/python3", "gone"), str(tmp_path))
        expected = f"--python {tmp_path}, without --root"
        assert f"That is an environment, and no system: {expected}" == advice

    def test_paths(self) -> None:
        """Whoever gives a path of this machine is told where it should lead."""
        error = caused(errors.DirectoryError("/d", "gone"), errno.ENOENT)
        foreign = errors.ForeignInterpreterError("/usr/bin/python3", "aarch64")
        unit = "systemctl --root='/my image' enable dropin-cache-first-boot.service"
        assert what_to_do(foreign, "/my image").endswith(f"when it starts first: {unit}")
        assert what_to_do(foreign).endswith(", or do it on such a machine")
        expected = "With --root, all other paths on the command line are inside of it."
        assert expected == what_to_do(error, "/image")

    def test_itself(self) -> None:
        """That it is not there itself is another matter."""
        error = caused(errors.DirectoryError("/usr/image", "gone"), errno.ENOENT)
        expected = "Check the spelling: of the directories above it, /usr is there."
        assert expected == what_to_do(error, "/usr/image")


class TestEnvironments:
    """Environments without zope.interface."""

    def test_with_pip(self, tmp_path: Path) -> None:
        """Its own pip is asked where it has one."""
        (tmp_path / "lib/python3.12/site-packages/pip").mkdir(parents=True)
        python = f"{tmp_path}/bin/python"
        expected = f"Without it there are no plugins. To install it: {python} -m pip install "
        advice = what_to_do(errors.ZopeInterfaceMissingError(python))
        assert f"{expected}zope.interface" == advice


class TestAccess:
    """Directories that cannot be written."""

    def advice(self, path: Path, reason: str = "", obstacle: str = "") -> str:
        """Return what is advised about a cache that cannot be written, to an ordinary user."""
        with unprivileged():
            number = errno.EACCES if not reason else errno.EPERM
            error = errors.NotWrittenError(str(path / "c"), number, reason, obstacle)
            return what_to_do(error)

    def test_own(self, public_path: Path) -> None:
        """Its owner can open it."""
        place = give_away(public_path / "place")
        place.chmod(0o555)
        expected = f"It is your own directory: chmod u+rwx {place}"
        assert expected == self.advice(place)

    def test_own_and_open(self, public_path: Path) -> None:
        """If that is not the reason, nothing of it is advised."""
        place = give_away(public_path / "place")
        assert "Run this as a user who may write there." == self.advice(place)

    @pytest.mark.skipif(not ROOT, reason="needs directories of two users")
    @pytest.mark.parametrize("owner", [0, 1])
    def test_of_another(self, public_path: Path, owner: int) -> None:
        """Its owner may write there."""
        os.chown(public_path, owner, owner)
        how = f"sudo {f'-u {name_of(owner)} ' if owner else ''}dropin-cache ..."
        assert f"Run this as a user who may write there: {how}" == self.advice(public_path)

    def test_gone(self, public_path: Path) -> None:
        """Of what is not there, nobody knows the owner."""
        expected = "Run this as a user who may write there."
        assert expected == self.advice(public_path / "gone" / "c")

    @pytest.mark.skipif(not ROOT, reason="about root")
    def test_of_root(self, public_path: Path) -> None:
        """Permissions do not keep root from anything."""
        expected = "It is not for permissions. SELinux, AppArmor or a file server may forbid it."
        assert expected == what_to_do(errors.NotWrittenError(f"{public_path}/c", errno.EACCES))

    def test_locks(self, public_path: Path) -> None:
        """No place for a lock is nothing that another user could mend."""
        reason = "no place for a lock: Not a directory (/x)"
        expected = "Name a directory of yours for locks: XDG_RUNTIME_DIR=DIR dropin-cache ..."
        obstacle = errors.NotWrittenError.LOCKS
        assert expected == self.advice(public_path, reason, obstacle)

    @pytest.mark.skipif(not ROOT, reason="about root")
    def test_locks_of_root(self) -> None:
        """Root's have one place."""
        reason = "no place for a lock: belongs to user 1 (/run/lock/dropin-cache)"
        expected = "Move away what is in the way there, and run the same command again."
        error = errors.NotWrittenError("/d/c", errno.EPERM, reason, errors.NotWrittenError.LOCKS)
        assert expected == what_to_do(error)

    @pytest.mark.skipif(not ROOT, reason="needs directories of two users")
    def test_reading(self, public_path: Path) -> None:
        """What may not be read is its owner's."""
        os.chown(public_path, NOBODY, NOBODY)
        error: Any = caused(errors.DirectoryError(str(public_path), "closed"), errno.EACCES)
        how = f"sudo -u {name_of(NOBODY)} dropin-cache ..."
        assert f"Run this as a user who may read it: {how}" == what_to_do(error)
