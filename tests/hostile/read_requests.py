"""Reads requests that are for the child, and waits for the next."""

import os
import stat

for descriptor in range(3, 256):
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.read(descriptor, 1 << 16)
    except OSError:
        pass
