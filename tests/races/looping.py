"""A program that runs commands of `dropin-cache` in turn, until its standard input ends.

It runs one at least.

Arguments: the name of a flaw (a function of flaws.py), then a JSON list of command lines. One of
them can be "write DIRECTORY", the writing alone, or "guarded DIRECTORY", the same by the rules of
trust. For each command it prints a line: the command and its exit status, or a traceback as JSON.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import select
import sys
import traceback

import flaws
from dropin_cache import _scan, cli
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin
from dropin_cache.errors import NotWrittenError, UntrustedError
from dropin_cache.update import session
from dropin_cache.update.files.cache_directory import open_locked

WRITES = ("write", "guarded")
DATA = encode([CachedDropin("app.plugins.hello", None)])
NEWEST = _scan.Dropin("hello", "app.plugins.hello", "hello.py", 1, 10**18, 1e9)


def write(rules: str, directory: str) -> int:
    """Write and remove a cache, with or without rules about whose directory it is."""
    try:
        with (
            session.Files(enforced=rules == "guarded") as files,
            open_locked(directory, 0, files) as target,
        ):
            target.replace(DATA, NEWEST)
            target.read()
            target.remove()
    except (NotWrittenError, UntrustedError) as error:
        return error.exit_code
    return 0


def run(arguments: list[str]) -> str:
    """Run a command; return its exit status, or how it went wrong."""
    messages = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(messages):
            status = write(*arguments) if arguments[0] in WRITES else cli.main(arguments)
    except BaseException:  # noqa: BLE001 - whatever it is must not be
        return json.dumps(traceback.format_exc())
    if "Traceback" in messages.getvalue():
        return json.dumps(messages.getvalue())
    return str(status)


def main() -> None:
    """Run them until nobody wants more."""
    getattr(flaws, sys.argv[1])()
    for arguments in itertools.cycle(json.loads(sys.argv[2])):
        os.write(1, f"{arguments[0]} {run(arguments)}\n".encode())
        if select.select([0], [], [], 0)[0]:
            break


if __name__ == "__main__":
    main()
