"""Makes a file in a directory where everybody may."""

from app import victims

with open(f"{victims.OPEN}/write_open", "w", encoding="utf-8"):
    pass
