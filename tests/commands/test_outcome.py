"""What came of a run: the exit status, and what a check says."""

from __future__ import annotations

import argparse

import pytest

from dropin_cache import errors
from dropin_cache.commands import outcome
from dropin_cache.update.report import Broken, DirectoryReport, Report, Said

FRESH = DirectoryReport("/a", "a.b", "/p", "fresh", "fresh")
STALE = FRESH._replace(state="stale")
BROKEN = FRESH._replace(broken=(Broken("a.b.c", "E: e"),))
FAILED = FRESH._replace(error=errors.UnstableError("/a"))
REFUSED = errors.UntrustedError("/a", "/a", "is odd")


class TestStatus:
    """The exit status."""

    @pytest.mark.parametrize(
        ("command", "directories", "status"),
        [
            ("check", (), 0),
            ("check", (FRESH,), 0),
            ("check", (FRESH, STALE), 1),
            ("check", (BROKEN, STALE), 1),
            ("check", (FRESH, BROKEN), 3),
            ("check", (STALE, FAILED), 5),
            ("check", (STALE._replace(foreign=True), BROKEN._replace(foreign=True)), 0),
            ("clean", (BROKEN,), 0),
            ("update", (STALE, BROKEN), 0),
        ],
    )
    def test_of_directories(
        self, command: str, directories: tuple[DirectoryReport, ...], status: int
    ) -> None:
        """What could not be done counts more than what is stale, and that more than what fails."""
        arguments = argparse.Namespace(command=command)
        assert status == outcome.status_of(Report(None, directories), arguments)

    def test_strict(self) -> None:
        """An update fails for broken plugin modules if that is wanted."""
        arguments = argparse.Namespace(command="update", strict=True)
        assert 3 == outcome.status_of(Report(None, (BROKEN,)), arguments)
        assert 0 == outcome.status_of(Report(None, (STALE,)), arguments)

    def test_problems(self) -> None:
        """The worst counts."""
        found = Report(None, (FAILED,), problems=(REFUSED,))
        assert 5 == outcome.status_of(found, argparse.Namespace(command="update"))
        found = found._replace(directories=())
        assert 4 == outcome.status_of(found, argparse.Namespace(command="update"))

    @pytest.mark.parametrize(("skips", "status"), [(True, 0), (False, 5)])
    def test_no_sandbox(self, skips: bool, status: int) -> None:
        """That there is no sandbox is no failure for who says so."""
        arguments = argparse.Namespace(command="update", skip_without_sandbox=skips)
        found = Report(None, (), problems=(errors.NoSandboxError((("none", "no"),)),))
        assert status == outcome.status_of(found, arguments)
        assert 5 == outcome.status_of(Report(None, (FAILED,)), arguments)


@pytest.mark.parametrize(("directory", "status"), [(FRESH, 0), (BROKEN, 3)])
def test_said(directory: DirectoryReport, status: int) -> None:
    """What a check says is kept for the next, with its exit status."""
    lines = [f"fresh: /a (a.b: 0 modules, 0 plugins{', 1 broken' * (status == 3)})"]
    warnings = ["dropin-cache: warning: a.b.c is left out: E: e"] * (status == 3)
    assert Said(lines, warnings, status) == outcome.said(Report(None, (directory,)))
