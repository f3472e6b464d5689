"""What tools/release.py prints, for tests of packages."""

from __future__ import annotations

import runpy
from pathlib import Path

_TOOL = Path(__file__).resolve().parents[2] / "tools" / "release.py"
_main = runpy.run_path(str(_TOOL))["main"]


def release_tool(*arguments: str) -> str:
    """Return what it prints when it gets these arguments."""
    printed: str = _main(list(arguments))
    return printed


UPSTREAM_VERSION = release_tool("version").rstrip()
VERSION = f"{release_tool('version', 'debian').rstrip()}-1"
"""As dpkg and RPM have it."""
