"""Writes into what is the empty standard input of others."""

import contextlib
import os

with contextlib.suppress(OSError):
    os.write(os.open("/proc/self/fd/0", os.O_WRONLY), b"forged")
for descriptor in range(64):
    with contextlib.suppress(OSError):
        os.write(os.open(f"/dev/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK), b"forged")
