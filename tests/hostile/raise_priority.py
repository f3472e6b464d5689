"""Takes the processor from all others."""

import os

os.setpriority(os.PRIO_PROCESS, 0, -10)
__doc__ = "done"
