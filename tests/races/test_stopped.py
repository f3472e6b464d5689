"""A process that holds a lock and does not go on: what others do, and what becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import command_line
from command_line import Account, account, give_away, no_process_left
from conftest import Tree
from dropin_cache._scan import CACHE_NAME
from tally import tally

# An update that stops where it holds the lock and has written nothing yet.
_STOPPING = """
import os, signal, sys
from dropin_cache import cli
from dropin_cache.update.files import cache_directory

replace_file = cache_directory.replace_file

def stop(*arguments, **options):
    os.kill(os.getpid(), signal.SIGSTOP)
    return replace_file(*arguments, **options)

cache_directory.replace_file = stop
sys.exit(cli.main(sys.argv[1:]))
"""
TIMEOUT = "0.2"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


class Site:
    """An application, and who looks after it.

    Attributes:
        cache: Its cache.
    """

    def __init__(self, path: Path, user: Account | None) -> None:
        """Make the application; `user` is None for whoever runs the tests."""
        self._tree = Tree(give_away(path / "tree") if user else path / "tree")
        self._tree.application()
        self._tree.dropin("hello")
        self.cache = self._tree.path / "app" / "plugins" / CACHE_NAME
        if user:
            for each in self._tree.path.rglob("*"):
                give_away(each) if each.is_dir() else None
        self._user = user
        self._command = ["app.plugins", "--path", str(self._tree.path)]

    def add(self, name: str) -> None:
        """Add a drop-in."""
        self._tree.dropin(name)

    def update(self, *options: str) -> command_line.Outcome:
        """Update the cache."""
        run = self._user.run if self._user else command_line.run
        return run("update", *self._command, *options)

    def stopped(self) -> subprocess.Popen[bytes]:
        """Return an update that has been stopped where it holds the lock."""
        python, options = (
            (self._user.python, self._user.options) if self._user else (sys.executable, {})
        )
        process = subprocess.Popen(
            [python, "-B", "-c", _STOPPING, "update", *self._command],
            stdout=subprocess.DEVNULL,
            **{**options, "env": {**os.environ, **options.get("env", {})}},
        )
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        return process


@pytest.fixture(params=["own", "user"])
def site(request: pytest.FixtureRequest, public_path: Path) -> Site:
    """An application that whoever runs the tests looks after, root for one, or another user."""
    return Site(public_path, account(public_path) if request.param == "user" else None)


class TestStopped:
    """An update that is stopped while it holds the lock."""

    def test_others(self, site: Site, request: pytest.FixtureRequest) -> None:
        """Others give up when told, and break nothing; when it goes on, all is well."""
        assert 0 == site.update().status
        before = site.cache.read_bytes()
        site.add("loud")
        process = site.stopped()
        try:
            refused = site.update("--lock-timeout", TIMEOUT)
            message = f"another process is writing {site.cache}, for {TIMEOUT} s by now"
            assert (5, f"dropin-cache: error: {message}") == (
                refused.status,
                refused.err.splitlines()[0],
            )
            triggered = site.update("--lock-timeout", TIMEOUT, "--trigger")
            assert (0, "", f"dropin-cache: error: {message}") == (
                triggered.status,
                triggered.out,
                triggered.err.rstrip("\n"),
            )
            assert before == site.cache.read_bytes()
            assert [] == [name for name in os.listdir(site.cache.parent) if name.endswith(".new")]
        finally:
            process.send_signal(signal.SIGCONT)
            status = process.wait(timeout=60)
        assert 0 == status
        written = site.cache.read_bytes()
        assert before != written
        assert 0 == site.update("--force").status
        assert written == site.cache.read_bytes()
        tally(
            f"an update stopped with the lock held: {request.node.callspec.id}",
            stopped=1,
            others_that_gave_up=2,
            caches_broken=0,
        )
