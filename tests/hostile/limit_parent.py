"""Lowers limits of the process that has started it, so that what that starts next fails."""

import contextlib
import os
import resource

limits = (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE)
for limit in limits:
    with contextlib.suppress(OSError):
        resource.prlimit(os.getppid(), limit, (1, 1))
        __doc__ = "done"
