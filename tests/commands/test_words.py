"""Words for people: errors with advice; whole outputs are tested with the commands."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial

import pytest

from dropin_cache import errors
from dropin_cache.commands import words
from dropin_cache.errors import DropinCacheError
from dropin_cache.update.report import UNCHANGED, Broken, DirectoryReport, Report

RAISE = "Try again, and raise the limit first if there is one: ulimit"
CASES: list[tuple[DropinCacheError, str]] = [
    (
        errors.PackageNotFoundError("a.b", "/p"),
        (
            "Check the spelling, or name the interpreter that has it: --python EXE. "
            "To see what /p imports: /p -c 'import a.b'"
        ),
    ),
    (
        errors.NotAPluginPackageError("a", "it contains a.b, which is one", "a.b"),
        "Name plugin packages only, here and in packages.d, such as a.b.",
    ),
    (
        errors.PackageBrokenError("a.b", "E: e", "t"),
        "The package itself fails: reinstall what owns a.b.",
    ),
    (
        errors.PackageBrokenError("a.b", "the sandbox does not show /s/a", ""),
        "It and the directories above it have to be root's, and readable by everybody.",
    ),
    (
        errors.NotWrittenError("/d/c", errno.EROFS),
        "Update before it is made read-only, or mount it writable.",
    ),
    (
        errors.NotWrittenError("/nowhere/c", errno.EACCES),
        "Fix that, or run this as the owner of /nowhere/c.",
    ),
    (
        errors.InterpreterError("/p", "too old"),
        "Give the path of a Python 3.9 or later: --python /usr/bin/python3",
    ),
    (
        errors.UnreadableError("/d", errno.EIO),
        "The caches of its package are unchanged. Try again.",
    ),
    (
        errors.ZopeInterfaceMissingError("/p"),
        (
            "Without it there are no plugins. To install it: /p -m pip install zope.interface "
            "(Debian: apt install python3-zope.interface)"
        ),
    ),
    (
        errors.ImportRootError("/d", "gone"),
        "--path takes an existing directory, as PYTHONPATH does.",
    ),
    (
        errors.NotWrittenError("/d/c", errno.ENOSPC),
        "Fix that, or run this as the owner of /d/c.",
    ),
    (
        errors.LockTimeoutError("/d/c", 2.5),
        "Try again when it is done, or wait longer: --lock-timeout S",
    ),
    (
        errors.CommandError("/c", errno.ENOENT),
        "Nothing was run. Put the command behind two dashes: dropin-cache run -- uv sync",
    ),
    (
        errors.UnstableError("/d"),
        "Try again when nothing is being installed or removed there.",
    ),
    (
        errors.UnknownNameError("a.b"),
        (
            "Give the name of a plugin module such as twisted.plugins.twisted_web, or its path. "
            "To see what is in the caches: dropin-cache list. Archives (zip, egg, pyz) have none."
        ),
    ),
    (
        errors.RootError("/d", "No such file or directory"),
        "--root takes the directory of a mounted or unpacked system.",
    ),
    (
        errors.UntrustedError("/d/e/f", "/d/e", "can be written by others"),
        "Only root may be able to write there: chmod go-w /d/e",
    ),
    (
        errors.ForeignDirectoryError("/d", "/d", "is no directory of a.b"),
        (
            "If plugin modules belong there, allow it: plugin-directories = /d in "
            "/etc/dropin-cache/dropin-cache.conf"
        ),
    ),
    (
        errors.ConfigurationError("/c", 3, "bad"),
        "Nothing in this file counts until that is fixed.",
    ),
    (
        errors.NoSandboxError((("none", "plugin modules never run with the rights of root"),)),
        "Leave out --sandbox none: the best sandbox that works here is used then.",
    ),
    (
        errors.NoSandboxError((("namespace", "bwrap is not there"),)),
        (
            "Root imports no plugin modules without one: apt install bubblewrap (or dnf, "
            "pacman), or "
            "use a kernel that has Landlock."
        ),
    ),
    (
        errors.NoSandboxError((("landlock", "Landlock is forbidden here"),)),
        (
            "Root imports no plugin modules without one. Allow what is denied here, or run this "
            "from outside: update-dropin-cache --root DIR. In a builder that is a sandbox itself: "
            "--sandbox user"
        ),
    ),
    (
        errors.NoSandboxError((("user", "root cannot become another user here"),)),
        (
            "Root imports no plugin modules without one. Allow what is denied here, or run this "
            "from outside: update-dropin-cache --root DIR"
        ),
    ),
    (
        errors.NotWrittenError("/d/c", 1, "its directory is immutable (chattr +i)"),
        "Nobody can write there: chattr -i -a /d",
    ),
    (
        errors.NoProcError(),
        "Mount it (mount -t proc proc /proc), or run from outside: update-dropin-cache --root DIR",
    ),
    (
        errors.ConfinementError("landlock", ("it has a network",)),
        "Nothing was imported. Use another --sandbox, and please report this.",
    ),
]


class TestError:
    """Errors."""

    @pytest.mark.parametrize(
        ("error", "advice"), CASES, ids=[type(case[0]).__name__ for case in CASES]
    )
    def test_advice(
        self, error: DropinCacheError, advice: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It is said what is wrong in one line, and in the next what to do."""
        words.error(error)
        assert ("", f"dropin-cache: error: {error}\n  {advice}\n") == capsys.readouterr()

    @pytest.mark.parametrize(
        ("number", "advice"),
        [
            (errno.EMFILE, f"{RAISE} -n 1024"),
            (errno.EAGAIN, f"{RAISE} -u 1024"),
            (errno.ENOMEM, f"{RAISE} -v unlimited -d unlimited"),
            (errno.EIO, "Fix that, and run the same command again."),
            (errno.ENOSPC, "Fix that, and run the same command again."),
            (errno.ENOENT, "Give the path of a Python 3.9 or later: --python /usr/bin/python3"),
        ],
    )
    def test_failures(self, number: int, advice: str, capsys: pytest.CaptureFixture[str]) -> None:
        """That the system fails is nobody's mistake, and some of it is a limit."""
        error = errors.InterpreterError("/p", os.strerror(number))
        error.__cause__ = OSError(number, os.strerror(number))
        words.error(error)
        assert f"  {advice}\n" == capsys.readouterr().err.partition("\n")[2]

    def test_limit_of_another(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A program that was started may have met it, and tells by its output."""
        words.error(errors.NoSandboxError((("namespace", "bwrap: fork: Cannot allocate memory"),)))
        assert "ulimit -v unlimited -d unlimited" in capsys.readouterr().err

    def test_limit_of_the_sandbox(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What a package meets with is the sandbox's, and no limit of who runs this."""
        words.error(errors.PackageBrokenError("a", "OSError: Too many open files", ""))
        assert "ulimit" not in capsys.readouterr().err

    def test_none_is_missing_here(self) -> None:
        """There is advice for each class of errors, and a case for it above."""
        known = [
            each
            for above in (DropinCacheError, errors.UntrustedError)
            for each in above.__subclasses__()
        ]
        assert set(known) == {type(case[0]) for case in CASES}

    def test_without_advice(self, capsys: pytest.CaptureFixture[str]) -> None:
        """An error for which there is no advice is told without."""
        words.error(DropinCacheError("strange"))
        assert "dropin-cache: error: strange\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    "say", [partial(words.diagnostics, quiet=False, verbose=False), words.news], ids=["all", "news"]
)
def test_warnings(say: Callable[[Report], None], capsys: pytest.CaptureFixture[str]) -> None:
    """What a run has left out is told, also where only news are."""
    say(Report(None, (), warnings=("/a is left out",)))
    assert "dropin-cache: warning: /a is left out\n" in capsys.readouterr().err


