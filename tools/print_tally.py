"""Print what the harnesses counted, as a table in Markdown.

Usage: print_tally.py FILE, which holds lines that tests/tally.py wrote. Prints nothing when there
is no such file.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path


def main(record: Path) -> None:
    """Add up the counts in `record` and print one row for each harness."""
    if not record.exists():
        return
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in record.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        # Not +=, which would drop what is 0: what never happened is what the table is for.
        sums[entry["harness"]].update(entry["counts"])
    print("| harness | counted |")
    print("| --- | --- |")
    for harness, counts in sorted(sums.items()):
        cells = (f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items())
        print(f"| {harness} | {', '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
