"""Writes sixty-four megabytes of temporary files."""

import os

from app import victims

DIRECTORY = f"/tmp/{victims.TAG}-disk"  # noqa: S108
os.mkdir(DIRECTORY)
for number in range(64):
    with open(f"{DIRECTORY}/{number}", "wb") as file:
        file.write(bytes(1 << 20))
__doc__ = "done"
