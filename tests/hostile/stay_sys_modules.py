"""Puts itself in the place of the one behind it."""

import sys

sys.modules["app.plugins.z_good"] = sys.modules[__name__]
