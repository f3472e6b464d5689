"""How the harnesses start the programs of this directory, as root or as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from command_line import Account

PROGRAM = Path(__file__).with_name("looping.py")

PATIENCE = 60
"""Seconds until a flaw has to have shown, or a command has to have ended."""


def looping(
    commands: list[list[str]], flaw: str, account: Account | None = None
) -> subprocess.Popen[str]:
    """Start the program that runs commands in turn, as root or as a user."""
    python, options, path = sys.executable, {"env": os.environ}, PROGRAM.parent
    if account is not None:
        python, options, path = account.python, account.options, program_of(account)
    return subprocess.Popen(
        [python, "-B", f"{path}/{PROGRAM.name}", flaw, json.dumps(commands)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **{**options, "env": {**os.environ, **options["env"]}},
    )


def program_of(account: Account) -> Path:
    """Return a directory with the programs of the harnesses that a user can get at."""
    path = account.site.parent / "program"
    path.mkdir()
    for name in ("looping.py", "reading.py", "flaws.py"):
        shutil.copy(PROGRAM.with_name(name), path)
    return path


def finish(process: subprocess.Popen[str]) -> None:
    """Let the program end with the command that it is running."""
    process.communicate(timeout=PATIENCE)
