"""Tests of what a cache holds."""

from __future__ import annotations

import copy
import importlib
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest
from zope.interface import Interface, implementer, providedBy
from zope.interface.interface import adapter_hooks

from dropin_cache import CachedDropin, CachedPlugin, IPlugin
from dropin_cache._model import Fingerprint, InterfaceName
from dropin_cache._scan import Dropin
from reader_support import use

if TYPE_CHECKING:
    from conftest import Tree

GREETER = InterfaceName("app.interfaces", "IGreeter")
LOUD = InterfaceName("app.interfaces", "ILoudGreeter")
MARKER = InterfaceName("dropin_cache", "IPlugin")
GONE = InterfaceName("app.gone", "IGone")
GREETER_NAMES = ("app.interfaces.IGreeter", "dropin_cache.IPlugin", "zope.interface.Interface")


@pytest.fixture
def dropin(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> CachedDropin:
    """The entry of a drop-in that is there and not imported."""
    use(tree, monkeypatch)
    tree.dropin("friendly")
    return CachedDropin("app.plugins.friendly", "The drop-in friendly.")


def cached(
    dropin: CachedDropin, *references: InterfaceName, interfaces: Any = GREETER_NAMES
) -> CachedPlugin:
    """Make a plugin as it comes from a cache."""
    return CachedPlugin.from_references(dropin, "plugin", "Text.", references, interfaces)


class TestInterfaceName:
    """Names of interfaces."""

    def test_dotted(self) -> None:
        """Module and name make one dotted name."""
        assert GREETER.dotted == "app.interfaces.IGreeter"

    def test_dotted_is_the_identifier(self) -> None:
        """The dotted name is what zope.interface calls the interface."""
        assert MARKER.dotted == IPlugin.__identifier__


class TestFingerprint:
    """Fingerprints."""

    def test_fields(self) -> None:
        """Size, time and digest come in this order, which is the order in the cache."""
        assert Fingerprint(size=1, mtime_ns=2, digest="3") == (1, 2, "3")


class TestCachedDropin:
    """Entries of drop-ins."""

    def test_starts_empty(self) -> None:
        """A new entry has its name and text, no plugins, and no fingerprint."""
        expected = {"moduleName": "a.b", "description": "T", "plugins": [], "fingerprint": None}
        assert expected == vars(CachedDropin("a.b", "T"))


class TestCachedPlugin:
    """Entries of plugins."""

    def test_construction_as_in_twisted(self) -> None:
        """The constructor keeps its arguments and adds the plugin to its drop-in."""
        dropin = CachedDropin("a.b", None)
        plugin = CachedPlugin(dropin, "name", "Text.", [IPlugin])
        assert [plugin] == dropin.plugins
        assert (dropin, "name", "Text.", [IPlugin]) == (
            plugin.dropin,
            plugin.name,
            plugin.description,
            plugin.provided,
        )

    def test_construction_from_references(self) -> None:
        """The other constructor keeps names, and adds the plugin to its drop-in as well."""
        dropin = CachedDropin("a.b", None)
        plugin = cached(dropin, MARKER)
        assert [plugin] == dropin.plugins
        assert (dropin, "plugin", "Text.") == (plugin.dropin, plugin.name, plugin.description)
        assert (plugin.references, plugin.interfaces) == ((MARKER,), GREETER_NAMES)

    def test_unknown_attribute(self) -> None:
        """An attribute that does not exist is reported in Python's own words."""
        plugin = cached(CachedDropin("a.b", None), MARKER)
        with pytest.raises(AttributeError, match="'CachedPlugin' object has no attribute 'colour'"):
            plugin.colour  # noqa: B018 - the access is the test


class TestProvided:
    """The interfaces a plugin provides."""

    def test_is_resolved_when_asked_for(self, dropin: CachedDropin) -> None:
        """The interface's module is imported by looking at the attribute, not before."""
        plugin = cached(dropin, GREETER, MARKER)
        assert "app.interfaces" not in sys.modules
        provided = plugin.provided
        assert [sys.modules["app.interfaces"].IGreeter, IPlugin] == provided

    def test_comes_back_when_it_can_be_had(self, tree: Tree, dropin: CachedDropin) -> None:
        """What could not be imported once may be there the next time."""
        plugin = cached(dropin, InterfaceName("app.late", "ILate"), MARKER)
        assert [IPlugin] == plugin.provided
        tree.write("app/late.py", "from dropin_cache import IPlugin\nclass ILate(IPlugin): pass\n")
        importlib.invalidate_caches()
        assert ["ILate", "IPlugin"] == [interface.__name__ for interface in plugin.provided]

    def test_leaves_out_what_is_gone(self, dropin: CachedDropin) -> None:
        """An interface whose module is gone is left out; the others stay."""
        assert [IPlugin] == cached(dropin, GONE, MARKER).provided

    def test_does_not_import_the_dropin(self, dropin: CachedDropin) -> None:
        """Interfaces can be looked at without loading the plugin."""
        assert cached(dropin, GREETER).provided
        assert "app.plugins.friendly" not in sys.modules


class TestRepr:
    """How plugins are shown."""

    EXPECTED = "<CachedPlugin 'plugin'/'app.plugins.friendly' (provides 'IGreeter, IPlugin')>"

    def test_from_cache(self, dropin: CachedDropin) -> None:
        """It names plugin, module and interfaces, and imports nothing for that."""
        assert repr(cached(dropin, GREETER, MARKER)) == self.EXPECTED
        assert "app.interfaces" not in sys.modules

    def test_resolved(self, dropin: CachedDropin) -> None:
        """It is the same when the interfaces are objects."""
        greeter = importlib.import_module("app.interfaces").IGreeter
        plugin = CachedPlugin(dropin, "plugin", None, [greeter, IPlugin])
        assert repr(plugin) == self.EXPECTED


class TestLoad:
    """Loading a plugin."""

    def test_imports_the_dropin(self, dropin: CachedDropin) -> None:
        """The plugin is the object that the module has under that name."""
        loaded = cached(dropin).load()
        assert sys.modules["app.plugins.friendly"].plugin is loaded

    def test_module_gone(self) -> None:
        """A module that is gone is an ImportError."""
        with pytest.raises(ImportError):
            cached(CachedDropin("app_that_is_gone.plugins.x", None)).load()

    def test_plugin_gone(self, dropin: CachedDropin) -> None:
        """A plugin that is gone is an AttributeError."""
        plugin = CachedPlugin.from_references(dropin, "nothing", None, (), ())
        with pytest.raises(AttributeError):
            plugin.load()


class TestConform:
    """Asking a plugin for an interface."""

    def test_provides(self, dropin: CachedDropin) -> None:
        """Whoever asks for an interface that the plugin provides gets the plugin."""
        greeter = importlib.import_module("app.interfaces").IGreeter
        found = greeter(cached(dropin, GREETER, MARKER), None)
        assert sys.modules["app.plugins.friendly"].plugin is found

    def test_provides_something_else(self, dropin: CachedDropin) -> None:
        """Whoever asks for another gets the default, and the drop-in stays unimported."""
        other = importlib.import_module("app.interfaces").IOther
        assert other(cached(dropin, GREETER, MARKER), None) is None
        assert "app.plugins.friendly" not in sys.modules

    def test_default(self, dropin: CachedDropin) -> None:
        """The default is the third argument, as in Twisted."""
        other = importlib.import_module("app.interfaces").IOther
        assert cached(dropin, GREETER).__conform__(other, None, "default") == "default"

    def test_old_name(self, dropin: CachedDropin) -> None:
        """The name getComponent does the same."""
        greeter = importlib.import_module("app.interfaces").IGreeter
        found = cached(dropin, GREETER).getComponent(greeter)
        assert sys.modules["app.plugins.friendly"].plugin is found

    def test_adapts(self, dropin: CachedDropin) -> None:
        """Where an adapter is registered, the loaded plugin is adapted."""
        greeter = importlib.import_module("app.interfaces").IGreeter

        class IVolume(Interface):
            pass

        @implementer(IVolume)
        class Volume:
            def __init__(self, adapted: Any) -> None:
                self.adapted = adapted

        def hook(interface: Any, thing: Any) -> Any:
            right = interface is IVolume and greeter in providedBy(thing).flattened()
            return Volume(thing) if right else None

        adapter_hooks.append(hook)
        try:
            found = IVolume(cached(dropin, GREETER), None)
        finally:
            adapter_hooks.remove(hook)
        assert sys.modules["app.plugins.friendly"].plugin is found.adapted


class TestNamedTuple:
    """Tuples whose items have names."""

    def test_is_a_tuple(self) -> None:
        """An instance equals the tuple of its items, and so does its hash."""
        fingerprint = Fingerprint(1, 2, "digest")
        assert fingerprint == (1, 2, "digest")
        assert hash(fingerprint) == hash((1, 2, "digest"))

    def test_names(self) -> None:
        """Items can be had by name."""
        name = InterfaceName("app.interfaces", "IGreeter")
        assert ("app.interfaces", "IGreeter") == (name.module, name.name)

    def test_defaults(self) -> None:
        """What is not given, by position or by name, is what the class says."""
        dropin = Dropin("a", "app.a", "/a.py", mtime_ns=5)
        assert dropin == ("a", "app.a", "/a.py", -1, 5, -1.0, -1, -1)

    def test_missing(self) -> None:
        """An item without default has to be given."""
        with pytest.raises(KeyError):
            Fingerprint(1, 2)  # type: ignore[call-arg]

    def test_replace(self) -> None:
        """A copy can differ in an item, and is of the same class."""
        changed = Fingerprint(1, 2, "digest")._replace(size=9)
        assert Fingerprint(9, 2, "digest") == changed
        assert type(changed) is Fingerprint

    def test_repr(self) -> None:
        """The representation is the call that makes it."""
        assert repr(Fingerprint(1, 2, "d")) == "Fingerprint(size=1, mtime_ns=2, digest='d')"

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
    def test_copies(self, copied: object) -> None:
        """A copy is equal, and of the same class."""
        found = copied(Fingerprint(1, 2, "digest"))
        assert Fingerprint(1, 2, "digest") == found
        assert type(found) is Fingerprint
