"""A few threads that do things, each of which may lead to further ones."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

_SWITCH = 0.0005  # seconds

Task = Callable[[], "Iterable[Any] | None"]
"""Something to do; what it returns are further tasks."""


def in_threads(tasks: Iterable[Task], count: int, stop: Callable[[], None]) -> None:
    """Do tasks, and those that they lead to, and return when all is done.

    Args:
        tasks: In the order in which they are begun; what they lead to comes last.
        count: How many threads there are, this one among them, or as many as can be had.
        stop: Called, by any thread and at least once, when this thread is interrupted or a task
            has failed, so that others end soon.

    Raises:
        BaseException: What a task raised first, when all threads have ended.
    """
    work = _Work(list(tasks), stop)
    threads = [threading.Thread(target=work.loop) for _ in range(count - 1)]
    patience = sys.getswitchinterval()
    try:
        # Each of them does little between the answers of its child, and should not wait to do it.
        sys.setswitchinterval(_SWITCH)
        # A user may have as many threads as the limits of processes and of memory leave.
        with contextlib.suppress(RuntimeError):
            for thread in threads:
                thread.start()
        work.loop()
    except BaseException as error:
        work.fail(error)
        raise
    finally:
        sys.setswitchinterval(patience)
        for thread in filter(threading.Thread.is_alive, threads):
            thread.join()
    if work.failures:
        raise work.failures[0]


class _Work:
    """What is left to do."""

    def __init__(self, tasks: list[Task], stop: Callable[[], None]) -> None:
        self.failures: list[BaseException] = []
        self._tasks, self._stop = tasks, stop
        self._busy = 0
        self._changed = threading.Condition()

    def loop(self) -> None:
        """Take one task after the other, until there are none and will be none."""
        while True:
            with self._changed:
                while not self._tasks and self._busy and not self.failures:
                    self._changed.wait()
                if not self._tasks or self.failures:
                    return
                task = self._tasks.pop(0)
                self._busy += 1
            further: list[Task] = []
            try:
                further += task() or ()
            except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
                self.fail(error)
            finally:
                with self._changed:
                    self._tasks += further
                    self._busy -= 1
                    self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Begin nothing any more, and have the others end soon."""
        with self._changed:
            self.failures.append(error)
            self._changed.notify_all()
        self._stop()
