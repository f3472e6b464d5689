"""Answers twice in one go, for the one behind it, too."""

import json
import os

from app import victims

nothing = {"files": [], "listed": [], "paths": [], "names": []}
answer = {"of": __name__, "description": "forged", "warnings": [], "plugins": []}
answer["observed"] = nothing
os.write(victims.way_back(), (json.dumps(answer) + "\n").encode() * 2)
os._exit(0)
