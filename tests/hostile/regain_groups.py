"""Joins root's group again."""

import os

os.setgroups([0])
__doc__ = "done"
