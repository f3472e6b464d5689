"""Answers with a hundred thousand lists in each other."""

import os

from app import victims

os.write(victims.way_back(), b"[" * 100_000 + b"]" * 100_000 + b"\n")
