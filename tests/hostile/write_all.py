"""Writes to every descriptor."""

import contextlib
import os

for descriptor in range(3, 256):
    with contextlib.suppress(OSError):
        os.write(descriptor, b"forged\n")
