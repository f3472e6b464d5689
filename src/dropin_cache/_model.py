"""What a cache holds: drop-ins, their plugins, the names of interfaces.

The reader imports this module on every application start, so it uses tuples where the write path
would do with dataclasses: `dataclasses` alone takes as long to import as zope.interface.
"""

from __future__ import annotations

import operator
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from typing import NamedTuple as NamedTuple  # noqa: PLC0414 - exported to type checkers
else:

    class NamedTuple(tuple):  # noqa: SLOT001 - subclasses could not say so in their own words
        """Base of tuples whose items have the names, and the defaults, that a class declares.

        It stands for `typing.NamedTuple`. `typing`, with what it imports, takes longer to load than
        all of the reader, and a zope.interface that does not load it anyway is in use (5.5).
        """

        _make = classmethod(tuple.__new__)

        def __init_subclass__(cls) -> None:
            cls._fields = tuple(cls.__annotations__)
            cls._defaults = {name: vars(cls)[name] for name in cls._fields if name in vars(cls)}
            for index, name in enumerate(cls._fields):
                setattr(cls, name, property(operator.itemgetter(index)))

        def __new__(cls, *values: object, **named: object) -> NamedTuple:  # noqa: PYI034
            given = {**cls._defaults, **dict(zip(cls._fields, values)), **named}
            return cls._make(given[name] for name in cls._fields)

        def __getnewargs__(self) -> tuple[object, ...]:
            return tuple(self)

        def __repr__(self) -> str:
            items = (f"{name}={value!r}" for name, value in zip(self._fields, self))
            return f"{type(self).__name__}({', '.join(items)})"

        def _replace(self, **changes: object) -> NamedTuple:
            return type(self)(*self, **changes)


class InterfaceName(NamedTuple):
    """The global reference to an interface, as plain text.

    Attributes:
        module: Dotted name of the module that defines the interface.
        name: The interface's name in that module.
    """

    module: str
    name: str

    @property
    def dotted(self) -> str:
        """Module and name in one string, as zope.interface's `__identifier__` writes it."""
        return f"{self.module}.{self.name}"


# What caches call the two classes below.
DROPIN_CLASS = InterfaceName("twisted.plugin", "CachedDropin")
PLUGIN_CLASS = InterfaceName("twisted.plugin", "CachedPlugin")
# What marks plugins; Twisted has a marker of its own.
MARKER = InterfaceName("dropin_cache", "IPlugin")


class Fingerprint(NamedTuple):
    """What a drop-in's file looked like when it was imported.

    Attributes:
        size: Bytes.
        mtime_ns: Modification time, nanoseconds since the epoch.
        digest: SHA-256 of the content, hexadecimal.
    """

    size: int
    mtime_ns: int
    digest: str


class CacheTimes(NamedTuple):
    """The times of a cache file.

    Attributes:
        mtime: Modification time in seconds, as Python rounds `st_mtime`.
        ctime_ns: Time of the last change to the inode, nanoseconds since the epoch.
    """

    mtime: float
    ctime_ns: int


NO_CACHE = CacheTimes(0.0, 0)
"""Those of a cache that is not there: nothing is older."""


class CachedDropin:
    """The plugins of one drop-in module, as far as they are known without importing it.

    All attributes but the last are as in `twisted.plugin.CachedDropin`.

    Attributes:
        moduleName: Dotted name of the module.
        description: The module's docstring, or None.
        plugins: The module's `CachedPlugin` objects, in the order of their definition.
        fingerprint: The file the facts were taken from, or None where Twisted wrote the entry.
    """

    def __init__(self, moduleName: str, description: str | None) -> None:
        """Start an entry without plugins.

        Args:
            moduleName: Dotted name of the module.
            description: The module's docstring, or None.
        """
        self.moduleName = moduleName
        self.description = description
        self.plugins: list[CachedPlugin] = []
        self.fingerprint: Fingerprint | None = None


