"""Whether a cached plugin provides an interface, decided with as little importing as possible."""

from __future__ import annotations

import sys

from zope.interface import directlyProvides
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
    direct = [_loaded(module, name) for module, name in plugin.references]
    if None not in direct:
        return _offer_of(direct, interface)
    if plugin.interfaces is None:
        known, settled = direct, False
    else:
        known = _already_loaded(plugin.interfaces)
        # An interface that its module knows by another name is inherited all the same.
        settled = interface.__identifier__ not in plugin.interfaces
    found = _offer_of([each for each in known if each is not None], interface)
    if settled or found is Offer.PROVIDES:
        return found
    return _offer_of(plugin.provided, interface)


def _loaded(module_name: str, name: str) -> Any | None:
    """Return the interface `name` of a module that is already loaded, else None."""
    module = sys.modules.get(module_name)
    if module is None:
        return None
    # Through the dictionary, because a module-level __getattr__ may import things.
    found = getattr(module, "__dict__", {}).get(name)
    return found if isinstance(found, InterfaceClass) else None


def _already_loaded(dotted_names: Iterable[str]) -> list[Any | None]:
    """Return those of the named interfaces whose modules are loaded, None where they have others.

    They are all that matter: whoever holds an interface, or registered an adapter from it, has
    loaded its module.
    """
    split = [dotted.rpartition(".") for dotted in dotted_names]
    return [_loaded(module, name) for module, _, name in split if module in sys.modules]


def _offer_of(provided: Iterable[Any], interface: Any) -> str:
    """Decide from interface objects, as Twisted's CachedPlugin does."""
    for candidate in provided:
        if candidate.isOrExtends(interface):
            return Offer.PROVIDES
    if adapter_hooks:  # without hooks there are no adapters
        for candidate in provided:
            if _has_adapter(candidate, interface):
                return Offer.ADAPTS
    return Offer.NOTHING


def _has_adapter(source: Any, target: Any) -> bool:
    """Tell whether an adapter from `source` to `target` is registered.

    Twisted's registry answers that question; another registry is known only by its hook, which
    adapts objects and does not talk about interfaces, so it is shown a stand-in.
    """
    twisted = sys.modules.get(_TWISTED_ADAPTERS)
    if twisted is not None and twisted.getAdapterFactory(source, target, None) is not None:
        return True
    for hook in adapter_hooks:
        foreign = getattr(hook, "__module__", "") != _TWISTED_ADAPTERS
        if foreign and _hook_adapts(hook, source, target):
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
