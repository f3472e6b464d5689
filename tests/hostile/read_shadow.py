"""Reads the passwords of the machine."""

with open("/etc/shadow", encoding="utf-8") as file:
    __doc__ = file.read()
