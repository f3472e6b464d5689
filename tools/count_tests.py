"""Print the last line of `make test`: the tests of all sessions in one count.

Usage: count_tests.py DIRECTORY, which holds one JUnit file for each session that ran tests. Prints
nothing when there is none.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET


def main(directory: Path) -> None:
    """Add up the counts of every file in `directory` and print the sum."""
    files = sorted(directory.glob("*.xml"))
    total: Counter[str] = Counter()
    for file in files:
        for suite in ET.parse(file).iter("testsuite"):  # noqa: S314 - pytest has just written it
            total.update({name: int(suite.get(name, 0)) for name in _COUNTED})
    failed = total["failures"] + total["errors"]
    passed = total["tests"] - failed - total["skipped"]
    if files:
        print(f"{passed} passed, {failed} failed, {total['skipped']} skipped")


_COUNTED = ("tests", "failures", "errors", "skipped")

if __name__ == "__main__":
    main(Path(sys.argv[1]))
