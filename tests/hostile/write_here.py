"""Makes a file beside its own."""

import os

from app import victims

with open(os.path.join(os.path.dirname(__file__), victims.TAG), "w", encoding="utf-8"):
    pass
