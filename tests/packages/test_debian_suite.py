"""The tests that start no processes, on every Python of the suite, with Debian's own libraries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from debian_support import BUILDER, NOBODY, Debian, built_packages
from roots import Base

pytestmark = pytest.mark.long

SYSTEM = Base(
    "debian-suite",
    (
        *(*BUILDER.installed, "bubblewrap", "strace"),
        *("python3-jsonschema", "python3-prometheus-client", "python3-pytest-xdist"),
    ),
)
# Those of whole systems, and harnesses that load the machine, are for one system only.
_ELSEWHERE = [f"--ignore=tests/{name}" for name in ("packages", "faults", "fuzz", "load", "races")]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    """A system with the library, as its package has it, and the tests."""
    packages = built_packages(tmp_path_factory)
    debian = Debian(SYSTEM)
    try:
        debian.add(packages)
        debian.root.run("dpkg", "-i", str(debian.file("python3-dropin-cache")))
        debian.root.copy(packages.parent / "tree", "/srv/tree")
        yield debian
    finally:
        debian.close()


@pytest.mark.parametrize("user", [0, NOBODY], ids=["root", "user"])
def test_pass(system: Debian, user: int) -> None:
    """They pass, and warn of nothing."""
    versions = system.root.run("py3versions", "--supported").out.split()
    environment: dict[str, Any] = {"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"}
    # Debian 12 has pytest 7.
    options = ["-q", "-p", "no:cacheprovider", "-o", "minversion=7", "-n", "2"]
    options += ["-m", "not processes", "-rfE"]
    failed = {}
    for python in versions:
        done = system.root.run(
            *("env", "--chdir=/srv/tree", python, "-m", "pytest", *options, *_ELSEWHERE),
            status=None,
            timeout=3600,
            user=user or None,
            env=environment,
        )
        if done.status != 0:
            failed[python] = done.out[-6000:]
    assert {} == failed, "\n".join(failed.values())
