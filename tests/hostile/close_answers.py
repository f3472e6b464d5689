"""Closes the way back."""

import os

from app import victims

os.close(victims.way_back())
