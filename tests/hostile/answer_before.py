"""Answers before it is time, and so twice."""

import json
import os

from app import victims

nothing = {"files": [], "listed": [], "paths": [], "names": []}
answer = {"of": __name__, "description": "forged", "warnings": [], "plugins": []}
answer["observed"] = nothing
os.write(victims.way_back(), json.dumps(answer).encode() + b"\n")
