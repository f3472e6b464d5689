"""Answers with an error of almost a megabyte that looks like the lines of another program."""

import json
import os

from app import victims

text = (
    "nothing."
    + " " * 40
    + "Setting up base-files ...".ljust(80)
    + "E: dpkg was interrupted;" * 30_000
)
answer = {"of": __name__, "error": text, "traceback": "", "passing": False}
answer["observed"] = {"files": [], "listed": [], "paths": [], "names": []}
line = json.dumps(answer).encode() + b"\n"
while line:
    line = line[os.write(victims.way_back(), line) :]
os._exit(0)
