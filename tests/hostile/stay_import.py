"""Replaces what imports plugin modules, so that those behind it are taken for it."""

import importlib
import sys

importlib.import_module = lambda name, package=None: sys.modules[__name__]
