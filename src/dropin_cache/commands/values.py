"""What the values of options have to be."""

from __future__ import annotations

import argparse


def seconds(text: str) -> float:
    """Return a time that may be none at all."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def positive_seconds(text: str) -> float:
    """Return a time."""
    value = seconds(text)
    if value == 0:
        raise ValueError
    return value


def some_path(text: str) -> str:
    """Return a path: an empty one would be "all", or where this is run."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; is a variable not set?")
    return text


def dotted_name(text: str) -> str:
    """Return what may be the name of a package."""
    if not all(text.split(".")):
        raise ValueError
    return text


# argparse puts the functions' names into its messages.
seconds.__name__ = positive_seconds.__name__ = "number of seconds"
dotted_name.__name__ = "dotted name"
