"""Tests of deciding whether a plugin provides an interface."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Any

import pytest
from zope.interface import Interface, implementer, providedBy
from zope.interface.interface import adapter_hooks

from dropin_cache import CachedDropin, CachedPlugin, IPlugin, _conform
from dropin_cache._conform import offers, resolve
from dropin_cache._model import InterfaceName
from reader_support import use

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from conftest import Tree

GREETER = InterfaceName("app.interfaces", "IGreeter")
LOUD = InterfaceName("app.interfaces", "ILoudGreeter")
OTHER = InterfaceName("app.interfaces", "IOther")
MARKER = InterfaceName("dropin_cache", "IPlugin")
GONE = InterfaceName("app.gone", "IGone")
ROOT_NAME = "zope.interface.Interface"


class IAsked(Interface):
    """An interface that the application asks for, and that no plugin provides by itself."""


class INearMiss(Interface):
    """An interface that has an adapter to another."""


@pytest.fixture
def interfaces(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The application's interfaces, imported."""
    use(tree, monkeypatch)
    return importlib.import_module("app.interfaces")


@pytest.fixture
def unloaded(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application whose interfaces nobody has imported."""
    use(tree, monkeypatch)


def cached(*references: InterfaceName, interfaces: Any = ()) -> CachedPlugin:
    """Make a plugin as it comes from a cache of ours."""
    dropin = CachedDropin("app.plugins.absent", None)
    return CachedPlugin.from_references(dropin, "plugin", None, references, interfaces)


def from_twisted(*references: InterfaceName) -> CachedPlugin:
    """Make a plugin as it comes from a cache of Twisted's: inherited interfaces are not listed."""
    return cached(*references, interfaces=None)


@contextlib.contextmanager
def adapting(hook: Any) -> Iterator[None]:
    """Register an adapter hook with zope.interface."""
    adapter_hooks.append(hook)
    try:
        yield
    finally:
        adapter_hooks.remove(hook)


def hook_from(source: Any, target: Any, adapted: Any = "adapted") -> Any:
    """Make a hook that adapts whatever provides `source` to `target`."""

    def hook(interface: Any, thing: Any) -> Any:
        right = interface is target and source in providedBy(thing).flattened()
        return adapted if right else None

    return hook


class TestResolve:
    """Finding an interface by its name."""

    def test_imports(self, unloaded: None) -> None:
        """The module that defines the interface is imported."""
        found = resolve(GREETER)
        assert sys.modules["app.interfaces"].IGreeter is found

    def test_program(self, tree: Tree, unloaded: None) -> None:
        """A program is not imported, whatever the cache says: importing it would run it."""
        tree.write("app/__main__.py", "from app.interfaces import IGreeter\n")
        assert resolve(InterfaceName("app.__main__", "IGreeter")) is None
        assert "app.__main__" not in sys.modules

    @pytest.mark.parametrize(
        "reference",
        [
            GONE,
            InterfaceName("app.interfaces", "INothing"),
            InterfaceName("os", "system"),
            InterfaceName("", "IEmpty"),
            InterfaceName(".relative", "IRelative"),
            InterfaceName("with\0null", "INull"),
            InterfaceName("\udc80", "ISurrogate"),
        ],
    )
    def test_gone(self, unloaded: None, reference: InterfaceName) -> None:
        """What is not there, or no interface, is None."""
        assert resolve(reference) is None

    def test_interrupted(self, tree: Tree, unloaded: None) -> None:
        """Ctrl-C is not an answer."""
        tree.write("app/failing.py", "raise KeyboardInterrupt")
        with pytest.raises(KeyboardInterrupt):
            resolve(InterfaceName("app.failing", "IFailing"))

    @pytest.mark.parametrize("statement", ["raise SystemExit(3)", "1 / 0", "import app.nothing"])
    def test_module_fails(self, tree: Tree, unloaded: None, statement: str) -> None:
        """Whatever the module's code raises, the answer is None."""
        tree.write("app/failing.py", statement)
        assert resolve(InterfaceName("app.failing", "IFailing")) is None

    def test_lazy_module(self, tree: Tree, unloaded: None) -> None:
        """An interface that its module only makes when asked for it is found, as pickle does."""
        tree.write(
            "app/lazy.py",
            """
            def __getattr__(name):
                from app import interfaces
                return getattr(interfaces, name)
            """,
        )
        found = resolve(InterfaceName("app.lazy", "IGreeter"))
        assert sys.modules["app.interfaces"].IGreeter is found


class TestOfferOfLoadedInterfaces:
    """Plugins whose interface objects are known."""

    @pytest.mark.parametrize("known", [True, False])
    def test_provides(self, interfaces: ModuleType, known: bool) -> None:
        """An interface that is provided is provided, whichever way the cache tells."""
        plugin = cached(GREETER, MARKER, interfaces=(GREETER.dotted, MARKER.dotted, ROOT_NAME))
        if known:
            assert plugin.provided
        assert offers(plugin, interfaces.IGreeter)

    def test_inherited(self, interfaces: ModuleType) -> None:
        """An interface that a provided one extends is provided."""
        assert offers(from_twisted(LOUD), interfaces.IGreeter)

    def test_not_the_other_way_round(self, interfaces: ModuleType) -> None:
        """An interface that extends a provided one is not."""
        assert not offers(from_twisted(GREETER), interfaces.ILoudGreeter)

    def test_nothing_provided(self, interfaces: ModuleType) -> None:
        """A plugin that provides nothing has nothing to offer."""
        assert not offers(cached(), interfaces.IGreeter)


class TestOfferOfNames:
    """Plugins whose interfaces are known by name only."""

    def test_unrelated(self, unloaded: None) -> None:
        """An interface that is not among the names is not provided; nothing is imported."""
        plugin = cached(GREETER, MARKER, interfaces=(GREETER.dotted, MARKER.dotted, ROOT_NAME))
        assert not offers(plugin, IAsked)
        assert "app.interfaces" not in sys.modules

    def test_one_of_several(self, unloaded: None) -> None:
        """An interface that is loaded is found beside one that is not; nothing is imported."""
        plugin = cached(GREETER, MARKER, interfaces=(GREETER.dotted, MARKER.dotted, ROOT_NAME))
        assert offers(plugin, IPlugin)
        assert "app.interfaces" not in sys.modules

    def test_inherited_from_a_gone_one(self, interfaces: ModuleType) -> None:
        """What the cache says is inherited counts, though the interface in between is gone."""
        plugin = cached(GONE, interfaces=("app.gone.IGone", GREETER.dotted, ROOT_NAME))
        assert offers(plugin, interfaces.IGreeter)

    def test_the_answer_does_not_depend_on_who_looked(self, interfaces: ModuleType) -> None:
        """Looking at the interfaces of a plugin does not change what it offers."""
        plugin = cached(GONE, interfaces=("app.gone.IGone", GREETER.dotted, ROOT_NAME))
        assert plugin.provided == []
        assert offers(plugin, interfaces.IGreeter)

    def test_known_by_another_name(
        self, tree: Tree, unloaded: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An interface whose module has it under another name than its own is inherited too."""
        monkeypatch.setattr(_conform, "adapter_hooks", [])
        tree.write(
            "app/outer.py",
            """
            from zope.interface import Interface

            def make():
                class IInner(Interface):
                    pass
                return IInner

            IOuter = make()
            """,
        )
        tree.write("app/more.py", "from app.outer import IOuter\nclass IMore(IOuter): pass\n")
        names = ("app.more.IMore", "app.outer.IInner", ROOT_NAME)
        plugin = cached(InterfaceName("app.more", "IMore"), interfaces=names)
        outer = importlib.import_module("app.outer").IOuter
        assert not offers(plugin, IAsked)
        assert "app.more" not in sys.modules
        assert offers(plugin, outer)

    def test_inherited_before_its_child_is_loaded(self, tree: Tree, unloaded: None) -> None:
        """Of an inherited interface the name is enough, and its children stay unimported."""
        tree.write(
            "app/more.py",
            """
            from dropin_cache import IPlugin
            class IMore(IPlugin):
                pass
            """,
        )
        names = ("app.more.IMore", MARKER.dotted, ROOT_NAME)
        plugin = cached(InterfaceName("app.more", "IMore"), interfaces=names)
        assert offers(plugin, IPlugin)
        assert "app.more" not in sys.modules

    def test_no_hooks(self, unloaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nobody adapts anything, there is no adapter."""
        monkeypatch.setattr(_conform, "adapter_hooks", [])
        assert not offers(cached(MARKER), IAsked)

    def test_name_of_no_interface(self, unloaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that leads to something that is no interface counts for nothing."""
        monkeypatch.setattr(_conform, "adapter_hooks", [])
        plugin = cached(InterfaceName("os", "system"), interfaces=("os.system", IAsked.__name__))
        assert not offers(plugin, IAsked)

    def test_lazy_module(self, tree: Tree, unloaded: None) -> None:
        """An interface that its module only makes when asked for it is provided."""
        tree.write(
            "app/lazy.py",
            """
            def __getattr__(name):
                if name != "ILazy":
                    raise AttributeError(name)
                from zope.interface.interface import InterfaceClass
                made = globals()["ILazy"] = InterfaceClass("ILazy", __module__="app.lazy")
                return made
            """,
        )
        plugin = cached(InterfaceName("app.lazy", "ILazy"), interfaces=("app.lazy.ILazy",))
        lazy = importlib.import_module("app.lazy")
        assert offers(plugin, lazy.ILazy)


class TestOfferOfTwistedEntries:
    """Plugins from a cache that Twisted wrote."""

    def test_loaded_interface_settles_it(self, unloaded: None) -> None:
        """If a loaded interface answers, nothing is imported."""
        assert offers(from_twisted(MARKER, GREETER), IPlugin)
        assert "app.interfaces" not in sys.modules

    def test_others_are_imported(self, unloaded: None) -> None:
        """If none does, inherited interfaces are known only after an import."""
        assert not offers(from_twisted(MARKER, LOUD), IAsked)
        assert "app.interfaces" in sys.modules

    def test_inherited_after_import(self, tree: Tree, unloaded: None) -> None:
        """What an unloaded interface extends is provided."""
        tree.write(
            "app/more.py",
            """
            from test_conform import IAsked
            class IMore(IAsked):
                pass
            """,
        )
        assert offers(from_twisted(InterfaceName("app.more", "IMore")), IAsked)

    def test_plugin_itself_tells(self, tree: Tree, unloaded: None) -> None:
        """If an interface is not to be had any more, the plugin tells what it provides."""
        tree.dropin("absent")
        asked = importlib.import_module("app.interfaces").IGreeter
        plugin = from_twisted(MARKER, GONE)
        assert offers(plugin, asked)
        assert [IPlugin, asked] == plugin.provided

    def test_it_is_asked_once(self, tree: Tree, unloaded: None) -> None:
        """One that cannot be loaded is tried once, and provides nothing then."""
        tree.write("app/plugins/absent.py", "1 / 0\n")
        plugin = from_twisted(MARKER, GONE)
        with pytest.raises(ZeroDivisionError):
            offers(plugin, IAsked)
        assert not offers(plugin, IAsked)

    @pytest.mark.parametrize(
        "module",
        ["this", "antigravity", "idlelib.idle", "lib2to3.tests", "__phello__.spam", "turtle"],
    )
    def test_standard_library(self, tree: Tree, unloaded: None, module: str) -> None:
        """A module of the standard library is not imported, as it has no interfaces."""
        if module.startswith("__phello__"):
            tree.write("app/__main__.py", "1 / 0\n")
            module = "app.__main__"
        tree.write("app/plugins/absent.py", "plugin = 1\n")
        before = set(sys.modules)
        assert not offers(from_twisted(MARKER, InterfaceName(module, "IAny")), IAsked)
        assert {"app.plugins.absent"} >= set(sys.modules) - before

    def test_name_of_the_standard_library(self, tree: Tree, unloaded: None) -> None:
        """An interface in an application's module of such a name is provided all the same."""
        tree.write(
            "this/__init__.py", "from zope.interface import Interface\nclass IHere(Interface): 1\n"
        )
        text = "from zope.interface import implementer\nimport this\n"
        text += "@implementer(this.IHere)\nclass Plugin: 1\nplugin = Plugin()\n"
        tree.write("app/plugins/absent.py", text)
        asked = importlib.import_module("this").IHere
        del sys.modules["this"]
        assert offers(from_twisted(InterfaceName("this", "IHere")), asked)
        assert "app.plugins.absent" in sys.modules


class TestQualifiedNames:
    """Interfaces that are attributes of classes."""

    TEXT = """
    from zope.interface import Interface

    class Host:
        class Inner:
            class IDeep(Interface):
                pass
        class IExt(Interface):
            pass
        other = 3
    """

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("Host.IExt", True),
            ("Host.Inner.IDeep", True),
            ("Host.other", False),
            ("Host.INothing", False),
            ("Host.IExt.more", False),
            ("IExt", False),
        ],
    )
    def test_resolve(self, tree: Tree, unloaded: None, name: str, expected: bool) -> None:
        """They are found by their qualified names, loaded or not."""
        tree.write("app/host.py", self.TEXT)
        reference = InterfaceName("app.host", name)
        found = resolve(reference)
        assert expected is (found is not None)
        assert found is _conform._loaded(*reference)

    @pytest.mark.parametrize("name", ["Host.IExt", "Host.Inner.IDeep"])
    def test_provided(self, tree: Tree, unloaded: None, name: str) -> None:
        """A plugin of ours or Twisted's provides them."""
        tree.write("app/host.py", self.TEXT)
        reference = InterfaceName("app.host", name)
        asked = resolve(reference)
        assert offers(from_twisted(MARKER, reference), asked)
        dotted = f"app.host.{name.rpartition('.')[2]}"
        assert offers(cached(MARKER, reference, interfaces=(dotted, MARKER.dotted)), asked)

    def test_local(self, unloaded: None) -> None:
        """An interface that nobody can reach is provided by its name."""

        class ILocal(Interface):
            pass

        assert offers(cached(MARKER, interfaces=(ILocal.__identifier__, MARKER.dotted)), ILocal)

    def test_adapter_from_hidden(self, unloaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """From one that its module does not know there may be an adapter, if there are any."""
        plugin = cached(MARKER, interfaces=(f"{__name__}.IHidden", MARKER.dotted))
        monkeypatch.setattr(_conform, "adapter_hooks", [])
        assert not offers(plugin, IAsked)
        monkeypatch.setattr(_conform, "adapter_hooks", [lambda *_: None])
        assert offers(plugin, IAsked)


class TestAdapters:
    """Adapters."""

    def test_hook(self, interfaces: ModuleType) -> None:
        """An adapter registered with zope.interface counts."""
        with adapting(hook_from(interfaces.IGreeter, IAsked)):
            assert offers(from_twisted(GREETER), IAsked)

    def test_hook_without_twisted(
        self, interfaces: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It does so where nothing has loaded Twisted, too."""
        monkeypatch.delitem(sys.modules, "twisted.python.components", raising=False)
        with adapting(hook_from(interfaces.IGreeter, IAsked)):
            assert offers(from_twisted(GREETER), IAsked)

    def test_hook_for_something_else(self, interfaces: ModuleType) -> None:
        """An adapter from or to something else does not."""
        with adapting(hook_from(interfaces.IOther, IAsked)):
            assert not offers(from_twisted(GREETER), IAsked)
        with adapting(hook_from(interfaces.IGreeter, INearMiss)):
            assert not offers(from_twisted(GREETER), IAsked)

    def test_hook_that_raises(self, interfaces: ModuleType) -> None:
        """An adapter that rejects the stand-in it is shown may accept the plugin."""

        def hook(interface: Any, thing: Any) -> Any:
            if interface is IAsked:
                raise TypeError(thing)

        with adapting(hook):
            assert offers(from_twisted(GREETER), IAsked)

    def test_providing_is_better(self, interfaces: ModuleType) -> None:
        """An interface that is provided needs no adapter, wherever it stands in the list."""
        with adapting(hook_from(interfaces.IGreeter, interfaces.IOther)):
            assert offers(from_twisted(GREETER, OTHER), interfaces.IOther)

    def test_inherited_interface(self, interfaces: ModuleType) -> None:
        """An adapter from an inherited interface counts."""
        plugin = cached(GONE, interfaces=("app.gone.IGone", GREETER.dotted, ROOT_NAME))
        with adapting(hook_from(interfaces.IGreeter, IAsked)):
            assert offers(plugin, IAsked)

    def test_nothing_is_imported(self, unloaded: None) -> None:
        """Adapters are looked for among interfaces that are loaded, and no others."""
        plugin = cached(GREETER, MARKER, interfaces=(GREETER.dotted, MARKER.dotted, ROOT_NAME))
        with adapting(hook_from(IPlugin, IAsked)):
            assert offers(plugin, IAsked)
        assert "app.interfaces" not in sys.modules

    @pytest.mark.parametrize("more", [(), (MARKER.dotted,)])
    def test_from_any_interface(self, unloaded: None, more: tuple[str, ...]) -> None:
        """An adapter from the root of all interfaces counts, registered with whomever."""
        components = importlib.import_module("twisted.python.components")
        plugin = cached(GREETER, interfaces=(*more, ROOT_NAME))
        with adapting(hook_from(Interface, IAsked)):
            assert offers(plugin, IAsked)
        assert not offers(plugin, INearMiss)
        components.globalRegistry.register([Interface], INearMiss, "", str)
        try:
            assert offers(plugin, INearMiss)
        finally:
            components.globalRegistry.unregister([Interface], INearMiss, "")

    def test_twisted_registry(self, interfaces: ModuleType) -> None:
        """An adapter registered with Twisted counts, from inherited interfaces too."""
        components = importlib.import_module("twisted.python.components")

        @implementer(IAsked)
        class Adapter:
            def __init__(self, adapted: Any) -> None:
                """Refuse whatever is not a whole plugin."""
                self.adapted = adapted.name

        components.registerAdapter(Adapter, interfaces.IGreeter, IAsked)
        try:
            assert offers(from_twisted(LOUD), IAsked)
            assert not offers(from_twisted(OTHER), IAsked)
        finally:
            registry = components.globalRegistry
            registry.unregister([interfaces.IGreeter], IAsked, "", Adapter)
