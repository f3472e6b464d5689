"""Makes a file in the directory for temporary files."""

from app import victims

with open(f"/tmp/{victims.TAG}", "w", encoding="utf-8"):  # noqa: S108
    pass
