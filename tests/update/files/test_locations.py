"""Where this project keeps what is its own; the directories of locks are tested with them."""

from __future__ import annotations

import os

import pytest

from dropin_cache import _quick
from dropin_cache.update.files import locations


class TestStateDirectory:
    """The directory of the effective user's state."""

    def test_of_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Root's is the system's, whatever the environment says."""
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("XDG_CACHE_HOME", "/other")
        assert _quick.STATE_DIRECTORY == locations.state_directory() == "/var/cache/dropin-cache"

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("/other", "/other/dropin-cache"),
            ("relative", "/home/it/.cache/dropin-cache"),
            ("", "/home/it/.cache/dropin-cache"),
        ],
    )
    def test_of_a_user(self, monkeypatch: pytest.MonkeyPatch, value: str, expected: str) -> None:
        """A user's is where the XDG specification has it."""
        monkeypatch.setattr(os, "geteuid", lambda: 1)
        monkeypatch.setenv("HOME", "/home/it")
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert expected == locations.state_directory()

    def test_of_a_user_without_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there is no home, and nobody knows of one, there is none."""
        monkeypatch.setattr(os, "geteuid", lambda: 1)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setenv("HOME", "relative")
        assert None is locations.state_directory()


class TestClosed:
    """Where nobody but root may be able to write."""

    def test_all(self) -> None:
        """That is where root's state and locks are."""
        assert {"/var/cache/dropin-cache", "/run/lock/dropin-cache", "/run/dropin-cache"} == set(
            locations.CLOSED
        )
