"""Answers instead of the child, as it likes, and is gone."""

import json
import os

from app import victims

plugin = {"name": "forged", "description": None, "provided": [["os", "system"]], "interfaces": []}
answer = {"of": __name__, "description": "forged", "warnings": [], "plugins": [plugin]}
looked = {"files": ["/etc/shadow", "/etc/../etc/passwd"], "listed": ["/root"]}
answer["observed"] = {**looked, "paths": [["/root"]], "names": [["app", 0]]}
os.write(victims.way_back(), json.dumps(answer).encode() + b"\n")
os._exit(0)
