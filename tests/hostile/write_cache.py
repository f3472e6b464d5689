"""Writes the cache that is to be written for it."""

import os

with open(os.path.join(os.path.dirname(__file__), "dropin.cache"), "wb") as file:
    file.write(b"forged")
