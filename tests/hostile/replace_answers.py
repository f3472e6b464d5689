"""Puts something else in the place of the way back."""

import contextlib
import os

from app import victims

answers = victims.way_back()
with contextlib.suppress(OSError):
    os.lseek(answers, 0, os.SEEK_SET)
with open("/dev/null", "wb") as null:
    os.dup2(null.fileno(), answers)
