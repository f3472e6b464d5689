"""Where this project keeps what is its own: what earlier runs found out, and locks."""

from __future__ import annotations

import os
from errno import ENOENT

from dropin_cache import _quick

STATE_DIRECTORY = _quick.STATE_DIRECTORY
"""Root's; what the Filesystem Hierarchy Standard has for what can be made again."""

LOCK_DIRECTORIES = ("/run/lock/dropin-cache", "/run/dropin-cache")
"""Root's, the preferred one first."""

CLOSED = (*LOCK_DIRECTORIES, STATE_DIRECTORY)
"""Where nobody but root may be able to write."""


def keeps_state() -> bool:
    """Tell whether anything but caches may stay; in what is to be reproducible nothing may."""
    return not os.environ.get("SOURCE_DATE_EPOCH")


def state_directory() -> str | None:
    """Return the directory of the effective user's state; None if this user has no place for it."""
    if os.geteuid() == 0:
        return STATE_DIRECTORY
    home = _cache_home()
    return os.path.join(home, "dropin-cache") if os.path.isabs(home) else None


def lock_directories() -> list[str]:
    """Return the directories that may hold the effective user's locks, the preferred one first.

    Raises:
        FileNotFoundError: There is none: this user has no home directory, or an image is built.
    """
    if not keeps_state():
        raise FileNotFoundError(ENOENT, "no locks stay in an image", "SOURCE_DATE_EPOCH")
    if os.geteuid() == 0:
        return list(LOCK_DIRECTORIES)
    found = []
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and _is_own(runtime):
        found.append(os.path.join(runtime, "dropin-cache"))
    home = _cache_home()
    if os.path.isabs(home):
        return [*found, os.path.join(home, "dropin-cache", "locks")]
    if found:
        return found
    # "~" itself is left where there is neither HOME nor an entry in passwd.
    raise FileNotFoundError(ENOENT, "this user has no home directory", home)


def _cache_home() -> str:
    """Return the user's directory for caches, as the XDG Base Directory Specification has it."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # It also says to ignore relative paths.
    return home if os.path.isabs(home) else os.path.expanduser("~/.cache")


def _is_own(directory: str) -> bool:
    """Tell whether XDG_RUNTIME_DIR is this user's; after su it is another's."""
    try:
        return os.stat(directory).st_uid == os.geteuid()
    except OSError:
        return False
