"""Which sandbox there is, and the command lines that start an interpreter in it."""
