"""What the system says of a path, and its failures."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dropin_cache.errors import InterpreterError
from dropin_cache.update.discovery.prefixes import belongings, resolved
from dropin_cache.update.files.failures import exit_code_of, is_failure, passing_over


class TestPassingOver:
    """What is passed over."""

    def test_answer(self) -> None:
        """That something is not there is an answer."""
        with passing_over():
            raise FileNotFoundError(errno.ENOENT, "")
        assert not is_failure(PermissionError(errno.EACCES, ""))

    def test_failure(self) -> None:
        """That the system fails is none."""
        with pytest.raises(OSError, match="Input/output"), passing_over():
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class TestExitCode:
    """The exit status of an error, seen together with what caused it."""

    @pytest.mark.parametrize(
        ("cause", "expected"),
        [(None, 2), (errno.ENOENT, 2), (errno.EACCES, 2), (errno.EIO, 5), (errno.EMFILE, 5)],
    )
    def test_cause(self, cause: int | None, expected: int) -> None:
        """When the system fails, it is not what was asked for that is wrong."""
        error = InterpreterError("/p", "reason")
        error.__cause__ = None if cause is None else OSError(cause, os.strerror(cause))
        assert expected == exit_code_of(error)


class TestPrefixes:
    """Links that the system fails to read."""

    def test_raised(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are not taken for files."""

        def fail(*_: object) -> str:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        program = str(tmp_path / "bin/python")
        with monkeypatch.context() as patch:
            patch.setattr(os, "readlink", fail)
            with pytest.raises(OSError, match="Input/output"):
                resolved(program, "")
            with pytest.raises(OSError, match="Input/output"):
                belongings(program, "", lambda path: path)
