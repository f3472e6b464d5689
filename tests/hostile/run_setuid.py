"""Runs a program that is set-uid root."""

import subprocess

from app import victims

printed = subprocess.run([victims.SETUID, "-u"], check=True, stdout=subprocess.PIPE).stdout
if printed != b"0\n":
    raise PermissionError(printed)
__doc__ = "done"
