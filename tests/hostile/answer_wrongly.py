"""Answers with fields of other kinds than the protocol has, for another module and package."""

import json
import os

from app import victims

answer = {"of": __name__, "module": "other.plugins.module", "path": "/etc", "description": 1}
answer.update(warnings={}, plugins=[[]], observed={"files": 7, "x" * 5000: 7})
os.write(victims.way_back(), json.dumps(answer).encode() + b"\n")
os._exit(0)
