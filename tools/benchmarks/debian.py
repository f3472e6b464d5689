"""The rows about whole systems: what a transaction of apt waits for.

They need root, mmdebstrap, and the modules of tests/packages, which make such systems.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.dropins import dropin
from benchmarks.figures import FASTER, Sample, Task
from benchmarks.sites import SETTLED, TREE

_CHANGED = "/usr/lib/python3/dist-packages/twisted/plugins/changed.py"


def tasks(place: Path) -> Iterator[Task]:
    """Yield what there is to measure; nothing where there can be no such systems.

    Args:
        place: Where what make targets make is kept.
    """
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        print("apt: left out, it needs root and mmdebstrap", file=sys.stderr)
        return
    os.environ.setdefault("DROPIN_CACHE_ROOTS", str(place / "roots"))
    sys.path += [str(TREE / "tests"), str(TREE / "tests" / "packages")]
    ours = _System("dropin-cache", "update-dropin-cache")
    theirs = _System("python3-twisted", "twisted-plugins-cache")
    against = "python3-twisted's own trigger"
    try:
        yield Task(
            "apt",
            "the trigger of an apt transaction that changed one of Debian's drop-ins",
            against,
            *(FASTER, 2.5, "ms"),
            lambda: ours.trigger(changed=True),
            lambda: theirs.trigger(changed=True),
            runs=7,
        )
        yield Task(
            "apt-unchanged",
            "the trigger of an apt transaction that changed none",
            against,
            *(FASTER, None, "ms"),
            lambda: ours.trigger(changed=False),
            lambda: theirs.trigger(changed=False),
            runs=7,
        )
    finally:
        ours.close()
        theirs.close()


class _System:
    """A Debian system with Twisted; made when needed."""

    def __init__(self, package: str, name: str) -> None:
        """Make it.

        Args:
            package: Whose trigger is measured; installed if it is ours.
            name: The name of the trigger.
        """
        self._package, self._name = package, name
        self._debian: Any = None
        self._number = 0

    def close(self) -> None:
        """End it."""
        if self._debian is not None:
            self._debian.close()

    def trigger(self, *, changed: bool) -> Sample:
        """Have dpkg do what it does at the end of a transaction that has activated the trigger.

        Args:
            changed: Whether the transaction is one that changed a drop-in.
        """
        if self._debian is None:
            self._debian = self._started()
        root = self._debian.root
        if changed:
            self._number += 1
            root.write(_CHANGED, dropin(self._number))
            time.sleep(SETTLED)
        root.run("dpkg-trigger", "--by-package=dpkg", "--no-await", self._name)
        before = time.perf_counter_ns()
        root.run("dpkg", "--triggers-only", self._package)
        return Sample(time.perf_counter_ns() - before)

    def _started(self) -> Any:
        support = importlib.import_module("debian_support")
        debian = support.Debian()
        try:
            if self._package == "dropin-cache":
                with tempfile.TemporaryDirectory() as place:
                    debian.add(support.built_packages(_Place(Path(place))))
                debian.install_ours()
        except BaseException:
            debian.close()
            raise
        return debian


class _Place:
    """Stands for what pytest makes temporary directories with."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def getbasetemp(self) -> Path:
        """Return the directory."""
        return self._path
