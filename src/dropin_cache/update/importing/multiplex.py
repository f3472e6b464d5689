"""Talk to several children at once, in one thread.

A conversation is a generator. Where it can go no further before a child has something to say, it
yields what it waits for, and is resumed with what of that is ready.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Generator, Iterable
from typing import Any, NamedTuple, TypeVar

_T = TypeVar("_T")


class Wait(NamedTuple):
    """What a conversation waits for.

    Attributes:
        reading: Descriptors to read from.
        writing: Descriptors to write to.
        seconds: How long to wait; the conversation goes on after that with nothing ready.
    """

    reading: tuple[int, ...]
    writing: tuple[int, ...]
    seconds: float


Turn = Generator[Wait, "frozenset[int]", _T]

OTHERS_FIRST = Wait((), (), 0.0)
"""What a conversation waits for that has something to do, but lets others have their turn."""


def alone(turn: Turn[_T]) -> _T:
    """Bring one conversation to its end and return its result."""
    result: list[_T] = []

    def kept() -> Turn[None]:
        result.append((yield from turn))

    together([kept()])
    return result[0]


def together(turns: Iterable[Turn[Any]]) -> None:
    """Bring conversations to their ends, each at its own pace.

    What one of them raises ends all of them.
    """
    waiting: dict[Turn[Any], tuple[Wait, float]] = {}

    def resume(turn: Turn[Any], ready: frozenset[int] | None) -> None:
        waiting.pop(turn, None)
        try:
            wait = next(turn) if ready is None else turn.send(ready)
        except StopIteration:
            return
        waiting[turn] = wait, time.monotonic() + wait.seconds

    everybody = list(turns)
    try:
        for turn in everybody:
            resume(turn, None)
        while waiting:
            ready = _select(list(waiting.values()))
            for turn, (wait, deadline) in list(waiting.items()):
                mine = ready.intersection((*wait.reading, *wait.writing))
                if mine or time.monotonic() >= deadline:
                    resume(turn, mine)
    finally:
        for turn in everybody:
            turn.close()


def _select(waits: list[tuple[Wait, float]]) -> frozenset[int]:
    """Wait for anybody; return the descriptors that are ready."""
    # Made anew each time, which costs this kind no system call.
    with selectors.PollSelector() as selector:
        for wait, _ in waits:
            for descriptor in wait.reading:
                selector.register(descriptor, selectors.EVENT_READ)
            for descriptor in wait.writing:
                selector.register(descriptor, selectors.EVENT_WRITE)
        left = min(deadline for _, deadline in waits) - time.monotonic()
        return frozenset(key.fd for key, _ in selector.select(max(0.0, left)))
