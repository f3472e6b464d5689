"""Makes ten thousand files."""

import os

from app import victims

DIRECTORY = f"/tmp/{victims.TAG}-many"  # noqa: S108
os.mkdir(DIRECTORY)
for number in range(10_000):
    os.close(os.open(f"{DIRECTORY}/{number}", os.O_CREAT))
