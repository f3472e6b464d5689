"""Raises what Ctrl-C does."""

raise KeyboardInterrupt
