"""Opens a thousand files."""

files = [open("/dev/null", encoding="ascii") for _ in range(1000)]  # noqa: SIM115
__doc__ = "done"
