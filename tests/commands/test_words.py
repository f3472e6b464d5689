"""Words for people: errors with advice; whole outputs are tested with the commands."""

from __future__ import annotations

import pytest

from dropin_cache import errors
from dropin_cache.commands import words
from dropin_cache.commands.explanation import Explanation
from dropin_cache.errors import DropinCacheError


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


def test_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a package that is broken, there is a traceback for who wants it."""
    words.error(errors.PackageBrokenError("a.b", "E: e", "line 1\nline 2"), verbose=True)
    assert ["  line 1", "  line 2"] == capsys.readouterr().err.splitlines()[1:3]


def test_default_package(capsys: pytest.CaptureFixture[str]) -> None:
    """Applications need not name the package in which they ask without naming any."""
    package = "dropin_cache.plugins"
    words.explanation(Explanation("a", "fresh", "/a", "/c", package, "/p", ()))
    assert "  ask      dropin_cache.getPlugins(INTERFACE)\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("problem", "told"),
    [(KeyError("a\nb"), "KeyError: 'a\\nb'"), (ValueError(), "ValueError: ")],
    ids=["words", "none"],
)
def test_mistake(problem: Exception, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake of this program is called one, in one line."""
    words.mistake(problem)
    expected = f"dropin-cache: error: this is a mistake in dropin-cache: {told}"
    assert [expected] == capsys.readouterr().err.splitlines()
