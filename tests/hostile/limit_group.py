"""Ends everything in its session and its group, and what started it."""

import contextlib
import os
import signal

for process in (-os.getpgid(0), os.getppid(), 1):
    with contextlib.suppress(OSError):
        os.kill(process, signal.SIGTERM)