def test_few_news(capsys: pytest.CaptureFixture[str]) -> None:
    """A package transaction is told a few lines about a directory, and where the rest is."""
    broken = tuple(Broken(f"a.b{number}", "E") for number in range(12))
    words.news(Report(None, (DirectoryReport("/a", "a", "/p", UNCHANGED, "", broken=broken),)))
    lines = capsys.readouterr().err.splitlines()
    assert 11 == len(lines)
    more = "dropin-cache: warning: 2 more modules left out of /a: dropin-cache check tells all"
    assert more == lines[-1]


class TestForeign:
    """What is not this user's to write."""

    FOREIGN = DirectoryReport("/d", "app.plugins", "/p", "stale", "stale", foreign=True)

    def test_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It does not count, and is named if all is to be told."""
        found = Report(None, (self.FOREIGN,))
        assert [] == found.own
        words.diagnostics(found, quiet=False, verbose=False)
        assert "" == capsys.readouterr().err
        words.diagnostics(found, quiet=False, verbose=True)
        expected = "dropin-cache: info: /d is not this user's to write, and does not count\n"
        assert expected == capsys.readouterr().err

    def test_nothing_else(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Where there is nothing else, that is the result."""
        words.report(Report(None, (self.FOREIGN,)), conditional=False)
        expected = "none of the caches here is this user's to write; with -v, they are named\n"
        assert expected == capsys.readouterr().out


def test_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a package that is broken, there is a traceback for who wants it."""
    words.error(errors.PackageBrokenError("a.b", "E: e", "line 1\nline 2"), verbose=True)
    assert ["  line 1", "  line 2"] == capsys.readouterr().err.splitlines()[1:3]


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """Where no cache has any plugins, that is said."""
    words.rows([])
    assert capsys.readouterr().err.startswith("dropin-cache: warning: no such plugins")
