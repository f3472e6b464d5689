"""Answers with what is no text."""

import os

from app import victims

os.write(victims.way_back(), b'{"description": "\xff\xfe\x80"}\n')
