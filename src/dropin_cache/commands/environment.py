"""Whose packages are meant where nobody says so: those of the environment that is activated."""

from __future__ import annotations

import argparse
import os
import sys

from dropin_cache.commands.terminal import message

_ABOUT = frozenset(("update", "check", "list", "explain"))
# What uv and pipx leave in an environment that they have made for one tool.
_OF_TOOLS = ("uv-receipt.toml", "pipx_metadata.json")


def choose(arguments: argparse.Namespace, activated: str) -> None:
    """Take the environment that is activated, or say whose packages are looked at instead.

    Root does not heed what a variable names: `sudo -E` passes on what somebody else has set.

    Args:
        arguments: The command line; what is chosen is put into it.
        activated: The environment, as VIRTUAL_ENV has it; empty if there is none.
    """
    if arguments.command not in _ABOUT or arguments.python or arguments.root:
        return
    if activated and os.path.realpath(activated) != os.path.realpath(sys.prefix):
        if os.geteuid() != 0 and _is_usable(activated):
            arguments.python = [activated]
            return
        _tell(arguments, f"for the environment that is activated: --python {activated}")
    elif any(os.path.exists(os.path.join(sys.prefix, name)) for name in _OF_TOOLS):
        _tell(arguments, "for another environment: --python ENVIRONMENT")


def _is_usable(prefix: str) -> bool:
    from dropin_cache.installers.sites import is_own  # noqa: PLC0415 - where there is one only

    return os.path.exists(os.path.join(prefix, "bin", "python")) and is_own(prefix)


def _tell(arguments: argparse.Namespace, otherwise: str) -> None:
    if not (getattr(arguments, "quiet", False) or getattr(arguments, "trigger", False)):
        message("info", f"this is about the packages of {sys.executable}; {otherwise}")
