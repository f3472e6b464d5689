"""Many updates and many readers at once, while files come and go; every answer is right."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import account, no_process_left
from conftest import NOBODY
from dropin_cache._cachefile import read_cache_file
from dropin_cache._scan import CACHE_NAME
from histories import History
from programs import PATIENCE, PROGRAM, program_of
from swapping import Swapping
from tally import LONG, tally

SIZE, ROUNDS = (64, 8) if LONG else (8, 1)
CALM = 4 if LONG else 1  # seconds; where files never stand still, no cache is written


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


class Crowd:
    """Those who update, those who read, and what changes under their hands.

    Attributes:
        history: What changes.
        caches: How many caches were seen.
        torn: How many of them were not whole.
        statuses: How often updates ended with which status.
        answers: How many answers readers gave.
        wrong: What was wrong in them.
    """

    def __init__(self, path: Path, *, root: bool) -> None:
        """Make the directories.

        Args:
            path: Where.
            root: Whether all but the readers is root's.
        """
        self._account = account(path)
        self._program = program_of(self._account)
        self._root = root
        self._user = 0 if root else NOBODY
        (path / "history").mkdir()
        self.history = History(path / "history")
        if not root and os.geteuid() == 0:
            for each in (path / "history").rglob("*"):
                os.chown(each, NOBODY, NOBODY)
        self.caches = self.torn = self.answers = 0
        self.statuses: collections.Counter[str] = collections.Counter()
        self.wrong: list[dict[str, object]] = []

    def round(self, size: int, flaw: str = "none") -> None:
        """Let as many update and as many read at once, while files come and go."""
        with Swapping() as swapping, self._watching():
            swapping.start([lambda: self.history.burst(CALM)], user=self._user)
            updates = [self._update(flaw) for _ in range(size)]
            readers = [self._reader(flaw) for _ in range(size)]
            ended = [process.communicate(timeout=10 * PATIENCE) for process in readers]
            self.statuses.update(process.communicate()[0].strip() for process in updates)
        for out, _ in ended:
            began, end, answer = json.loads(out)
            self.answers += 1
            wrong = self.history.wrong(began, end, answer)
            if wrong:
                self.wrong.append(wrong)

    def _update(self, flaw: str = "none", *options: str) -> subprocess.Popen[str]:
        paths = [word for root in self.history.roots for word in ("--path", str(root))]
        command = ["update", "app.plugins", *paths, *options]
        python, further, place = self._account.python, self._account.options, self._program
        if self._root:
            python, further, place = sys.executable, {}, PROGRAM.parent
        return self._started(python, further, place / PROGRAM.name, flaw, json.dumps([command]))

    def _reader(self, flaw: str) -> subprocess.Popen[str]:
        roots = map(str, self.history.roots)
        program = self._program / "reading.py"
        return self._started(self._account.python, self._account.options, program, flaw, *roots)

    def _started(
        self, python: str, options: dict[str, Any], *command: Any
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [python, "-B", *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            **{**options, "env": {**os.environ, **options.get("env", {})}},
        )

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Look at the caches all the time: there may be none, and what there is must be whole."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.0005):
                for directory in self.history.directories:
                    file = read_cache_file(str(directory))
                    if file is not None:
                        self.caches += 1
                        self.torn += file.dropins() is None

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def settled(self, *options: str) -> list[tuple[int, int, bytes] | None]:
        """Update when nothing changes any more; return the caches: mode, time and content."""
        assert "update 0" == self._update("none", *options).communicate()[0].strip()
        return [self._cache(directory) for directory in self.history.directories]

    def clean(self) -> None:
        """Remove the caches."""
        for directory in self.history.directories:
            (directory / CACHE_NAME).unlink(missing_ok=True)

    @staticmethod
    def _cache(directory: Path) -> tuple[int, int, bytes] | None:
        file = read_cache_file(str(directory))
        return file and (file.mode, file.mtime_ns, file.data)


@pytest.fixture(params=["root", "user"])
def crowd(request: pytest.FixtureRequest, public_path: Path) -> Crowd:
    """A crowd of readers who cannot write, and root's updates; then one of a user's own."""
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    return Crowd(public_path, root=request.param == "root")


class TestCrowd:
    """All at once."""

    def test_crowd(self, crowd: Crowd, request: pytest.FixtureRequest) -> None:
        """Answers are right, caches whole, and in the end those of a single update."""
        for _ in range(ROUNDS):
            crowd.round(SIZE)
            settled = crowd.settled()
            crowd.clean()
            assert settled == crowd.settled("--force")
        assert [] == crowd.wrong
        assert 0 == crowd.torn
        assert {"update 0", "update 5"} >= crowd.statuses.keys()  # 5: it changed again and again
        tally(
            f"updates and readers at once: {request.node.callspec.id}",
            changes=crowd.history.changes(),
            updates=crowd.statuses.total(),
            answers_of_readers=crowd.answers,
            wrong_answers=len(crowd.wrong),
            caches_seen=crowd.caches,
            torn_caches=crowd.torn,
        )


class TestTheHarness:
    """The harness finds out about writers and readers that are not fit for a crowd."""

    @pytest.mark.parametrize("crowd", ["user"], indirect=True)
    def test_torn(self, crowd: Crowd) -> None:
        """A writer that writes where readers see it is caught."""
        for _ in range(10):
            if not crowd.torn:
                crowd.round(4, "writes_in_place")
        assert crowd.torn > 0

    @pytest.mark.parametrize("crowd", ["user"], indirect=True)
    def test_wrong(self, crowd: Crowd) -> None:
        """A reader that does not ask whether the cache is fresh is caught."""
        for _ in range(10):
            if not crowd.wrong:
                crowd.round(4, "believes_the_cache")
        assert [] != crowd.wrong
