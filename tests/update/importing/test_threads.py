"""A few threads that do things, each of which may lead to further ones."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from dropin_cache.update.importing.threads import Task, in_threads

_PATIENCE = 60.0  # seconds, and only where a test fails


def noting(done: list[str], name: str, *further: Task) -> Task:
    """Return a task that notes its name and leads to others."""

    def task() -> list[Task]:
        done.append(name)
        return list(further)

    return task


def nothing() -> None:
    """Stop nobody."""


def unexpected() -> None:
    """Fail if it is called."""
    pytest.fail("nothing was to be stopped")


class TestInThreads:
    """Doing all there is to do."""

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_all(self, count: int) -> None:
        """Each task is done once, and what it leads to as well."""
        done: list[str] = []
        tasks = [noting(done, name, noting(done, name * 2)) for name in "abcde"]
        in_threads(tasks, count, unexpected)
        assert sorted(["a", "b", "c", "d", "e", "aa", "bb", "cc", "dd", "ee"]) == sorted(done)

    def test_nothing(self) -> None:
        """There may be nothing to do."""
        in_threads([], 2, unexpected)

    def test_order(self) -> None:
        """What a task leads to comes after what was there before."""
        done: list[str] = []
        tasks = [noting(done, "a", noting(done, "b"), noting(done, "c")), noting(done, "d")]
        in_threads(tasks, 1, unexpected)
        assert ["a", "d", "b", "c"] == done

    def test_without_threads(self) -> None:
        """One thread is this one."""
        found: list[threading.Thread] = []
        in_threads([lambda: found.append(threading.current_thread())], 1, unexpected)
        assert [threading.current_thread()] == found

    def test_at_once(self) -> None:
        """As many are done at once as there are threads."""
        meeting = threading.Barrier(3)

        def meet() -> None:
            meeting.wait(_PATIENCE)

        in_threads([meet] * 3, 3, unexpected)
        assert not meeting.broken

    def test_waits_for_further(self) -> None:
        """A thread without work waits for what the work of others may lead to."""
        meeting = threading.Barrier(2)

        def meet() -> None:
            meeting.wait(_PATIENCE)

        in_threads([lambda: [meet, meet]], 2, unexpected)
        assert not meeting.broken


class TestFailures:
    """What happens when something goes wrong."""

    @pytest.mark.parametrize("count", [1, 2])
    def test_first(self, count: int) -> None:
        """The first error is raised, and nothing is begun any more."""
        done: list[str] = []

        def fail() -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            in_threads([fail, noting(done, "late")] if count == 1 else [fail], count, nothing)
        assert [] == done

    def test_others_are_stopped(self) -> None:
        """What others are doing is stopped, and its own error is not the one that is raised."""
        begun, stopped = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            stopped.wait(_PATIENCE)
            raise OSError

        def fail() -> None:
            begun.wait(_PATIENCE)
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            in_threads([work, fail], 2, stopped.set)
        assert stopped.is_set()

    @pytest.mark.parametrize("available", [0, 1])
    def test_few_can_be_had(self, monkeypatch: pytest.MonkeyPatch, available: int) -> None:
        """The work is done by as many threads as there can be, at worst by the one that asks."""
        done: list[str] = []
        left = [threading.Thread.start] * available

        def start(thread: threading.Thread) -> None:
            if not left:
                raise RuntimeError("can't start new thread")
            left.pop()(thread)

        monkeypatch.setattr(threading.Thread, "start", start)
        in_threads([lambda: [noting(done, "later")], noting(done, "last")], 4, unexpected)
        assert ["last", "later"] == sorted(done)

    @pytest.mark.parametrize("signalled", [signal.SIGINT, signal.SIGTERM])
    def test_interrupted(self, signalled: int) -> None:
        """An interruption of the thread that waits stops all others, and is raised."""
        stopped = threading.Event()

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        def work() -> None:
            os.kill(os.getpid(), signalled)
            stopped.wait(_PATIENCE)

        before = signal.signal(signalled, interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                in_threads([work], 2, stopped.set)
        finally:
            signal.signal(signalled, before)
        assert stopped.is_set()
