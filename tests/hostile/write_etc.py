"""Makes a file in the configuration of the machine."""

from app import victims

with open(f"/etc/{victims.TAG}", "w", encoding="utf-8"):
    pass
