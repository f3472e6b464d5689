"""Replaces modules that the child works with."""

import sys

for name in ("os", "json", "importlib", "traceback", "signal", "posix"):
    sys.modules[name] = type(sys)(name)
