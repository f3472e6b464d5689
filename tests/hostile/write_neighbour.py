"""Changes the source of the drop-in behind it."""

with open(__file__.replace(".py", "_behind.py"), "a", encoding="utf-8") as file:
    file.write("# changed\n")
