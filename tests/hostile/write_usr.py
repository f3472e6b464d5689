"""Makes a file in the programs of the machine."""

from app import victims

with open(f"/usr/{victims.TAG}", "w", encoding="utf-8"):
    pass
