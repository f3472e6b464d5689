"""Signals another process of the same user."""

import os
import signal

from app import victims

os.kill(victims.PEER, signal.SIGUSR1)
