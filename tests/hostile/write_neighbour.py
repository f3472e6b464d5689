"""Changes the source of the plugin module of another."""

import os

with open(os.path.join(os.path.dirname(__file__), "a_good.py"), "a", encoding="utf-8") as file:
    file.write("# changed\n")
