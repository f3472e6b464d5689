"""Kills the process that started it."""

import os
import signal

os.kill(os.getppid(), signal.SIGKILL)
__doc__ = "done"
