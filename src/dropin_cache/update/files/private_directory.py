"""Directories for one child alone, where it can write; they go with it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Optional

_RM = "/bin/rm"


@contextlib.contextmanager
def private_directory(
    owner: Optional[tuple[int, int]],  # noqa: UP045
) -> Iterator[Optional[str]]:  # noqa: UP045
    """Make a directory that only one user can enter, and remove it in the end with all it holds.

    Args:
        owner: The numbers of the user and of the group; None for this process's own.

    Yields:
        Its path; None where there can be none, which is no reason not to go on.
    """
    path = made = None
    with contextlib.suppress(OSError):
        # Root takes no place from its environment.
        place = "/tmp" if os.geteuid() == 0 else None  # noqa: S108 - it is sticky
        made = tempfile.mkdtemp(prefix="dropin-cache-", dir=place)
        if owner is not None:
            os.chown(made, *owner, follow_symlinks=False)
        path = made
    try:
        yield path
    finally:
        if made is not None:
            # Not shutil.rmtree: the depth of what was made in there is no matter for rm(1), which
            # does not follow links either.
            command = [_RM, "-rf", "--one-file-system", "--", made]
            with contextlib.suppress(OSError):
                subprocess.run(command, env={}, stderr=subprocess.DEVNULL, check=False)  # noqa: S603
