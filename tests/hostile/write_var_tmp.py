"""Makes a file in a directory that is everybody's and outlives a restart."""

from app import victims

with open(f"/var/tmp/{victims.TAG}", "w", encoding="utf-8"):  # noqa: S108
    pass
