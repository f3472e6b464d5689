"""Replaces the import statement."""

import builtins
import sys

builtins.__import__ = lambda name, *_: sys.modules[__name__]
