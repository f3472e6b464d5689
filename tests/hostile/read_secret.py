"""Reads a file that only root may read."""

from app import victims

with open(victims.SECRET, encoding="utf-8") as file:
    __doc__ = file.read()
