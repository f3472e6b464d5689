"""Replaces what answers, and lies about those behind it."""

import sys


def lie(child: object, request: object) -> object:
    """Return something else."""
    return {"description": "forged", "warnings": [], "plugins": []}


sys.modules["__main__"]._Child.do_module = lie
