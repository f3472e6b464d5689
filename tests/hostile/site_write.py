"""Writes outside when the interpreter starts."""

import os

with open(os.environ.get("MARK", "@OPEN@/site_write"), "w", encoding="utf-8"):
    pass
