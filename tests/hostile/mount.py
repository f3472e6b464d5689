"""Mounts a file system over another directory."""

import ctypes

from app import victims

libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"none", victims.OPEN.encode(), b"tmpfs", 0, None) != 0:
    raise OSError(ctypes.get_errno(), "mount")
__doc__ = "done"
