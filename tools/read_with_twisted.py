"""Let stock Twisted read its plugin cache and report what that cost.

Exits with a message unless Twisted took the cache as it is: no plugin module imported, nothing
rewritten, nothing logged.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import twisted.plugins
from twisted import plugin
from twisted.application.service import IServiceMaker
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.logger import LogLevel, globalLogPublisher


def main() -> None:
    """Read the cache, print a table, fail on any surprise."""
    logged: list[str] = []
    globalLogPublisher.addObserver(lambda event: _note(event, logged))
    caches = [Path(entry, "dropin.cache") for entry in twisted.plugins.__path__]
    before = _stamps(caches)
    cache = plugin.getCache(twisted.plugins)
    imported = sorted(name for name in sys.modules if name.startswith("twisted.plugins."))
    rewritten = [str(cache) for cache, stamp in _stamps(caches).items() if before[cache] != stamp]

    _row("caches", sum(stamp is not None for stamp in before.values()))
    _row("drop-ins", len(cache))
    for interface in (IServiceMaker, IStreamServerEndpointStringParser):
        _row(interface.__name__, _count(cache, interface))
    _row("plugin modules imported", len(imported))
    _row("caches rewritten", len(rewritten))
    _row("messages logged", len(logged))
    surprises = [*imported, *rewritten, *logged]
    if surprises or not any(before.values()):
        sys.exit("Twisted did not take the cache as it is: " + (", ".join(surprises) or "no cache"))
    print("Twisted took the cache as it is.")


def _row(title: str, count: int) -> None:
    print(f"{title:<36}{count:>4}")


def _note(event: dict[str, Any], logged: list[str]) -> None:
    if event.get("log_level", LogLevel.info) > LogLevel.debug:
        logged.append(str(event.get("log_format") or event.get("log_text")))


def _stamps(files: list[Path]) -> dict[Path, tuple[int, int] | None]:
    """Tell inode and modification time of each file, None where there is none."""
    found = {}
    for file in files:
        stat = file.stat() if file.exists() else None
        found[file] = stat and (stat.st_ino, stat.st_mtime_ns)
    return found


def _count(cache: dict[str, Any], interface: Any) -> int:
    """Count the plugins for an interface, as getPlugins finds them but without loading them."""
    plugins = [entry for dropin in cache.values() for entry in dropin.plugins]
    return sum(
        any(provided.isOrExtends(interface) for provided in entry.provided) for entry in plugins
    )


if __name__ == "__main__":
    main()
