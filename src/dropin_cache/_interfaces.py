"""The marker interface of plugins."""

from __future__ import annotations

from zope.interface import Interface


class IPlugin(Interface):  # type: ignore[misc]  # zope.interface ships no types
    """Provided by every object that wants to be found as a plugin.

    It marks only: a useful plugin provides an interface of its application besides.
    """

    # Caches refer to the marker by its public name, so they outlive moves inside this package.
    __module__ = "dropin_cache"
