"""Needs the processor for ever."""

while True:
    pass
