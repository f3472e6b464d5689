"""Inputs that are chosen by the coverage they reach, as atheris chooses them."""

from __future__ import annotations

import tracemalloc

import pytest

import caches
import state
from runs import count, fast_directory, guided
from tally import LONG
from targets import target

# Executions in the short and in the long form, and how many tests share the latter.
_SIZES = {
    "decoder": (60_000, 10_080_000, 8),
    "cache file": (1500, 60_000, 1),
    "answers": (2500, 240_000, 1),
    "ledger": (1000, 50_000, 1),
    "configuration": (1500, 60_000, 1),
    "records": (2500, 120_000, 1),
    "prefix": (300, 10_000, 1),
}
_SHARDS = [
    pytest.param(
        name, shard, (long if LONG else short) // (shards if LONG else 1), id=f"{name} {shard}"
    )
    for name, (short, long, shards) in _SIZES.items()
    for shard in range(shards if LONG else 1)
]
# What Python itself takes for the smallest of values is many times as much as a byte, and a list of
# `[]` is the worst there is.
_MOST = 200
_LEAST = 1 << 16


class TestGuided:
    """Each reader of foreign bytes."""

    @pytest.mark.parametrize(("name", "shard", "runs"), _SHARDS)
    def test_any_bytes(self, name: str, shard: int, runs: int) -> None:
        """Nothing escapes, nothing is imported, and memory stays bounded."""
        outcome = guided(name, runs, seed=shard + 1)
        assert (0, []) == (outcome.status, outcome.findings), outcome.report()
        assert outcome.tried >= runs
        # Once more by this process, where nothing is instrumented, and memory is measured exactly.
        with fast_directory() as directory:
            check = target(name, directory).check
            for data in outcome.corpus:
                check(data)
                assert _peak(name, data) <= _MOST * len(data) + _LEAST
        accepted = {"caches_among_them": outcome.accepted} if name == "decoder" else {}
        count(name, executions=outcome.tried + len(outcome.corpus), **accepted)


def _peak(name: str, data: bytes) -> int:
    """Return how much memory the reading of an input takes at most."""
    readers = {"decoder": caches.decode, "answers": state.parsed}
    tracemalloc.start()
    try:
        readers.get(name, len)(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
