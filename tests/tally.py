"""What the harnesses of tests/faults, fuzz, load and races share: how long they run, and counts."""

from __future__ import annotations

import json
import os

LONG = bool(os.environ.get("DROPIN_CACHE_TORTURE"))
"""Whether this is `make torture`, which runs the long form of each harness."""

_RECORD = os.environ.get("DROPIN_CACHE_TALLY")


def tally(harness: str, **counts: int) -> None:
    """Add to the counts of a harness; tools/print_tally.py prints the sums.

    Args:
        harness: What was run, in the words of the printed table.
        counts: How often each thing happened; an underscore in a name is printed as a space. What
            must not happen is counted too, as 0.
    """
    if _RECORD is not None:
        line = json.dumps({"harness": harness, "counts": counts}) + "\n"
        # One write at the end of the file: several test processes share it.
        descriptor = os.open(_RECORD, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
