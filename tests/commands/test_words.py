"""Words for people: errors with advice; whole outputs are tested with the commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from dropin_cache import errors
from dropin_cache.commands import words
from dropin_cache.commands.explanation import Explanation
from dropin_cache.errors import DropinCacheError
from dropin_cache.update.report import UNCHANGED, Broken, DirectoryReport, Report


class TestError:
    """Errors."""

    def test_advice(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It is said what is wrong in one line, and in the next what to do."""
        words.error(errors.UnstableError("/d"))
        expected = (
            "dropin-cache: error: /d kept changing while it was being read\n"
            "  Try again when nothing is being installed or removed there.\n"
        )
        assert ("", expected) == capsys.readouterr()

    def test_brief(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A package manager's log gets one line."""
        words.error(errors.UnstableError("/d"), brief=True)
        expected = "dropin-cache: error: /d kept changing while it was being read\n"
        assert ("", expected) == capsys.readouterr()

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
        words.report(Report(None, (self.FOREIGN,)))
        expected = "none of the caches here is this user's to write; with -v, they are named\n"
        assert expected == capsys.readouterr().out


def test_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a package that is broken, there is a traceback for who wants it."""
    words.error(errors.PackageBrokenError("a.b", "E: e", "line 1\nline 2"), verbose=True)
    assert ["  line 1", "  line 2"] == capsys.readouterr().err.splitlines()[1:3]


def test_remarks(capsys: pytest.CaptureFixture[str]) -> None:
    """What is alike for several modules is told once, with their number."""
    remarks = (("a.b", "it is old"), ("a.c", "it is old"), ("a.d", "it is new"))
    directory = DirectoryReport("/a", "a", "/p", "fresh", "fresh", remarks=remarks)
    words.diagnostics(Report(None, (directory,)), quiet=False, verbose=False)
    assert [
        "dropin-cache: info: /a: it is old (2 modules)",
        "dropin-cache: info: /a: it is new (1 module)",
    ] == capsys.readouterr().err.splitlines()


def test_default_package(capsys: pytest.CaptureFixture[str]) -> None:
    """Applications need not name the package in which they ask without naming any."""
    package = "dropin_cache.plugins"
    words.explanation(Explanation("a", "fresh", "/a", "/c", package, "/p", ()))
    assert "  ask      dropin_cache.getPlugins(INTERFACE)\n" in capsys.readouterr().out
