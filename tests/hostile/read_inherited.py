"""Reads files that the update was started with, and whatever else but pipes is still open."""

import os
import stat

__doc__ = ""
for descriptor in range(3, 256):
    try:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    except OSError:
        continue
    if kind == stat.S_IFREG:
        __doc__ += os.pread(descriptor, 1000, 0).decode("utf-8", "replace")
    elif kind not in (stat.S_IFIFO, stat.S_IFCHR):
        __doc__ = f"done: {descriptor} is of kind {kind:o}"
