"""Leaves a process in a session of its own, for later."""

import os
import time

from app import victims

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 256)
        time.sleep(0.3)
        open(f"{victims.OPEN}/daemonise", "w", encoding="utf-8").close()
        time.sleep(3600)
    os._exit(0)
os.wait()
