"""Makes another process of the same user slow."""

import os

from app import victims

os.setpriority(os.PRIO_PROCESS, victims.PEER, 19)
