"""Kills whatever it may kill."""

import os
import signal

os.kill(-1, signal.SIGKILL)
