"""Starts a thousand processes."""

import os
import time

for _ in range(1000):
    if os.fork() == 0:
        time.sleep(3600)
        os._exit(0)
__doc__ = "done"
