"""How the child is started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from commands import give_away, unprivileged
from dropin_cache.update.sandbox import Unconfined

if TYPE_CHECKING:
    import pytest


class TestUnconfined:
    """The tier without confinement."""

    def test_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """For root neither the environment nor the working directory has a say."""
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("PYTHONPATH", "/somewhere")
        launch = Unconfined().launch("/usr/bin/python3")
        assert ["/usr/bin/python3", "-I", "-B"] == launch.arguments
        assert {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"} == launch.environment
        assert "/" == launch.directory

    def test_user(self, monkeypatch: pytest.MonkeyPatch, public_path: Path) -> None:
        """Users have their environment."""
        monkeypatch.setenv("PYTHONPATH", "/somewhere")
        monkeypatch.chdir(give_away(public_path / "home"))
        with unprivileged():
            launch = Unconfined().launch("/usr/bin/python3")
        assert ["/usr/bin/python3", "-B"] == launch.arguments
        assert dict(os.environ) == launch.environment

    def test_no_working_directory(self, monkeypatch: pytest.MonkeyPatch, public_path: Path) -> None:
        """That somebody removed the working directory is no reason to fail."""
        home = give_away(public_path / "home")
        monkeypatch.chdir(home)
        home.rmdir()
        with unprivileged():
            assert Path(Unconfined().launch("/usr/bin/python3").directory or "/").is_dir()
