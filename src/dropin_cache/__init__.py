"""Drop-in plugins with a cache: the API of `twisted.plugin` without Twisted."""

from __future__ import annotations

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
