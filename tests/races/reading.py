"""A program that reads once: prints when it began, when it ended, and what it found.

Arguments: the name of a flaw (a function of flaws.py), then directories to import from.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

import flaws
from dropin_cache import getCache


def main() -> None:
    """Read the plugins of the application `app`."""
    getattr(flaws, sys.argv[1])()
    sys.path[:0] = sys.argv[2:]
    package = importlib.import_module("app.plugins")
    began = time.monotonic_ns()
    found = {
        key: plugin.description
        for key, dropin in getCache(package).items()
        for plugin in dropin.plugins
    }
    print(json.dumps([began, time.monotonic_ns(), found]))  # noqa: T201 - that is its answer


if __name__ == "__main__":
    main()
