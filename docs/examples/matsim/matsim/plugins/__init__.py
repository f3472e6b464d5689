"""Materials for Matsim."""

from dropin_cache import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
