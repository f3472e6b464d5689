"""Trying a sandbox out with a program that does nothing: why does no child start in it?"""

from __future__ import annotations

import os
import subprocess

from dropin_cache.update.sandbox.launch import Launch
from dropin_cache.update.sandbox.start import start
from dropin_cache.update.text import one_line

NOTHING = "/usr/bin/true"
"""A program that does nothing, and takes whatever an interpreter takes."""

_PATIENCE = 10  # seconds for what takes some ten milliseconds
# What it means that one of our tools has failed, in the words of an administrator.
_MEANINGS = {
    "setpriv": "root cannot become another user here",
    "prlimit": "no limits can be set here",
    "cannot confine": "Landlock or filters of system calls are forbidden here",
    "bwrap": "namespaces or mounts are forbidden here",
}


def trial(launch: Launch) -> str | None:
    """Run what starts a child; return why that fails, None if it does not.

    Args:
        launch: How `NOTHING` is started.
    """
    lifeline, other_end = os.pipe()  # the other end stays open: it is not to end because of that
    try:
        return _tried(launch, lifeline)
    finally:
        os.close(lifeline)
        os.close(other_end)


def _tried(launch: Launch, lifeline: int) -> str | None:
    pipe = subprocess.PIPE
    process, namespaces = start(launch, (), lifeline, stdin=pipe, stdout=pipe, stderr=pipe)
    with process:
        try:
            said = process.communicate(b"", _PATIENCE)[1]
        except subprocess.TimeoutExpired:
            return f"no end after {_PATIENCE} s"
        finally:
            if namespaces is not None:
                namespaces.end()
            process.kill()
    return None if process.returncode == 0 else _reason(process.returncode, said)


def _reason(status: int, output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    if not lines:
        return f"exit status {status}"
    said = one_line(lines[-1])
    tool = said.partition(":")[0]
    return f"{_MEANINGS[tool]} ({said})" if tool in _MEANINGS else said
