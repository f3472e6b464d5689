"""Sleeps for ever."""

import time

time.sleep(1 << 20)
