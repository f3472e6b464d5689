"""Whether a cached plugin provides an interface, decided with as little importing as possible."""

from __future__ import annotations

import os
import sys

from zope.interface import Interface, directlyProvides, providedBy
from zope.interface.interface import InterfaceClass, adapter_hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from dropin_cache._model import CachedPlugin, InterfaceName

_TWISTED_ADAPTERS = "twisted.python.components"


def resolve(reference: InterfaceName) -> Any | None:
    """Import the interface that a reference names.

    Returns:
        The interface object, or None where it cannot be had any more, for whatever reason: that
        a cache names it is no reason for an application to fail.
    """
    if not _may_define_interfaces(reference.module):
        return None
    try:
        __import__(reference.module)
        found: Any = sys.modules[reference.module]
        for part in reference.name.split("."):
            found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a module's code may raise anything, SystemExit too
        return None
    return found if isinstance(found, InterfaceClass) else None


def offers(plugin: CachedPlugin, interface: Any) -> bool:
    """Decide whether a plugin has to be loaded because it may provide `interface`, or adapt to it.

    For entries that this project wrote nothing is imported. Those of Twisted do not tell which
    interfaces are inherited. Where what they name does not settle it, the modules of the named
    interfaces are imported, as Twisted does; where these are not to be had any more, the plugin's.
    """
    if "provided" in vars(plugin):
        return _offered_by(plugin.provided, interface)
    names = plugin.interfaces
    if names is None:
        return _offered_by_twisted(plugin, interface)
    if interface.__identifier__ in names:
        return True
    loaded, hidden = _already_loaded(names)
    # An interface that its module knows by another name is inherited all the same. From one that
    # its module does not know there may be adapters.
    return _offered_by(loaded, interface) or bool(hidden and adapter_hooks)


def _offered_by_twisted(plugin: CachedPlugin, interface: Any) -> bool:
    direct = [_loaded(module, name) for module, name in plugin.references]
    if _offered_by([each for each in direct if each is not None], interface):
        return True
    if None not in direct:
        return False
    direct = [resolve(reference) for reference in plugin.references]
    if None in direct:
        # Twisted could not read this cache, and would import all drop-ins. This one has to tell
        # itself, once: if it cannot be loaded, it provides nothing.
        plugin.provided = []
        plugin.provided = list(providedBy(plugin.load()))
        direct = plugin.provided
    return _offered_by(direct, interface)


def _may_define_interfaces(module: str) -> bool:
    """Tell whether a module is one to import for an interface that a cache says is in it."""
    if module.rpartition(".")[2] == "__main__":
        return False  # a program, which importing it would run
    # The standard library has no interfaces, and modules that open a browser or print a poem. A
    # module of the same name elsewhere is the plugin's to import.
    place = os.path.dirname(getattr(os, "__file__", "/"))  # frozen into a program, it has no file
    standard = os.path.join(place, module.partition(".")[0])
    return not any(map(os.path.lexists, (standard, f"{standard}.py", f"{standard}.pyc")))


def _loaded(module_name: str, name: str) -> Any | None:
    """Return the interface `name` of a module that is already loaded, else None."""
    found: Any = sys.modules.get(module_name)
    # Through dictionaries, because a module-level __getattr__ may import things.
    for part in name.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, InterfaceClass) else None


def _already_loaded(dotted_names: Iterable[str]) -> tuple[list[Any], bool]:
    """Return those of the named interfaces whose modules are loaded, and whether any is hidden.

    They are all that matter: whoever holds an interface, or registered an adapter from it, has
    loaded its module. Hidden is what its module does not have under its name.
    """
    loaded, hidden = [], False
    for dotted in dotted_names:
        module, _, name = dotted.rpartition(".")
        if module in sys.modules:
            interface = _loaded(module, name)
            if interface is None:
                hidden = True
            else:
                loaded.append(interface)
    return loaded, hidden


def _offered_by(provided: list[Any], interface: Any) -> bool:
    """Decide from interface objects, as Twisted's CachedPlugin does."""
    for candidate in provided:
        if candidate.isOrExtends(interface):
            return True
    # Without hooks there are no adapters.
    return bool(adapter_hooks) and _has_adapter(provided, interface)


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
