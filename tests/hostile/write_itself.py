"""Changes its own source."""

with open(__file__, "a", encoding="utf-8") as file:
    file.write("# changed\n")
