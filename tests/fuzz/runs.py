"""Fuzzing a target for a while: with atheris in a process of its own, or with Hypothesis."""

from __future__ import annotations

import base64
import importlib.util
import os
import platform
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from conftest import missing
from tally import LONG, tally

_HERE = Path(__file__).parent
_PATIENCE = 1500  # seconds that are more than the longest run takes, on a busy machine


class Outcome(NamedTuple):
    """What came of a run of atheris.

    Attributes:
        status: 0 if nothing was found, 77 if a check has failed.
        tried: How many inputs were tried.
        accepted: How many of them were caches.
        findings: The inputs that made a check fail.
        output: The end of what was printed.
        corpus: The inputs that reached something new.
    """

    status: int
    tried: int
    accepted: int
    findings: list[bytes]
    output: str
    corpus: list[bytes]

    def report(self) -> str:
        """Say what was found, so that it can be tried again."""
        shown = [f"{data!r}\nBase64: {base64.b64encode(data).decode()}" for data in self.findings]
        return "\n".join([f"status {self.status}", self.output, *shown])


@contextmanager
def fast_directory() -> Iterator[str]:
    """Make a temporary directory, in memory if possible: there, writing takes a tenth as long."""
    # Root's is this process's own (see conftest), and gone with it, however it ends.
    place = "/run/lock" if os.geteuid() == 0 and os.path.isdir("/run/lock") else None
    with tempfile.TemporaryDirectory(prefix="dropin-cache-fuzz-", dir=place) as directory:
        yield directory


def guided(target: str, runs: int, seed: int) -> Outcome:
    """Have atheris try so many inputs; see `guided.py`."""
    if importlib.util.find_spec("atheris") is None:
        if sys.version_info >= (3, 14) or platform.machine() != "x86_64":
            pytest.skip("there is no atheris for this Python on this machine")
        missing("atheris, a package of Python,")
    with fast_directory() as directory:
        done = subprocess.run(
            [
                sys.executable,
                "-B",
                str(_HERE / "guided.py"),
                target,
                f"{runs}",
                f"{seed}",
                directory,
            ],
            env={**os.environ, "PYTHONPATH": f"{_HERE.parent}{os.pathsep}{_HERE}"},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
            check=False,
        )
        place = Path(directory)
        counts = place / "counts"
        tried, accepted = struct.unpack("<QQ", counts.read_bytes()) if counts.exists() else (0, 0)
        return Outcome(
            done.returncode,
            tried,
            accepted,
            # libFuzzer names them after what happened.
            [path.read_bytes() for path in place.glob("*-*") if path.is_file()],
            done.stdout.decode(errors="replace")[-4000:],
            [path.read_bytes() for path in sorted((place / "corpus").glob("*"))],
        )


def chosen(short: int, long: int) -> settings:
    """Return the settings of a property: always the same inputs, or in the long form others."""
    return settings(
        max_examples=long if LONG else short,
        derandomize=not LONG,
        print_blob=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def count(target: str, **counts: int) -> None:
    """Add to the table; what is counted as 0 would have failed the test otherwise."""
    nothing = {"exceptions_escaped": 0, "imports": 0, "over_the_bound_of_memory": 0}
    tally(f"fuzz: {target}", **counts, **nothing)
