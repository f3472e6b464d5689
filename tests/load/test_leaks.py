"""A reader that is polled for long needs no more memory and no more descriptors than at first."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

import load_support
from conftest import Tree
from tally import LONG, tally

_POLLS = 100_000 if LONG else 1_500
_MOST = 64 << 10
"""Bytes by which memory may grow: tables that were half full, text of another length."""

# Each name comes and goes, or always a new one does. Arguments: how many polls, how, where.
_POLL = """
import app.interfaces, app.plugins, gc, json, logging, os, sys, tracemalloc
from dropin_cache import _plugins

logging.disable()
polls, how, place = int(sys.argv[1]), sys.argv[2], app.plugins.__path__[0]
text = open(f"{place}/hello.py").read()

def change(number):
    name = f"{place}/d{number % 7}.py" if how != "new" else f"{place}/n{number}.py"
    if how == "new":
        with open(name, "w") as file:
            file.write("raise ValueError")
        os.replace(name, f"{place}/newest.py") if number % 2 else None
    if os.path.exists(name):
        os.unlink(name)
"""
