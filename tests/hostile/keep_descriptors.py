"""Opens as many files as it can, and leaves none for those behind it."""

files = []
try:
    while len(files) < 1000:
        files.append(open("/dev/null", encoding="ascii"))  # noqa: SIM115
except OSError:
    pass
__doc__ = f"has {len(files)}"
