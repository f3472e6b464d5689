"""Reads a file that everybody may read, but that has nothing to do with plugin modules."""

from app import victims

with open(victims.PUBLIC, encoding="utf-8") as file:
    __doc__ = file.read()
