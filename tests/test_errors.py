"""Errors: what they carry and what they say."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from dropin_cache import errors
from dropin_cache.commands import words
from dropin_cache.errors import DropinCacheError
from dropin_cache.update.files.failures import exit_code_of

CASES: list[tuple[DropinCacheError, int, dict[str, Any], str]] = [
    (
        errors.PackageNotFoundError("a.b", "/p"),
        2,
        {"package": "a.b", "python": "/p"},
        "no plugin package a.b for /p",
    ),
    (
        errors.PackageBrokenError("a.b", "E: e", "t"),
        5,
        {"package": "a.b", "reason": "E: e", "traceback": "t"},
        "plugin package a.b cannot be imported: E: e",
    ),
    (
        errors.InterpreterError("/p", "too old"),
        2,
        {"python": "/p", "reason": "too old"},
        "cannot use the interpreter /p: too old",
    ),
    (
        errors.UnreadableError("/d", errno.EIO),
        5,
        {"path": "/d", "errno": errno.EIO},
        "cannot look at /d: Input/output error",
    ),
    (errors.ZopeInterfaceMissingError("/p"), 5, {"python": "/p"}, "/p has no zope.interface"),
    (
        errors.ImportRootError("/d", "gone"),
        2,
        {"path": "/d", "reason": "gone"},
        "cannot import from /d: gone",
    ),
    (
        errors.NotWrittenError("/d/c", errno.ENOSPC),
        5,
        {"path": "/d/c", "errno": errno.ENOSPC, "reason": os.strerror(errno.ENOSPC)},
        "cannot write /d/c: No space left on device",
    ),
    (
        errors.NotWrittenError("/d/c", errno.EPERM, "no lock"),
        5,
        {"path": "/d/c", "errno": errno.EPERM, "reason": "no lock"},
        "cannot write /d/c: no lock",
    ),
    (
        errors.LockTimeoutError("/d/c", 2.5),
        5,
        {"path": "/d/c", "timeout": 2.5},
        "another process is writing /d/c, for 2.5 s by now",
    ),
    (
        errors.CommandError("/c", errno.ENOENT),
        127,
        {"command": "/c", "errno": errno.ENOENT, "exit_code": 127},
        "cannot run /c: No such file or directory",
    ),
    (
        errors.CommandError("/c", errno.EACCES),
        126,
        {"command": "/c", "errno": errno.EACCES, "exit_code": 126},
        "cannot run /c: Permission denied",
    ),
    (
        errors.UnstableError("/d"),
        5,
        {"path": "/d"},
        "/d kept changing while it was being read",
    ),
    (
        errors.UnknownNameError("a.b"),
        2,
        {"name": "a.b"},
        "no drop-in, plugin package or cache is known as a.b",
    ),
    (
        errors.UntrustedError("/d/e/f", "/d/e", "can be written by others"),
        4,
        {"path": "/d/e/f", "component": "/d/e", "problem": "can be written by others"},
        "refused /d/e/f: /d/e can be written by others",
    ),
    (
        errors.ConfigurationError("/c", 3, "bad"),
        2,
        {"path": "/c", "line": 3, "reason": "bad"},
        "/c:3: bad",
    ),
    (
        errors.ConfigurationError("/c", 0, "bad"),
        2,
        {"path": "/c", "line": 0, "reason": "bad"},
        "/c: bad",
    ),
    (
        errors.NoSandboxError((("namespace", "no bwrap"), ("landlock", "no kernel"))),
        5,
        {"reasons": (("namespace", "no bwrap"), ("landlock", "no kernel"))},
        "no sandbox to import drop-ins in: namespace: no bwrap; landlock: no kernel",
    ),
    (errors.NoProcError(), 5, {}, "/proc is not mounted, so nothing was looked at"),
    (
        errors.ConfinementError("landlock", ("it has a network", "it is root")),
        5,
        {"tier": "landlock", "promises": ("it has a network", "it is root")},
        "the sandbox does not hold (landlock): it has a network; it is root",
    ),
]


def every_class(root: type = DropinCacheError) -> set[type]:
    """Return all classes of errors below one."""
    return set(root.__subclasses__()).union(*map(every_class, root.__subclasses__()))


class TestExitCode:
    """The exit status of an error, seen together with what caused it."""

    @pytest.mark.parametrize(
        ("cause", "expected"),
        [(None, 2), (errno.ENOENT, 2), (errno.EACCES, 2), (errno.EIO, 5), (errno.EMFILE, 5)],
    )
    def test_cause(self, cause: int | None, expected: int) -> None:
        """When the system fails, it is not what was asked for that is wrong."""
        error = errors.InterpreterError("/p", "reason")
        error.__cause__ = None if cause is None else OSError(cause, os.strerror(cause))
        assert expected == exit_code_of(error)


@pytest.mark.parametrize(
    ("error", "exit_code", "fields", "message"),
    CASES,
    ids=[type(case[0]).__name__ for case in CASES],
)
class TestEach:
    """Each class of errors."""

    def test_facts(
        self, error: DropinCacheError, exit_code: int, fields: dict[str, Any], message: str
    ) -> None:
        """It carries the facts, its exit status, and one line that names them."""
        assert isinstance(error, DropinCacheError)
        assert exit_code == error.exit_code
        assert fields == vars(error)
        assert message == str(error)

    def test_advice(
        self,
        error: DropinCacheError,
        exit_code: int,
        fields: dict[str, Any],
        message: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """The command says what is wrong in one line, and in the next what to do."""
        words.error(error)
        captured = capsys.readouterr()
        first, second = captured.err.splitlines()
        assert f"dropin-cache: error: {message}" == first
        assert second.startswith("  ")
        assert "" == captured.out


class TestAll:
    """The classes together."""

    def test_none_is_missing_here(self) -> None:
        """This module has a case for each class of errors."""
        assert every_class() == {type(case[0]) for case in CASES}

    def test_root(self) -> None:
        """An error of no special kind means that it could not be done."""
        assert 5 == DropinCacheError().exit_code
