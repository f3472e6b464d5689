"""Lets another process of the same user run only when nothing else does."""

import os

from app import victims

os.sched_setscheduler(victims.PEER, os.SCHED_IDLE, os.sched_param(0))
