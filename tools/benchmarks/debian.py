"""The rows about whole systems: what a transaction of apt waits for.

They need root, mmdebstrap, and the modules of tests/packages, which make such systems.
"""

from __future__ import annotations

import functools
import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import FASTER, Sample, Task
from benchmarks.sites import SETTLED, TREE

_PACKAGES = "/usr/lib/python3/dist-packages"
_DAPHNE = f"{_PACKAGES}/twisted/plugins/fd_endpoint.py"
_TWISTED = f"{_PACKAGES}/twisted/plugin.py"  # what every plugin module imports


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
        for name, what, changed, goal in (
            ("apt", "daphne's plugin module", _DAPHNE, 2.5),
            ("apt-twisted", "Twisted itself", _TWISTED, 1.0),
            ("apt-unchanged", "none of these", None, None),
        ):
            yield Task(
                name,
                f"apt's trigger where it changed {what}, and all of Debian's plugins are there",
                against,
                *(FASTER, goal, "ms"),
                functools.partial(ours.trigger, changed),
                functools.partial(theirs.trigger, changed),
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

    def close(self) -> None:
        """End it."""
        if self._debian is not None:
            self._debian.close()

    def trigger(self, changed: str | None) -> Sample:
        """Have dpkg do what it does at the end of a transaction that has activated the trigger.

        Args:
            changed: A file that the transaction has changed, or None.
        """
        if self._debian is None:
            self._debian = self._started()
        root = self._debian.root
        if changed is not None:
            root.write(changed, f"{root.read(changed)}#\n")
            time.sleep(SETTLED)
        root.run("dpkg-trigger", "--by-package=dpkg", "--no-await", self._name)
        before = time.perf_counter_ns()
        root.run("dpkg", "--triggers-only", self._package)
        return Sample(time.perf_counter_ns() - before)

    def _started(self) -> Any:
        support = importlib.import_module("debian_support")
        debian = support.Debian(support.with_providers())
        try:
            debian.apt("install", "python3-twisted", *support.providers())
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
