"""Colours: when there are any, and of what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dropin_cache import _colour


@pytest.fixture(autouse=True)
def _as_usual(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have nobody ask for anything."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    yield
    _colour.choose(_colour.AUTO)


class TestWanted:
    """When there are colours."""

    @pytest.mark.parametrize("terminal", [True, False])
    def test_usual(self, terminal: bool) -> None:
        """On terminals, and nowhere else."""
        assert terminal is _colour.wanted(terminal=terminal)

    @pytest.mark.parametrize("kind", ["dumb", "", None])
    def test_dumb(self, monkeypatch: pytest.MonkeyPatch, kind: str | None) -> None:
        """Not on a terminal that only prints lines, or that nobody knows."""
        if kind is None:
            monkeypatch.delenv("TERM")
        else:
            monkeypatch.setenv("TERM", kind)
        assert not _colour.wanted(terminal=True)

    @pytest.mark.parametrize(
        ("name", "value", "wanted"),
        [
            ("NO_COLOR", "1", (False, False)),
            ("NO_COLOR", "", (True, False)),
            ("FORCE_COLOR", "1", (True, True)),
            ("FORCE_COLOR", "", (True, False)),
        ],
    )
    def test_variables(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: tuple[bool, bool]
    ) -> None:
        """A variable asks for them, or for none, wherever it is printed, unless it is empty."""
        monkeypatch.setenv(name, value)
        assert wanted == (_colour.wanted(terminal=True), _colour.wanted(terminal=False))

    def test_both(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who asks for none and for some gets none."""
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert not _colour.wanted(terminal=True)

    @pytest.mark.parametrize("name", ["NO_COLOR", "FORCE_COLOR"])
    @pytest.mark.parametrize("when", ["always", "never"])
    def test_chosen(self, monkeypatch: pytest.MonkeyPatch, name: str, when: str) -> None:
        """What stands on the command line counts more than any variable."""
        monkeypatch.setenv(name, "1")
        _colour.choose(when)
        assert (when == "always",) * 2 == (
            _colour.wanted(terminal=True),
            _colour.wanted(terminal=False),
        )


class TestLine:
    """What has colours."""

    @pytest.mark.parametrize(
        ("text", "painted"),
        [
            ("fresh: /a (b: 1 module)", "\x1b[32mfresh:\x1b[0m /a (b: 1 module)"),
            ("would be written: /a", "\x1b[32mwould be written:\x1b[0m /a"),
            ("stale: /a", "\x1b[35mstale:\x1b[0m /a"),
            ("corrupt: /a", "\x1b[1;31mcorrupt:\x1b[0m /a"),
            ("dropin-cache: error: a: b", "dropin-cache: \x1b[1;31merror:\x1b[0m a: b"),
            ("dropin-cache: info: a", "dropin-cache: \x1b[1minfo:\x1b[0m a"),
        ],
    )
    def test_kinds(self, text: str, painted: str) -> None:
        """The kind of a message, and the state of a cache."""
        assert painted == _colour.line(text)

    @pytest.mark.parametrize("text", ["fresh", "  error  a: b", "other: fresh: /a", "", ":"])
    def test_others(self, text: str) -> None:
        """Nothing else."""
        assert text == _colour.line(text)

    def test_readable(self) -> None:
        """There are no others: yellow, white and blue are hard to read on some ground."""
        assert {"1", "32", "35", "1;31"} == set(_colour._STYLES.values())


class TestTitle:
    """What a part of a listing is about."""

    def test_name(self) -> None:
        """A name stands out."""
        assert "\x1b[1ma.b\x1b[0m" == _colour.title("a.b")

    def test_state(self) -> None:
        """Its state has that state's colour."""
        assert "\x1b[1ma.b\x1b[0m: \x1b[1;31mbroken\x1b[0m" == _colour.title("a.b: broken")

    def test_no_state(self) -> None:
        """What is no state has none."""
        assert "\x1b[1ma.b\x1b[0m: c" == _colour.title("a.b: c")
