"""Answers with a line of a hundred megabytes."""

import os

from app import victims

for _ in range(100):
    os.write(victims.way_back(), b"x" * (1 << 20))
