"""Overflows the stack of the interpreter."""

import sys

sys.setrecursionlimit(10**9)


def fall() -> None:
    """Call itself, by way of C."""
    next(map(lambda _: fall(), [0]))  # noqa: C417


fall()
