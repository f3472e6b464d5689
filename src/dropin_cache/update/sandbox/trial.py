"""Trying a sandbox out with a program that does nothing: why does no child start in it?"""

from __future__ import annotations

import contextlib
import os
import subprocess

from dropin_cache.update.sandbox.launch import (
    FILTER,
    INFO,
    LIFELINE,
    USER_NAMESPACE,
    Launch,
    readable,
)
from dropin_cache.update.sandbox.user_namespaces import make
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
    with contextlib.ExitStack() as cleanup:
        lifeline = os.pipe()  # the other end stays open: it is not to end because of that
        for end in lifeline:
            cleanup.callback(os.close, end)
        made = {LIFELINE: lifeline[0]}
        if FILTER in launch.arguments:
            made[FILTER] = readable(launch.filter)
            cleanup.callback(os.close, made[FILTER])
        if USER_NAMESPACE in launch.arguments:
            made[USER_NAMESPACE] = make(launch.users)
            cleanup.callback(os.close, made[USER_NAMESPACE])
        numbers = {INFO: 1, **made}  # facts go to the output, which nobody reads
        try:
            done = subprocess.run(  # noqa: S603 - absolute paths only
                [str(numbers.get(argument, argument)) for argument in launch.arguments],
                pass_fds=list(made.values()),
                env=launch.environment,
                cwd=launch.directory,
                input=b"",
                capture_output=True,
                check=False,
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return f"no end after {_PATIENCE} s"
    return None if done.returncode == 0 else _reason(done)


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if not lines:
        return f"exit status {done.returncode}"
    said = one_line(lines[-1])
    tool = said.partition(":")[0]
    return f"{_MEANINGS[tool]} ({said})" if tool in _MEANINGS else said
