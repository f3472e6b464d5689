"""Answers instead of the child, as it likes, and is gone."""

import json
import os
import sys

from app import victims

frame = sys._getframe()
while "token" not in frame.f_locals.get("request", ()):
    frame = frame.f_back
token = frame.f_locals["request"]["token"]

plugin = {"name": "forged", "description": None, "provided": [["os", "system"]], "interfaces": []}
answer = {"token": token, "description": "forged", "warnings": [], "plugins": [plugin]}
answer["imports"] = {"/etc/shadow": ["/etc/shadow", []], "app": ["/etc/../etc/passwd", []]}
os.write(victims.way_back(), json.dumps(answer).encode() + b"\n")
os._exit(0)
