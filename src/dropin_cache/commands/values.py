"""What the values of options have to be."""

from __future__ import annotations

import argparse


def seconds(text: str) -> float:
    """Return a time that may be none at all."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, such as 2.5")
    return value


def positive_seconds(text: str) -> float:
    """Return a time."""
    value = seconds(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 seconds are too few")
    return value


def some_text(text: str) -> str:
    """Return a path or a name: an empty one would be "all", or where this is run."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; is a variable not set?")
    return text


def dotted_name(text: str) -> str:
    """Return what may be the name of a package."""
    if not all(some_text(text).split(".")):
        raise argparse.ArgumentTypeError(f"{text} is no name such as twisted.plugins")
    return text
