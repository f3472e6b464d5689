"""Directories for one child alone, where it can write; they go with it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Optional

# Not shutil.rmtree: the depth of what was made in there is no matter for rm(1).
_MAKE = ("/bin/mkdir", "-m", "0700", "--")
_OPEN = ("/bin/chmod", "-R", "u+rwx", "--")
_REMOVE = ("/bin/rm", "-rf", "--one-file-system", "--")


@contextlib.contextmanager
def private_directory(as_user: Sequence[str]) -> Iterator[Optional[str]]:  # noqa: UP045
    """Make a directory that only one user can enter, and remove it in the end with all it holds.

    Args:
        as_user: What runs a command as that user: the start of a command line. Root need not be
            able to give files away, nor to remove what is another's: a hardened unit takes that
            from it.

    Yields:
        Its path; None where there can be none, which is no reason not to go on.
    """
    # Root takes no place from its environment.
    above = "/tmp" if os.geteuid() == 0 else tempfile.gettempdir()  # noqa: S108 - it is sticky
    path = os.path.join(above, f"dropin-cache-{os.urandom(16).hex()}")
    made = _run([*as_user, *_MAKE, path])
    try:
        yield path if made else None
    finally:
        # What cannot be listed by its owner keeps rm from removing what is in it.
        if made and not _run([*as_user, *_REMOVE, path]):
            _run([*as_user, *_OPEN, path])
            _run([*as_user, *_REMOVE, path])


def _run(command: Sequence[str]) -> bool:
    """Run a command that says nothing, and tell whether it has done what it should."""
    try:
        done = subprocess.run(  # noqa: S603 - absolute paths only
            command,
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0
