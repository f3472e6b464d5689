"""Keeps the interpreter from ever starting."""

import time

time.sleep(1 << 20)
