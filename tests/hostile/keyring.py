"""Puts a key into the kernel."""

import ctypes
import os

NUMBER = {"x86_64": 248}.get(os.uname().machine, 217)  # of add_key(2)
PROCESS_KEYRING = -2
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(NUMBER, b"user", b"key", b"x", ctypes.c_size_t(1), PROCESS_KEYRING) < 0:
    raise OSError(ctypes.get_errno(), "add_key")
__doc__ = "done"
