"""Tests of the marker interface."""

from __future__ import annotations

import pickle

from zope.interface import Interface, implementer
from zope.interface.interface import InterfaceClass

import dropin_cache
from dropin_cache._interfaces import IPlugin


class TestIPlugin:
    """The marker."""

    def test_is_an_interface(self) -> None:
        """It extends nothing but the root of all interfaces."""
        assert isinstance(IPlugin, InterfaceClass)
        assert (Interface,) == IPlugin.__bases__

    def test_demands_nothing(self) -> None:
        """It has neither methods nor attributes."""
        assert list(IPlugin.names(all=True)) == []

    def test_is_known_by_its_public_name(self) -> None:
        """What is stored of it in caches is the package's name, not the internal module's."""
        assert dropin_cache.IPlugin is IPlugin
        assert (IPlugin.__module__, IPlugin.__name__) == ("dropin_cache", "IPlugin")
        assert IPlugin.__identifier__ == "dropin_cache.IPlugin"

    def test_pickles_by_its_public_name(self) -> None:
        """What stock Twisted stores of it can be loaded, and names no internal module."""
        data = pickle.dumps(IPlugin)
        assert pickle.loads(data) is IPlugin
        assert b"_interfaces" not in data

    def test_can_be_implemented(self) -> None:
        """An object whose class implements it provides it, any other does not."""

        @implementer(IPlugin)
        class Plugin:
            pass

        assert IPlugin.providedBy(Plugin())
        assert not IPlugin.providedBy(object())


class TestPackage:
    """The public names."""

    def test_has_the_names_of_twisted(self) -> None:
        """Whatever is public in twisted.plugin is public here."""
        expected = {
            "CachedDropin",
            "CachedPlugin",
            "IPlugin",
            "getCache",
            "getPlugIns",
            "getPlugins",
            "pluginPackagePaths",
        }
        assert expected == set(dropin_cache.__all__)
        assert all(hasattr(dropin_cache, name) for name in expected)

    def test_keeps_the_old_spelling(self) -> None:
        """The name getPlugIns is another one for getPlugins."""
        assert dropin_cache.getPlugins is dropin_cache.getPlugIns
