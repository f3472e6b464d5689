"""Has the interpreter import from twenty thousand directories."""

import sys

sys.path += [f"/nonexistent/{number}" for number in range(20_000)]
