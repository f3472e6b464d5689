"""Triggers that are turned off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from command_line import run
from conftest import Tree

BYPASS = "DROPIN_CACHE_UPDATE_BYPASS"


def told(reason: str) -> str:
    """Return what a trigger prints that is turned off."""
    return f"plugin caches are not updated: {reason}; at the end, run update-dropin-cache\n"


@pytest.mark.processes
class TestTurnedOff:
    """update --trigger, where somebody wants one update at the end."""

    @pytest.fixture
    def application(self, tree: Tree) -> Path:
        """An application with a plugin module; returns where its cache will be."""
        tree.application()
        tree.write("app/plugins/one.py", "")
        return tree.path / "app/plugins/dropin.cache"

    @pytest.mark.parametrize("value", ["1", "yes", "true"])
    def test_by_the_environment(self, tree: Tree, application: Path, value: str) -> None:
        """It says so in one line, and does nothing."""
        outcome = run(
            "update", "--trigger", "--path", tree.path, "app.plugins", env={BYPASS: value}
        )

        assert (0, told(f"{BYPASS} is set"), "") == outcome
        assert not application.exists()

    @pytest.mark.parametrize("value", ["", "0"])
    def test_not_by_nothing(self, tree: Tree, application: Path, value: str) -> None:
        """A variable that says no turns nothing off."""
        outcome = run(
            "update", "--trigger", "--path", tree.path, "app.plugins", env={BYPASS: value}
        )

        assert outcome.out.startswith("written: ")
        assert application.exists()

    def test_not_by_hand(self, tree: Tree, application: Path) -> None:
        """Who asks for an update gets it."""
        outcome = run("update", "--path", tree.path, "app.plugins", env={BYPASS: "1"})

        assert 0 == outcome.status
        assert application.exists()

    def test_by_configuration(self, tmp_path: Path) -> None:
        """The configuration counts that is the image's."""
        image = tmp_path / "image"
        (image / "etc/dropin-cache").mkdir(parents=True)
        (image / "etc/dropin-cache/dropin-cache.conf").write_text("triggers = no\n")

        assert (
            0,
            told("triggers = no in /etc/dropin-cache/dropin-cache.conf"),
            "",
        ) == run("update", "--trigger", "--root", image)

    def test_missing_image(self, tmp_path: Path) -> None:
        """What is wrong with an image is told by the update."""
        status, out, err = run("update", "--trigger", "--root", tmp_path / "missing")

        assert (0, "") == (status, out)
        assert os.fspath(tmp_path / "missing") in err
