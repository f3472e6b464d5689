"""The commands, started with limits too low for anything to be done."""

from __future__ import annotations

import subprocess
import sys

import pytest

from conftest import Tree
from dropin_cache import cli, commands


class TestMemory:
    """Memory that runs out later."""

    def test_line(
        self,
        same_process: None,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """It is told as any failure of the system."""

        def run(_: object) -> None:
            raise MemoryError

        monkeypatch.setattr(commands.actions, "run", run)
        assert 5 == cli.main(["hook", "status"])
        expected = (
            "dropin-cache: error: cannot go on: [Errno 12] Cannot allocate memory\n"
            "  No cache is half written. Try again, and raise the limit first if there is one: "
            "ulimit -v unlimited -d unlimited\n"
        )
        assert expected == capsys.readouterr().err


@pytest.mark.processes
class TestLimits:
    """What is started with limits too low to do anything."""

    def limited(self, limit: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command with a limit of prlimit(1)."""
        command = ["prlimit", limit, sys.executable, "-m", "dropin_cache", *arguments]
        return subprocess.run(command, capture_output=True, check=False, text=True)

    @pytest.mark.parametrize(
        ("limit", "first", "remedy"),
        [
            ("--nofile=12", "ulimit -n 12, of at least 32", "ulimit -n 512"),
            ("--nofile=31:4096", "ulimit -n 31, of at least 32", "ulimit -n 512"),
            ("--as=60000000", "ulimit -v 58593, of at least 65536", "ulimit -v 1048576"),
            ("--data=20000000", "ulimit -d 19531, of at least 32768", "ulimit -d 524288"),
            ("--data=33000000", "ulimit -d 32226, of at least 32768", "ulimit -d 524288"),
        ],
    )
    def test_low(self, app: Tree, limit: str, first: str, remedy: str) -> None:
        """One line says which, one what to do, and nothing is touched."""
        done = self.limited(limit, "update", "--path", str(app.path), "app.plugins")
        expected = (
            f"dropin-cache: error: a limit is too low: {first}\n"
            f"  Raise it, and run the same command again: {remedy}\n"
        )
        assert (5, "", expected) == (done.returncode, done.stdout, done.stderr)
        assert not (app.path / "app" / "plugins" / "dropin.cache").exists()

    def test_trigger(self) -> None:
        """A package manager gets a line, and is not stopped."""
        done = self.limited("--nofile=12", "update", "--trigger", "--force")
        expected = "dropin-cache: error: a limit is too low: ulimit -n 12, of at least 32\n"
        assert (0, "", expected) == (done.returncode, done.stdout, done.stderr)

    @pytest.mark.parametrize("limit", ["--nofile=64", "--as=150000000", "--data=70000000"])
    def test_enough(self, app: Tree, limit: str) -> None:
        """With what is enough for a small site, its caches are made."""
        done = self.limited(limit, "update", "--path", str(app.path), "app.plugins")
        assert 0 == done.returncode, done.stderr
