"""Prints four megabytes."""

import sys

for _ in range(64):
    sys.stdout.write("x" * (64 << 10))
__doc__ = "done"
