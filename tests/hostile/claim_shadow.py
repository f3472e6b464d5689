"""Claims to have been loaded from where it must not look, and so do modules that it imports."""

import sys

from app import interfaces, victims

__file__ = "/etc/shadow"
interfaces.__file__ = "/etc/shadow"
victims.__file__ = "/proc/self/mem"
sys.modules["elsewhere"] = type(sys)("elsewhere")
sys.modules["elsewhere"].__file__ = "/root/.ssh/id_rsa"
import elsewhere  # noqa: E402, F401
