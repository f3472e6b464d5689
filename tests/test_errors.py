"""Errors: what they carry and what they say."""

from __future__ import annotations

import copy
import errno
import os
import pickle
from typing import Any

import pytest

from dropin_cache import errors
from dropin_cache.errors import DropinCacheError

CASES: list[tuple[DropinCacheError, int, dict[str, Any], str]] = [
    (
        errors.PackageNotFoundError("a.b", "/p"),
        2,
        {"package": "a.b", "python": "/p"},
        "no plugin package a.b for /p",
    ),
    (
        errors.NotAPluginPackageError("a", "it contains a.b, which is one", "a.b"),
        2,
        {"package": "a", "reason": "it contains a.b, which is one", "meant": "a.b"},
        "a is no plugin package: it contains a.b, which is one",
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
        errors.ForeignInterpreterError("/p", "aarch64"),
        5,
        {"python": "/p", "reason": "aarch64"},
        "cannot run the interpreter /p: it is for another kind of machine, aarch64",
    ),
    (
        errors.UnreadableError("/d", errno.EIO),
        5,
        {"path": "/d", "errno": errno.EIO},
        "cannot look at /d: Input/output error",
    ),
    (errors.ZopeInterfaceMissingError("/p"), 5, {"python": "/p"}, "/p has no zope.interface"),
    (
        errors.DirectoryError("/d", "gone"),
        2,
        {"path": "/d", "reason": "gone"},
        "cannot use the directory /d: gone",
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
        "no plugin module, plugin package or cache is known as a.b",
    ),
    (
        errors.UnknownInterfaceError("a.IB", ("a.IC",)),
        2,
        {"interface": "a.IB", "known": ("a.IC",)},
        "no plugin in any cache provides a.IB",
    ),
    (
        errors.UntrustedError("/d/e/f", "/d/e", "can be written by others"),
        4,
        {"path": "/d/e/f", "component": "/d/e", "problem": "can be written by others"},
        "refused /d/e/f: /d/e can be written by others",
    ),
    (
        errors.ForeignDirectoryError("/d", "/d", "is no directory of a.b"),
        4,
        {"path": "/d", "component": "/d", "problem": "is no directory of a.b"},
        "refused /d: /d is no directory of a.b",
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
        "no sandbox to import plugin modules in: namespace: no bwrap; landlock: no kernel",
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

    def test_copies(
        self, error: DropinCacheError, exit_code: int, fields: dict[str, Any], message: str
    ) -> None:
        """Copies of it, and what comes out of a pickle, carry and say the same."""
        for each in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
            assert type(error) is type(each)
            assert (exit_code, fields, message) == (each.exit_code, vars(each), str(each))


class TestAll:
    """The classes together."""

    def test_none_is_missing_here(self) -> None:
        """This module has a case for each class of errors."""
        assert every_class() == {type(case[0]) for case in CASES}

    def test_root(self) -> None:
        """An error of no special kind means that it could not be done, and says what it is told."""
        assert (5, "") == (DropinCacheError().exit_code, str(DropinCacheError()))
        assert "strange" == str(DropinCacheError("strange"))

    def test_strange_characters(self) -> None:
        """What looks like a part of the message's form is left as it is."""
        assert "cannot use the directory {0}: {reason}" == str(
            errors.DirectoryError("{0}", "{reason}")
        )
