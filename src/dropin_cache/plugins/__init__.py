"""The default plugin package: directories `dropin_cache/plugins` anywhere on `sys.path`."""

from __future__ import annotations

from dropin_cache._scan import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
