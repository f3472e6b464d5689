"""How the child that imports drop-ins is started: command line and environment.

So far there is one tier, `none`: the child has the rights of whoever runs the update.
"""

from __future__ import annotations

import os
from typing import NamedTuple

# The child needs no terminal, no home and no PATH; LC_ALL keeps its messages ASCII.
_SCRUBBED = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}


class Launch(NamedTuple):
    """What to start.

    Attributes:
        arguments: The command line, without what the child itself is given.
        environment: The environment, whole.
        directory: The working directory; None for that of this process.
    """

    arguments: list[str]
    environment: dict[str, str]
    directory: str | None


class Unconfined:
    """The tier without confinement."""

    tier = "none"

    def launch(self, python: str) -> Launch:
        """Say how to start an interpreter.

        Bytecode is never written: whose it would be and where depends on who runs this. For root
        the interpreter is isolated (`python -I`), so that neither the environment nor the
        working directory has a say in what is imported; users expect their PYTHONPATH to count.
        """
        if os.geteuid() == 0:
            return Launch([python, "-I", "-B"], _SCRUBBED, "/")
        return Launch([python, "-B"], dict(os.environ), None)
