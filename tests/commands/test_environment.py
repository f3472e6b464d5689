"""Whose packages are meant where nobody says so."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from command_line import Account, account, give_away, run, unprivileged
from dropin_cache.commands.environment import choose

ROOT = os.geteuid() == 0
PACKAGE = "dropin_cache.plugins"
ABOUT = "dropin-cache: info: this is about the packages of"


class User:
    """An ordinary user with an environment.

    Attributes:
        account: The user.
        venv: The environment.
    """

    def __init__(self, place: Path) -> None:
        """Make them below a directory that everybody can reach."""
        self.account: Account = account(place)
        self.venv = give_away(place / "home" / "venv")
        (self.venv / "bin").mkdir()
        (self.venv / "bin/python").symlink_to(self.account.python)
        home = os.path.dirname(self.account.python)
        (self.venv / "pyvenv.cfg").write_text(f"home = {home}\n")


@pytest.mark.processes
class TestUsers:
    """What an ordinary user means."""

    @pytest.fixture
    def user(self, public_path: Path) -> User:
        """A user with an environment."""
        return User(public_path)

    @pytest.mark.parametrize("command", [["update"], ["check"], ["list"], ["explain", "a.b"]])
    def test_activated(self, user: User, command: list[str]) -> None:
        """The environment that is activated, as Python itself would tell."""
        env = {"VIRTUAL_ENV": str(user.venv)}
        (user.venv / "bin/python").unlink()
        (user.venv / "bin/python").symlink_to("/bin/true")
        found = user.account.run(*command, env=env)
        message = f"dropin-cache: error: cannot use the interpreter {user.venv}/bin/python: "
        assert 2 == found.status
        assert found.err.startswith(message)

    def test_chosen(self, user: User, capsys: pytest.CaptureFixture[str]) -> None:
        """It counts as if it had been named."""
        arguments = Namespace(command="update", python=[], root=None)
        with unprivileged():
            choose(arguments, str(user.venv))
        assert [str(user.venv)] == arguments.python
        assert ("", "") == capsys.readouterr()

    def test_works(self, user: User) -> None:
        """Nothing has to be said about it."""
        found = user.account.run("update", PACKAGE, env={"VIRTUAL_ENV": str(user.venv)})
        assert (0, "") == (found.status, found.err)

    def test_gone(self, user: User, public_path: Path) -> None:
        """One that is not there does not count, and that is said."""
        gone = public_path / "gone"
        found = user.account.run("update", PACKAGE, env={"VIRTUAL_ENV": str(gone)})
        expected = f"{ABOUT} {user.account.python}; "
        assert 0 == found.status
        assert found.err == f"{expected}for the environment that is activated: --python {gone}\n"

    @pytest.mark.skipif(not ROOT, reason="needs another user")
    def test_of_another(self, user: User) -> None:
        """Another user's is none of this one's, whatever the variable says."""
        os.chown(user.venv, 1, 1)
        found = user.account.run("check", env={"VIRTUAL_ENV": str(user.venv)})
        assert found.err.startswith(ABOUT)

    def test_named(self, user: User) -> None:
        """Who names an interpreter means that."""
        env = {"VIRTUAL_ENV": "/nonexistent"}
        found = user.account.run("update", PACKAGE, "--python", user.account.python, env=env)
        assert (0, "") == (found.status, found.err)


@pytest.mark.processes
class TestRoot:
    """What root means."""

    @pytest.mark.skipif(not ROOT, reason="about root")
    def test_activated(self, tmp_path: Path) -> None:
        """A variable has no say in that; root is told how to have it otherwise."""
        found = run("check", "twisted.plugins", env={"VIRTUAL_ENV": str(tmp_path)})
        expected = f"for the environment that is activated: --python {tmp_path}\n"
        assert found.err.endswith(f"{ABOUT} {sys.executable}; {expected}")

    @pytest.mark.skipif(not ROOT, reason="about root")
    @pytest.mark.parametrize("option", ["--trigger", "-q"])
    def test_silent(self, tmp_path: Path, option: str) -> None:
        """Package managers hear nothing of that, nor does who wants to hear of errors only."""
        found = run("update", PACKAGE, option, env={"VIRTUAL_ENV": str(tmp_path)})
        assert "info" not in found.err


class TestTools:
    """Environments that installers have made for one tool."""

    @pytest.mark.parametrize("name", ["uv-receipt.toml", "pipx_metadata.json"])
    @pytest.mark.parametrize("command", ["update", "check", "list", "explain"])
    def test_told(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        name: str,
        command: str,
    ) -> None:
        """There are hardly plugins in them, so it is said whose packages are meant."""
        (tmp_path / name).touch()
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
        choose(Namespace(command=command, python=[], root=None), "")
        expected = f"{ABOUT} {sys.executable}; for another environment: --python ENVIRONMENT\n"
        assert ("", expected) == capsys.readouterr()

    @pytest.mark.parametrize(
        "arguments",
        [
            {"command": "clean", "python": [], "root": None},
            {"command": "hook"},
            {"command": "update", "python": ["/p"], "root": None},
            {"command": "update", "python": [], "root": "/image"},
        ],
    )
    def test_not_told(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: dict[str, object],
    ) -> None:
        """Where something is selected, or it is about everything, nobody has to be told."""
        (tmp_path / "uv-receipt.toml").touch()
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
        choose(Namespace(**arguments), "/elsewhere")
        assert ("", "") == capsys.readouterr()
