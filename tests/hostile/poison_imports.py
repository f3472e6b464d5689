"""Has the update forget that others depend on a module that they share."""

import gc
import sys

import app.shared  # noqa: F401

for graph in gc.get_objects():
    if type(graph).__name__ == "ImportGraph":
        graph._imports["app.shared"] = set()
        graph._unreported.add("app.shared")
sys.modules["app.shared"].__file__ = None
