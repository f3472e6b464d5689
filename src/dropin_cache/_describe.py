"""Describe the plugins of an imported module in plain records.

The library uses this for drop-ins that it imports itself. The writer hands it, as source, to a
child whose interpreter may have nothing but zope.interface (see `update/payload/program.py`);
therefore it imports nothing else outside the standard library.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType
    from typing import Any, Callable

MAX_LINE = 500
"""Characters in a line of a report."""


def find_plugins(
    module: ModuleType,
    warn: Callable[[str], object],
    passed_on: type[BaseException] | tuple[()] = (),
) -> Iterator[tuple[str, str | None, list[Any]]]:
    """Find the plugins that a module defines.

    As in Twisted, an object counts if it provides the marker interface or adapts to it; the marker
    is ours, or Twisted's where something imported Twisted. What the module imports lazily (PEP 810)
    is imported now: whoever asks the module for it gets the object.

    Args:
        module: An imported drop-in.
        warn: Called with a line of text for each object that does not let itself be looked at.
        passed_on: What is no error of an object's, and raised.

    Yields:
        Name, docstring or None, and the list of interface objects provided, in the order of the
        module's dictionary.
    """
    # Late, because the child reports where zope.interface is missing.
    import types  # noqa: PLC0415

    from zope.interface import providedBy  # noqa: PLC0415
    from zope.interface.interface import InterfaceClass  # noqa: PLC0415

    markers = loaded_markers()
    lazy = getattr(types, "LazyImportType", None)  # Python 3.15
    for name, value in list(vars(module).items()):
        if not isinstance(name, str):  # globals() is an ordinary dictionary
            continue  # type: ignore[unreachable]
        try:
            if type(value) is lazy:
                value = value.resolve()  # noqa: PLW2901 - it stands for that
            plugin = _as_plugin(value, markers)
            if plugin is None:
                continue
            description = docstring(value.__doc__)
            provided = list(providedBy(plugin))
            if not all(isinstance(each, InterfaceClass) for each in provided):
                raise TypeError("provides something that is no interface")  # noqa: TRY301
        except passed_on:
            raise
        except BaseException as error:  # noqa: BLE001 - one bad object must not hide the others
            warn(f"{module.__name__}.{name} left out: {one_line(error)}")
            continue
        yield name, description, provided


def references_to(
    interfaces: Iterable[Any], plugin: str, warn: Callable[[str], object]
) -> list[tuple[str, str]]:
    """Return module and name under which interfaces can be found again.

    One that is an attribute of a class is found by its qualified name. One that cannot be found, a
    local class or one whose name is bound to something else, is left out. What it extends takes its
    place, so that Twisted still finds the plugin by that.

    Args:
        interfaces: Interface objects.
        plugin: Dotted name of the plugin that provides them.
        warn: Called with a line of text for each that is left out.
    """
    references: list[tuple[str, str]] = []
    for interface in interfaces:
        module, name = interface.__module__, interface.__name__
        qualified = _qualified_name(sys.modules.get(module), interface)
        if qualified is not None:
            references.append((str(module), qualified))
        else:
            warn(f"{plugin}: interface {name} left out: {module} has no such name, or another one")
            bases = [base for base in interface.__bases__ if base.__bases__]  # all but Interface
            references += references_to(bases, plugin, warn)
    return list(dict.fromkeys(references))


def names_of(interfaces: list[Any]) -> list[str]:
    """Return the dotted names of interfaces and of all they inherit from, sorted."""
    return sorted(
        {
            f"{inherited.__module__}.{inherited.__name__}"
            for interface in interfaces
            for inherited in interface.__iro__
        }
    )


def docstring(value: object) -> str | None:
    """Return a docstring as a plain string, and None for anything that is no string.

    Indentation common to all lines but the first is removed, as the compiler does from Python 3.13,
    so that the same source has the same description everywhere.
    """
    if not isinstance(value, str):
        return None
    first, *others = str.__str__(value).expandtabs().split("\n")
    margin = min((_indentation(line) for line in others if line.strip(" ")), default=0)
    return "\n".join(
        [first.lstrip(" "), *(line[min(margin, _indentation(line)) :] for line in others)]
    )


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def describe(module: ModuleType) -> dict[str, Any]:
    """Return the record of an imported drop-in, as the protocol has it."""
    warnings: list[str] = []
    plugins = []
    for name, description, provided in find_plugins(module, warnings.append):
        plugins.append(
            {
                "name": name,
                "description": description,
                "provided": references_to(provided, f"{module.__name__}.{name}", warnings.append),
                "interfaces": names_of(provided),
            }
        )
    return {
        "description": docstring(module.__doc__),
        "warnings": [warning[:MAX_LINE] for warning in warnings],
        "plugins": plugins,
    }


def loaded_markers() -> list[Any]:
    """Return the marker interfaces that can be in use: those whose modules are loaded."""
    modules = (sys.modules.get("dropin_cache"), sys.modules.get("twisted.plugin"))
    markers = (getattr(module, "IPlugin", None) for module in modules)
    return [marker for marker in markers if marker is not None]


def _as_plugin(value: Any, markers: list[Any]) -> Any | None:
    for marker in markers:
        plugin = marker(value, None)
        # Whatever conforms to everything, such as a mock object, provides nothing.
        if plugin is not None and marker.providedBy(plugin):
            return plugin
    return None


def one_line(error: BaseException) -> str:
    """Return an exception's type and message in one line, whatever its methods do."""
    try:
        message = " ".join(str(error).split())
    except BaseException:  # noqa: BLE001 - it may raise anything, too
        message = ""
    name = type(error).__name__
    return (f"{name}: {message}" if message else name)[:MAX_LINE]


def attribute(module: object, qualified_name: str) -> Any:
    """Return what a module has under a name, None if there is nothing; as pickle looks for it."""
    found = module
    try:
        for part in qualified_name.split("."):
            found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a module-level __getattr__ may raise anything
        return None
    return found


def _qualified_name(module: object, interface: Any) -> str | None:
    """Return the name of an interface in its module: its own, or that in a class in the module."""
    name = interface.__name__
    if attribute(module, name) is interface:
        return str(name)
    seen: set[int] = set()
    places = [("", module)]
    for path, place in places:  # which grows meanwhile
        for key, value in list(getattr(place, "__dict__", {}).items()):
            if value is interface and place is not module:
                return f"{path}{key}"
            inside = isinstance(value, type) and value.__module__ == interface.__module__
            if inside and id(value) not in seen and str(key).isidentifier():
                seen.add(id(value))
                places.append((f"{path}{key}.", value))
    return None
