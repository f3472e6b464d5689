"""Drop-in plugins with a cache: the API of `twisted.plugin` without Twisted."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dropin_cache._interfaces import IPlugin
    from dropin_cache._model import CachedDropin, CachedPlugin
    from dropin_cache._plugins import getCache, getPlugIns, getPlugins
    from dropin_cache._scan import pluginPackagePaths

__all__ = [
    "CachedDropin",
    "CachedPlugin",
    "IPlugin",
    "getCache",
    "getPlugIns",
    "getPlugins",
    "pluginPackagePaths",
]

_HOMES = {
    "CachedDropin": "_model",
    "CachedPlugin": "_model",
    "IPlugin": "_interfaces",
    "getCache": "_plugins",
    "getPlugIns": "_plugins",
    "getPlugins": "_plugins",
    "pluginPackagePaths": "_scan",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, PEP 562.

    Every import of a module in here imports this one first, and the commands need none of these.
    """
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(__import__(f"{__name__}.{_HOMES[name]}", fromlist=(name,)), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
