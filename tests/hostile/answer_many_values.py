"""Answers with a line that is short, and long in the memory of who parses it."""

import os

from app import victims

line = b'{"of": "%s", "x": [%s[]]}\n' % (__name__.encode(), b"[]," * (5 << 20))
while line:
    line = line[os.write(victims.way_back(), line) :]
os._exit(0)
