"""What a disk may hold when the power fails, according to the log of what was written to it.

A disk keeps what it had written when it answered a flush. Of what came after that it may have
written anything: all, nothing, or some of it in any order, and of a request of several blocks some.
A block is written whole: where it is not, ext4 and btrfs cannot be mounted any more, since their
superblocks are larger than a sector.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

BLOCK = 4096


class Write(NamedTuple):
    """A block, or less, that was written.

    Attributes:
        offset: Where, in bytes.
        data: What.
    """

    offset: int
    data: bytes


class Epoch(NamedTuple):
    """What was written between two flushes.

    Attributes:
        writes: The writes, in order.
        end: Where in the log the flush behind them ends; of the last ones, the end of the log.
    """

    writes: list[Write]
    end: int


def epochs(log: bytes) -> list[Epoch]:
    """Split a log at its flushes."""
    found, writes = [], []
    stream = io.BytesIO(log)
    for line in stream:
        kind, *numbers = line.split()
        if kind == b"flush":
            found.append(Epoch(writes, stream.tell()))
            writes = []
        else:
            offset, length = map(int, numbers)
            writes += _blocks(offset, stream.read(length))
    return [*found, Epoch(writes, len(log) + 1)]


def choices(count: int, limit: int) -> list[list[int]]:
    """Choose which of some writes have reached the disk.

    Args:
        count: How many writes there are.
        limit: How many choices to return at most.

    Returns:
        Choices, each a list of indexes: all that there are, if the limit allows it. Otherwise
        nothing, everything, and then as many as fit of: the first few, all but one, one alone, and
        any by chance, the same each time.
    """
    chance = Random(count)  # noqa: S311 - it has to be repeatable
    everything = (1 << count) - 1
    if everything < limit:
        masks = list(range(everything + 1))
    else:
        regular = {(1 << number) - 1 for number in range(1, count)}
        regular |= {each for number in range(count) for each in _alone(number, everything)}
        regular -= {0, everything}
        some = chance.sample(sorted(regular), min(len(regular), limit * 2 // 3))
        found = dict.fromkeys([0, everything, *some])
        while len(found) < limit:
            found[chance.getrandbits(count)] = None
        masks = list(found)
    return [[number for number in range(count) if mask >> number & 1] for mask in masks]


def _alone(number: int, everything: int) -> tuple[int, int]:
    return 1 << number, everything ^ 1 << number


def _blocks(offset: int, data: bytes) -> Iterator[Write]:
    """Split a request where blocks end."""
    start = 0
    while start < len(data):
        end = start + BLOCK - (offset + start) % BLOCK
        yield Write(offset + start, data[start:end])
        start = end
