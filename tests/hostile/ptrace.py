"""Takes over another process of the same user."""

import ctypes
import os

from app import victims

ATTACH, DETACH = 16, 17  # sys/ptrace.h
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(ATTACH, victims.PEER, None, None) != 0:
    raise OSError(ctypes.get_errno(), "ptrace")
os.waitpid(victims.PEER, 0)
libc.ptrace(DETACH, victims.PEER, None, None)
__doc__ = "done"
