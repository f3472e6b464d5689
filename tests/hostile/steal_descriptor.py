"""Takes a file from another process of the same user, pidfd_getfd(2)."""

import ctypes
import os

from app import victims

libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(438, os.pidfd_open(victims.PEER), 0, 0) < 0:
    raise OSError(ctypes.get_errno(), "pidfd_getfd")
__doc__ = "done"
