"""Makes a file in the directory of shared memory."""

from app import victims

with open(f"/dev/shm/{victims.TAG}", "w", encoding="utf-8"):  # noqa: S108
    pass