class CachedPlugin:
    """One plugin of a drop-in, as far as it is known without importing it.

    All attributes but the last two are as in `twisted.plugin.CachedPlugin`.

    Attributes:
        dropin: The `CachedDropin` it belongs to.
        name: The plugin's name in its module.
        description: Its docstring, or None.
        provided: The interfaces it provides, a list of interface objects. Where the entry came
            from a cache, access imports the modules that define them.
        references: The names behind `provided`, a tuple of `InterfaceName`.
        interfaces: Dotted names of all interfaces it provides, inherited ones included; None
            where Twisted wrote the entry.
    """

    references: tuple[InterfaceName, ...] = ()
    interfaces: tuple[str, ...] | None = None

    def __init__(
        self, dropin: CachedDropin, name: str, description: str | None, provided: list[Any]
    ) -> None:
        """Describe a plugin and add it to its drop-in.

        Args:
            dropin: The drop-in it belongs to; its `plugins` list grows by this object.
            name: The plugin's name in its module.
            description: Its docstring, or None.
            provided: The interface objects it provides.
        """
        self.dropin = dropin
        self.name = name
        self.description = description
        self.provided = provided
        self.dropin.plugins.append(self)

    @classmethod
    def from_references(
        cls,
        dropin: CachedDropin,
        name: str,
        description: str | None,
        references: tuple[InterfaceName, ...],
        interfaces: tuple[str, ...],
    ) -> CachedPlugin:
        """Describe a plugin whose interfaces are known by name only; see the class."""
        plugin = cls.__new__(cls)
        plugin.dropin, plugin.name, plugin.description = dropin, name, description
        plugin.references, plugin.interfaces = references, interfaces
        dropin.plugins.append(plugin)
        return plugin

    def __getattr__(self, attribute: str) -> Any:
        """Resolve `provided` when somebody asks; nothing else is missing from an instance."""
        if attribute != "provided":
            message = f"{type(self).__name__!r} object has no attribute {attribute!r}"
            raise AttributeError(message)
        from dropin_cache import _conform  # noqa: PLC0415 - who writes caches asks no plugin anything

        # Not kept: where an interface is gone, the names still tell what the plugin provides.
        resolved = (_conform.resolve(reference) for reference in self.references)
        return [interface for interface in resolved if interface is not None]

    def __repr__(self) -> str:
        """Name the plugin, its module and its interfaces, in Twisted's words."""
        if "provided" in vars(self):
            names = [interface.__name__ for interface in self.provided]
        else:
            names = [reference.name for reference in self.references]
        return (
            f"<CachedPlugin {self.name!r}/{self.dropin.moduleName!r}"
            f" (provides {', '.join(names)!r})>"
        )

    def load(self) -> Any:
        """Import the drop-in and return the plugin itself.

        Raises:
            ImportError: The module is gone or does not import; whatever else its code raises
                escapes too.
            AttributeError: The module has no such plugin any more.
        """
        __import__(self.dropin.moduleName)
        return getattr(sys.modules[self.dropin.moduleName], self.name)

    def __conform__(self, interface: Any, registry: Any = None, default: Any = None) -> Any:
        """Return the loaded plugin if it provides `interface` or adapts to it.

        zope.interface calls this for `interface(plugin)` (its README, section "Adaptation"). The
        module is imported only when the answer is not `default`.

        Args:
            interface: The interface asked for.
            registry: Not used; Twisted's signature has it.
            default: What to return where the plugin has nothing to do with `interface`.
        """
        from dropin_cache import _conform  # noqa: PLC0415 - as above

        if not _conform.offers(self, interface):
            return default
        plugin = self.load()
        # The cache may be wrong about it, since what the module imports may have changed.
        return plugin if interface.providedBy(plugin) else interface(plugin, default)

    # The name from before zope.interface; Twisted keeps it, so do we.
    getComponent = __conform__
