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
        monkeypatch.setenv("XDG_STATE_HOME", "/other")
        assert _quick.STATE_DIRECTORY == locations.state_directory() == "/var/lib/dropin-cache"

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("/other", "/other/dropin-cache"),
            ("relative", "/home/it/.local/state/dropin-cache"),
            ("", "/home/it/.local/state/dropin-cache"),
        ],
    )
    def test_of_a_user(self, monkeypatch: pytest.MonkeyPatch, value: str, expected: str) -> None:
        """A user's is where the XDG specification has it."""
        monkeypatch.setattr(os, "geteuid", lambda: 1)
        monkeypatch.setenv("HOME", "/home/it")
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert expected == locations.state_directory()


class TestClosed:
    """Where nobody but root may be able to write."""

    def test_all(self) -> None:
        """That is where root's state and locks are."""
        assert {"/var/lib/dropin-cache", "/run/lock/dropin-cache", "/run/dropin-cache"} == set(
            locations.CLOSED
        )
