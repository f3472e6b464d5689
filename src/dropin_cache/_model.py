"""What a cache holds: drop-ins, their plugins, the names of interfaces.

The reader imports this module on every application start, so it uses named tuples where the
write path would do with dataclasses: `dataclasses` alone takes as long to import as
zope.interface.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from dropin_cache import _conform


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


class CachedDropin:
    """The plugins of one drop-in module, as far as they are known without importing it.

    Attributes, as in `twisted.plugin.CachedDropin`:
        moduleName: Dotted name of the module.
        description: The module's docstring, or None.
        plugins: The module's `CachedPlugin` objects, in the order of their definition.

    And one of our own:
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

    Attributes, as in `twisted.plugin.CachedPlugin`:
        dropin: The `CachedDropin` it belongs to.
        name: The plugin's name in its module.
        description: Its docstring, or None.
        provided: The interfaces it provides, a list of interface objects. Where the entry came
            from a cache, access imports the modules that define them.

    And two of our own:
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
        module = importlib.import_module(self.dropin.moduleName)
        return getattr(module, self.name)

    def __conform__(self, interface: Any, registry: Any = None, default: Any = None) -> Any:
        """Return the loaded plugin if it provides `interface` or adapts to it.

        zope.interface calls this for `interface(plugin)` (its README, section "Adaptation"). The
        module is imported only when the answer is not `default`.

        Args:
            interface: The interface asked for.
            registry: Not used; Twisted's signature has it.
            default: What to return where the plugin has nothing to do with `interface`.
        """
        offer = _conform.offer(self, interface)
        if offer is _conform.Offer.NOTHING:
            return default
        plugin = self.load()
        # The cache may be wrong about it, since what the module imports may have changed.
        provides = offer is _conform.Offer.PROVIDES and interface.providedBy(plugin)
        return plugin if provides else interface(plugin, default)

    # The name from before zope.interface; Twisted keeps it, so do we.
    getComponent = __conform__
