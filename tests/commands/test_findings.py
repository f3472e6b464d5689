"""What a run did or found, in words; whole outputs are tested with the commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from dropin_cache.commands import findings
from dropin_cache.update.report import UNCHANGED, Broken, DirectoryReport, Report


@pytest.mark.parametrize(
    "say",
    [partial(findings.diagnostics, quiet=False, verbose=False), findings.news],
    ids=["all", "news"],
)
def test_warnings(say: Callable[[Report], None], capsys: pytest.CaptureFixture[str]) -> None:
    """What a run has left out is told, also where only news are."""
    say(Report(None, (), warnings=("/a is left out",)))
    assert "dropin-cache: warning: /a is left out\n" in capsys.readouterr().err


def test_few_news(capsys: pytest.CaptureFixture[str]) -> None:
    """A package transaction is told a few lines about a directory, and where the rest is."""
    broken = tuple(Broken(f"a.b{number}", "E") for number in range(12))
    findings.news(Report(None, (DirectoryReport("/a", "a", "/p", UNCHANGED, "", broken=broken),)))
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
        findings.diagnostics(found, quiet=False, verbose=False)
        assert "" == capsys.readouterr().err
        findings.diagnostics(found, quiet=False, verbose=True)
        expected = "dropin-cache: info: /d is not this user's to write, and does not count\n"
        assert expected == capsys.readouterr().err

    def test_nothing_else(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Where there is nothing else, that is the result."""
        findings.report(Report(None, (self.FOREIGN,)))
        expected = "none of the caches here is this user's to write; with -v, they are named\n"
        assert expected == capsys.readouterr().out


def test_remarks(capsys: pytest.CaptureFixture[str]) -> None:
    """What is alike for several modules is told once, with their number."""
    remarks = (("a.b", "it is old"), ("a.c", "it is old"), ("a.d", "it is new"))
    directory = DirectoryReport("/a", "a", "/p", "fresh", "fresh", remarks=remarks)
    findings.diagnostics(Report(None, (directory,)), quiet=False, verbose=False)
    assert [
        "dropin-cache: info: /a: it is old (2 modules)",
        "dropin-cache: info: /a: it is new (1 module)",
    ] == capsys.readouterr().err.splitlines()


class TestMisplaced:
    """Plugin directories where directories to import from are asked for."""

    @pytest.mark.parametrize(
        "path", ["/d/twisted/plugins", "/d/dropin_cache/plugins/", "/d/app/plugins"]
    )
    def test_warned(self, capsys: pytest.CaptureFixture[str], path: str) -> None:
        """It is said what to name instead."""
        directory = DirectoryReport("/e/app/plugins", "app.plugins", "/p", "fresh", "fresh")
        findings.misplaced(Report(None, (directory,)), ["/d", path, "/d/twisted"])
        told = path.rstrip("/")
        assert [
            f"dropin-cache: warning: --path {told} is a plugin directory, and selects nothing",
            "  Give the directory that its package is in: --path /d",
        ] == capsys.readouterr().err.splitlines()
