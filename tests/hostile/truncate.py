"""Empties a file that everybody may write."""

import os

from app import victims

os.truncate(victims.WRITABLE, 0)
