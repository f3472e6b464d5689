"""Removes a file that everybody may remove."""

import os

from app import victims

os.unlink(victims.REMOVABLE)
