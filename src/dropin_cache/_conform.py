"""Whether a cached plugin provides an interface, decided with as little importing as possible."""

from __future__ import annotations

import sys

from zope.interface import Interface, directlyProvides
from zope.interface.interface import InterfaceClass, adapter_hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from dropin_cache._model import CachedPlugin, InterfaceName

_TWISTED_ADAPTERS = "twisted.python.components"


class Offer:
    """What a plugin has to offer to somebody who asks for an interface."""

    NOTHING = "nothing"
    PROVIDES = "provides"
    ADAPTS = "adapts"


def resolve(reference: InterfaceName) -> Any | None:
    """Import the interface that a reference names.

    Returns:
        The interface object, or None where it cannot be had any more, for whatever reason: that
        a cache names it is no reason for an application to fail.
    """
    if reference.module.rpartition(".")[2] == "__main__":
        return None  # a program, no place for interfaces
    try:
        __import__(reference.module)
        found = getattr(sys.modules[reference.module], reference.name, None)
    except BaseException:  # noqa: BLE001 - a module's code may raise anything, SystemExit too
        return None
    return found if isinstance(found, InterfaceClass) else None


def offer(plugin: CachedPlugin, interface: Any) -> str:
    """Decide whether `plugin` provides `interface`, adapts to it, or neither.

    Nothing is imported, with one exception: an entry written by Twisted does not tell which
    interfaces are inherited, so those it names are imported where their names do not settle it.
    """
    if "provided" in vars(plugin):
        return _offer_of(plugin.provided, interface)
    names = plugin.interfaces
    if names is not None and interface.__identifier__ not in names:
        # An interface that its module knows by another name is inherited all the same.
        return _offer_of(_already_loaded(names), interface)
    direct = [_loaded(module, name) for module, name in plugin.references]
    if None not in direct:
        return _offer_of(direct, interface)
    known = [each for each in direct if each is not None]
    if _offer_of(known if names is None else _already_loaded(names), interface) is Offer.PROVIDES:
        return Offer.PROVIDES
    return _offer_of(plugin.provided, interface)


def _loaded(module_name: str, name: str) -> Any | None:
    """Return the interface `name` of a module that is already loaded, else None."""
    module = sys.modules.get(module_name)
    if module is None:
        return None
    # Through the dictionary, because a module-level __getattr__ may import things.
    found = getattr(module, "__dict__", {}).get(name)
    return found if isinstance(found, InterfaceClass) else None


def _already_loaded(dotted_names: Iterable[str]) -> list[Any]:
    """Return those of the named interfaces whose modules are loaded.

    They are all that matter: whoever holds an interface, or registered an adapter from it, has
    loaded its module.
    """
    loaded = []
    for dotted in dotted_names:
        module, _, name = dotted.rpartition(".")
        if module in sys.modules:
            interface = _loaded(module, name)
            if interface is not None:
                loaded.append(interface)
    return loaded


def _offer_of(provided: list[Any], interface: Any) -> str:
    """Decide from interface objects, as Twisted's CachedPlugin does."""
    for candidate in provided:
        if candidate.isOrExtends(interface):
            return Offer.PROVIDES
    # Without hooks there are no adapters.
    return Offer.ADAPTS if adapter_hooks and _has_adapter(provided, interface) else Offer.NOTHING


def _has_adapter(sources: list[Any], target: Any) -> bool:
    """Tell whether an adapter from one of `sources` to `target` is registered.

    Twisted's registry answers that question; another registry is known only by its hook, which
    adapts objects and does not talk about interfaces, so it is shown a stand-in.
    """
    twisted = sys.modules.get(_TWISTED_ADAPTERS)
    if twisted is not None:
        for source in sources:
            if source is Interface and source is not sources[0]:
                continue  # the first extends it, and was asked about with all that it extends
            if twisted.getAdapterFactory(source, target, None) is not None:
                return True
    for hook in adapter_hooks:
        if getattr(hook, "__module__", "") != _TWISTED_ADAPTERS:
            for source in sources:
                if _hook_adapts(hook, source, target):
                    return True
    return False


def _hook_adapts(hook: Any, source: Any, target: Any) -> bool:
    stand_in = _StandIn()
    directlyProvides(stand_in, source)
    try:
        return hook(target, stand_in) is not None
    except Exception:  # noqa: BLE001 - an adapter is there and rejects the stand-in, not the plugin
        return True


class _StandIn:
    """Provides one interface and is nothing else."""
