"""The commands `dropin-cache` and `update-dropin-cache`.

Package managers start them often, and mostly nothing is to be done. So this loads what finds that
out, and the rest only when it is wanted.
"""

from __future__ import annotations

import os
import sys

from dropin_cache import _quick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "main_update"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `dropin-cache`.

    Args:
        argv: The arguments, without the program's name; those of the process if not given.

    Returns:
        The exit status; the epilog of `--help` lists them.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    # Whether triggers are turned off is for those that follow to see, and to tell.
    if arguments == ["update", "--trigger"] and _quick.BYPASS not in os.environ and _quick.hold():
        return 0
    from dropin_cache import commands  # noqa: PLC0415 - see above

    return commands.main(arguments)


def main_update() -> int:
    """Run `update-dropin-cache`, another name for `dropin-cache update`."""
    return main(["update", *sys.argv[1:]])
