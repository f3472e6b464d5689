"""Claims to have looked for more modules than any program has."""

import json
import os

from app import victims

names = [[f"module{number}", 0] for number in range(30_000)]
answer = {"of": __name__, "description": "forged", "warnings": [], "plugins": []}
answer["observed"] = {"files": [], "listed": [], "paths": [["/usr"]], "names": names}
line = json.dumps(answer).encode() + b"\n"
while line:
    line = line[os.write(victims.way_back(), line) :]
os._exit(0)
