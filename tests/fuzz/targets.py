"""What is fuzzed: each target with its check, its first inputs, and how they are changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import caches
import flawed
import opcodes
import state
import systems
import texts

Check = Callable[[bytes], object]
Mutator = Callable[[bytes, Random], bytes]


class Target(NamedTuple):
    """Something that reads foreign bytes.

    Attributes:
        check: Has it read some, and raises whatever shows that a promise does not hold.
        seeds: Inputs to begin with.
        change: Changes an input as what it is.
        mend: Takes an input, and what random changes have made of it, and makes the best of it.
    """

    check: Check
    seeds: list[bytes]
    change: Mutator
    mend: Callable[[bytes, bytes], bytes] = lambda _, data: data


def _after_first_byte(change: Mutator) -> Mutator:
    """Leave the first byte alone, mostly: it says which file the others are."""
    return lambda data, random: data[:1] + change(data[1:], random)


def target(name: str, directory: str) -> Target:
    """Make a target; it may keep files in the directory."""
    lines = _after_first_byte(texts.changed_lines)
    if name == "decoder":
        return Target(caches.check_decoder, caches.seeds(), opcodes.changed, opcodes.resealed)
    if name.startswith("flawed: "):
        decoder = flawed.DECODERS[name.partition(": ")[2]]
        seeds = [caches.SAMPLE]
        return Target(lambda data: caches.check_decoder(data, decoder), seeds, opcodes.changed)
    if name == "cache file":
        return Target(
            lambda data: _cache_file(data, directory),
            caches.seeds(),
            opcodes.changed,
            opcodes.resealed,
        )
    if name == "answers":
        return Target(state.check_answer, state.answer_seeds(), texts.changed_json)
    if name == "ledger":
        whole = state.ledger_seeds(directory)
        check = lambda data: state.check_ledger(data, directory, whole)  # noqa: E731
        return Target(check, whole, texts.changed_lines)
    root = os.path.realpath(directory)
    systems.prepare(root)
    check, seeds = {
        "configuration": (systems.check_configuration, systems.configuration_seeds()),
        "records": (systems.check_records, systems.record_seeds()),
        "prefix": (systems.check_prefix, systems.prefix_seeds()),
    }[name]
    return Target(lambda data: check(data, root), seeds, lines)


def _cache_file(data: bytes, directory: str) -> None:
    caches.check_cache_file(data, directory)
    systems.check_seal(data, directory)
