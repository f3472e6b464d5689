"""Conversations with several children at once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from dropin_cache.update.importing.multiplex import Turn, Wait, alone, together

LONG = 600.0


@pytest.fixture
def pipes() -> Iterator[list[tuple[int, int]]]:
    """Two pipes."""
    made = [os.pipe(), os.pipe()]
    yield made
    for pipe in made:
        for descriptor in pipe:
            os.close(descriptor)


def reading(descriptor: int, log: list[str], count: int = 1) -> Turn[str]:
    """Read letters as they come."""
    text = ""
    while len(text) < count:
        ready = yield Wait((descriptor,), (), LONG)
        assert {descriptor} == ready
        text += os.read(descriptor, 1).decode()
        log.append(text[-1])
    return text


class TestAlone:
    """One conversation."""

    def test_result(self, pipes: list[tuple[int, int]]) -> None:
        """Its result is returned."""
        os.write(pipes[0][1], b"ab")
        assert "ab" == alone(reading(pipes[0][0], [], 2))

    def test_writing(self, pipes: list[tuple[int, int]]) -> None:
        """It can wait for room, too."""

        def writing() -> Turn[frozenset[int]]:
            return (yield Wait((), (pipes[0][1],), LONG))

        assert {pipes[0][1]} == alone(writing())

    def test_nothing_comes(self, pipes: list[tuple[int, int]]) -> None:
        """It goes on without when its time is up."""

        def waiting() -> Turn[frozenset[int]]:
            return (yield Wait((pipes[0][0],), (), 0.01))

        assert frozenset() == alone(waiting())

    def test_raises(self) -> None:
        """What it raises comes out."""

        def raising() -> Turn[None]:
            yield Wait((), (), 0)
            raise KeyError

        with pytest.raises(KeyError):
            alone(raising())


class TestTogether:
    """Several of them."""

    def test_order(self, pipes: list[tuple[int, int]]) -> None:
        """Whoever can go on does, whatever others wait for."""
        log: list[str] = []
        (first, to_first), (second, to_second) = pipes

        def leading() -> Turn[None]:
            yield Wait((), (to_second,), LONG)
            os.write(to_second, b"xy")
            while len(log) < 2:
                yield Wait((), (), 0)
            os.write(to_first, b"a")

        together([reading(first, log), reading(second, log, 2), leading()])
        assert ["x", "y", "a"] == log

    def test_one_fails(self, pipes: list[tuple[int, int]]) -> None:
        """What one raises ends the others, and their clean-up runs."""
        ended = []

        def waiting() -> Turn[None]:
            try:
                yield Wait((pipes[0][0],), (), LONG)
            finally:
                ended.append(True)

        def raising() -> Turn[None]:
            yield Wait((), (), 0)
            raise KeyError

        with pytest.raises(KeyError):
            together([waiting(), raising()])
        assert [True] == ended

    def test_deadlines(self, pipes: list[tuple[int, int]]) -> None:
        """One that waits in vain is not kept waiting by one that has enough to read."""
        os.write(pipes[1][1], b"b" * 1000)
        log: list[str] = []

        def waiting() -> Turn[None]:
            began = time.monotonic()
            ready = yield Wait((pipes[0][0],), (), 0.001)
            assert not ready
            assert time.monotonic() - began >= 0.001
            log.append("late")

        together([reading(pipes[1][0], log, 1000), waiting()])
        assert 1 == log.count("late")

    def test_none(self) -> None:
        """None at all are done at once."""
        together([])
