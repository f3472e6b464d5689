"""Lowers a limit of another process of the same user; a lower one of processor time kills."""

import resource

from app import victims

resource.prlimit(victims.PEER, resource.RLIMIT_NOFILE, (99, 99))
