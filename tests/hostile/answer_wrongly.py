"""Answers with fields of other kinds than the protocol has, for another module and package."""

import json
import os
import sys

from app import victims

frame = sys._getframe()
while "token" not in frame.f_locals.get("request", ()):
    frame = frame.f_back
token = frame.f_locals["request"]["token"]

answer = {"token": token, "module": "other.plugins.module", "path": "/etc", "description": 1}
answer.update(warnings={}, plugins=[[]], imports={"x" * 5000: 7})
os.write(victims.way_back(), json.dumps(answer).encode() + b"\n")
os._exit(0)
