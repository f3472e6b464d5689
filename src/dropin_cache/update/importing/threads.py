"""A few threads that do the same with several things."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Callable


def in_threads(
    work: Callable[[Any], None], items: Sequence[Any], count: int, stop: Callable[[], None]
) -> None:
    """Do something with each of several things, and return when all is done.

    Args:
        work: What to do.
        items: With what; in that order, as threads become free.
        count: How many threads there are; with one, this thread does the work.
        stop: Called when this thread is interrupted or the work has failed, so that it ends soon.

    Raises:
        BaseException: What `work` raised first, when all threads have ended.
    """
    if count <= 1:
        for item in items:
            work(item)
        return
    left = iter(list(items))
    failures: list[BaseException] = []
    lock = threading.Lock()

    def loop() -> None:
        while not failures:
            with lock:
                item = next(left, lock)
            if item is lock:
                return
            try:
                work(item)
            except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
                failures.append(error)

    threads = [threading.Thread(target=loop) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as error:
        failures.append(error)
        raise
    finally:
        if failures:
            stop()
            for thread in threads:
                thread.join()
    if failures:
        raise failures[0]
