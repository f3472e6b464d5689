"""The tests that start no processes, on every Python of the suite, with Debian's own libraries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from debian_support import BUILDER, NOBODY, TREE, Debian
from roots import Base

pytestmark = pytest.mark.long

SYSTEM = Base("debian-suite", (*BUILDER.installed, "python3-pytest-xdist", "strace", "bubblewrap"))
# Those of whole systems, and harnesses that load the machine, are for one system only.
_ELSEWHERE = [f"--ignore=tests/{name}" for name in ("packages", "faults", "fuzz", "load", "races")]


@pytest.fixture(scope="module")
def system() -> Iterator[Debian]:
    """A system with the tests and what they need."""
    debian = Debian(SYSTEM)
    try:
        for name in ("src", "tests", "tools", "docs", "hooks", "rpm", "debian"):
            debian.root.copy(TREE / name, f"/srv/tree/{name}")
        for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md"):
            debian.root.copy(TREE / name, f"/srv/tree/{name}")
        yield debian
    finally:
        debian.close()


@pytest.mark.parametrize("user", [0, NOBODY], ids=["root", "user"])
def test_pass(system: Debian, user: int) -> None:
    """They pass, and warn of nothing."""
    versions = system.root.run("py3versions", "--supported").out.split()
    environment: dict[str, Any] = {
        "PYTHONPATH": "/srv/tree/src",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/nonexistent",
    }
    # Debian 12 has pytest 7.
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "minversion=7",
        "-n",
        "2",
        "-m",
        "not processes",
    ]
    for python in versions:
        done = system.root.run(
            *("env", "--chdir=/srv/tree", python, "-m", "pytest", *options, *_ELSEWHERE),
            status=None,
            timeout=3600,
            user=user or None,
            env=environment,
        )
        assert 0 == done.status, f"{python}:\n{done.out[-6000:]}"
