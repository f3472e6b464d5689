"""Reads a file that only another user may read."""

from app import victims

with open(victims.FOREIGN, encoding="utf-8") as file:
    __doc__ = file.read()
