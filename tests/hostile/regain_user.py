"""Becomes root again, if any of its three users still is."""

import os

os.setresuid(0, 0, 0)
__doc__ = "done"
