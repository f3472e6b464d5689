"""Reads a file that only members of root's group may read, as if it had inherited the groups."""

from app import victims

with open(victims.GROUP, encoding="utf-8") as file:
    __doc__ = file.read()
