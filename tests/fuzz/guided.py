"""The process in which atheris fuzzes one target, guided by the coverage of our modules.

Usage: guided.py TARGET RUNS SEED DIRECTORY, with this directory and that of the tests on
PYTHONPATH. It ends with status 0 after so many inputs, with 77 when a check has failed; the input
is then in a file `crash-*` in the directory. There also are `corpus`, the inputs that reached
something new, and `counts`, how many were tried and how many of them were accepted.
"""

from __future__ import annotations

import ctypes
import importlib.util
import mmap
import os
import signal
import struct
import sys
from pathlib import Path
from random import Random

import atheris

# What the coverage is measured of: no more than what is tested, for it costs time.
_MODULES = {
    "decoder": ["dropin_cache._unpickle", "dropin_cache._decode"],
    "cache file": ["dropin_cache._cachefile", "dropin_cache.installers.pip_hook"],
    "answers": ["dropin_cache.update.importing.answers", "dropin_cache.update.state.observations"],
    "ledger": ["dropin_cache.update.state.ledger"],
    "configuration": [
        "dropin_cache.update.settings.configuration",
        "dropin_cache.update.settings.syntax",
    ],
    "records": [
        "dropin_cache.update.discovery.distributions",
        "dropin_cache.update.discovery.dpkg",
    ],
    "prefix": ["dropin_cache.update.discovery.prefixes"],
    "flawed": ["dropin_cache._decode", "flawed"],
}
_PR_SET_PDEATHSIG = 1  # prctl(2)
_COUNTS = struct.Struct("<QQ")
_LIMITS = ["-max_len=3000", "-timeout=60", "-rss_limit_mb=1024", "-close_fd_mask=0"]


def main(name: str, runs: str, seed: str, directory: str) -> None:
    """Fuzz a target."""
    targets = importlib.import_module("targets")
    place = os.path.join(directory, "place")
    os.mkdir(place)
    target = targets.target(name, place)
    options = [*_LIMITS, f"-runs={runs}", f"-seed={seed}", f"-artifact_prefix={directory}/"]
    for folder, contents in (("corpus", []), ("seeds", target.seeds)):
        os.mkdir(os.path.join(directory, folder))
        for number, data in enumerate(contents):
            with open(os.path.join(directory, folder, f"{number:03}"), "wb") as file:
                file.write(data)
    if name == "decoder":
        words = os.path.join(directory, "words")
        with open(words, "w", encoding="ascii") as file:
            file.write(importlib.import_module("opcodes").dictionary())
        options.append(f"-dict={words}")
    if not name.startswith("flawed"):
        for data in target.seeds:
            target.check(data)  # what is imported late is imported now
    caches = importlib.import_module("caches")
    caches.Accepted.count = tried = 0
    with open(os.path.join(directory, "counts"), "w+b") as file:
        file.truncate(_COUNTS.size)
        counts = mmap.mmap(file.fileno(), _COUNTS.size)

    def check(data: bytes) -> None:
        nonlocal tried
        tried += 1
        _COUNTS.pack_into(counts, 0, tried, caches.Accepted.count)
        target.check(data)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        random = Random(number)  # noqa: S311 - no secret
        if random.random() < 0.5:
            return target.mend(data, atheris.Mutate(data, most))[:most]
        return target.change(data, random)[:most]

    folders = [os.path.join(directory, folder) for folder in ("corpus", "seeds")]
    arguments = [sys.argv[0], *folders, *options]
    atheris.Setup(arguments, check, custom_mutator=mutate)
    atheris.Fuzz()


def _others(modules: list[str]) -> list[str]:
    """List the modules of our package that are not among these."""
    (place,) = importlib.util.find_spec("dropin_cache").submodule_search_locations
    files = [path.relative_to(place).with_suffix("") for path in Path(place).rglob("*.py")]
    names = [".".join(("dropin_cache", *file.parts)) for file in files]
    return [name.removesuffix(".__init__") for name in names if name not in modules]


if __name__ == "__main__":
    # It would go on for minutes where the tests were killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    wanted = _MODULES[sys.argv[1].split(": ")[0]]
    # By itself, atheris takes all modules of a package for one that is named.
    with atheris.instrument_imports(include=wanted, exclude=_others(wanted)):
        importlib.import_module("targets")
    main(*sys.argv[1:])
