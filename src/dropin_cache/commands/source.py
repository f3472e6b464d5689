"""Why a plugin module has no plugins, or not that one, as far as its text shows it.

The text is only searched, in time linear in its length: nothing is executed, compiled or parsed.
"""

from __future__ import annotations

import contextlib
import os
import re

from dropin_cache._scan import Dropin
from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.reading import read
from dropin_cache.update.files.trusted import Files

_MAX_SIZE = 1 << 20  # bytes of a module that are searched
_MARKER = "IPlugin"
_NEEDED = "IPlugin, which makes a plugin of an object"
# With any number of decorators, a file of nothing else would take time by the square of its length.
_CLASS = re.compile(
    r"^@(?:\w+\.)*implementer\(([^()]*)\)[^\n]*\n(?:@[^\n]*\n){0,9}class[ \t]+(\w+)", re.MULTILINE
)
_OBJECT = re.compile(r"^(\w+)[ \t]*(?::[^=\n]*)?=[ \t]*(?:\w+\.)*(\w+)[ \t]*\(", re.MULTILINE)
_NAME = re.compile(
    r"^(?:async[ \t]+)?(?:class|def)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]*)?=(?!=)", re.MULTILINE
)


def text_of(file: Dropin | None, root: str | None) -> str:
    """Return the source of a module, nothing if there is none to be had.

    Args:
        file: Its file.
        root: The directory of the image that it is in, which nothing leads out of.
    """
    if file is None or not file.path.endswith(".py"):
        return ""
    prefix = "" if root is None else os.path.abspath(root).rstrip("/")
    with contextlib.suppress(OSError, UntrustedError), Files(enforced=False, root=root) as files:
        return read(files.file(file.path[len(prefix) :]), _MAX_SIZE).decode(errors="replace")
    return ""


def why_no_plugin(text: str, plugin: str | None = None) -> str | None:
    """Say why importing a module has found no plugin in it.

    Args:
        text: The module's source.
        plugin: The name of the plugin that is missed; None if there is no plugin at all.

    Returns:
        The reason; None if the module has nothing of that name.
    """
    classes = {match[2]: _names(match[1]) for match in _CLASS.finditer(text)}
    objects = {match[1]: match[2] for match in _OBJECT.finditer(text)}
    made = {
        name: name_of_class for name, name_of_class in objects.items() if name_of_class in classes
    }
    for name in [*classes] if plugin is None else {plugin} & classes.keys():
        if name not in objects.values():
            object_name = name.lower() if name.lower() != name else f"{name}_object"
            return (
                f"{name} is a class, and the module has no object of it: "
                f"{object_name} = {name}(...) at its top level would be one"
            )
    if plugin in classes:
        found = next(name for name, of_class in made.items() if of_class == plugin)
        return f"{plugin} is a class; {found} is the object of it, and the plugin"
    for name in [*made] if plugin is None else {plugin} & made.keys():
        interfaces = classes[made[name]]
        if _MARKER not in interfaces:
            return f"{name} provides {', '.join(interfaces) or 'nothing'}, and not {_NEEDED}"
    if plugin is None:
        return f"nothing at the top level of the module provides {_NEEDED}"
    if any(plugin in match.groups() for match in _NAME.finditer(text)):
        return f"{plugin} does not provide {_NEEDED}"
    return None


def _names(arguments: str) -> list[str]:
    """Return the last components of the names in a list of arguments."""
    return [each.strip().rpartition(".")[2] for each in arguments.split(",") if each.strip()]
