"""Describe the plugins of an imported module in plain records, and do so in a child process.

The library calls `find_plugins` and `reference_to` on modules that it imports itself. The writer
runs this file as a program of its own, in a child whose interpreter may have nothing but
zope.interface; therefore it imports nothing else outside the standard library.

Protocol of the child
    Requests come on standard input, answers go to the descriptor given as the only argument; both
    are lines of ASCII JSON, one answer for each request, in order. Descriptors 0, 1 and 2 of the
    code it imports are the null device for input and whatever it was started with for output, so
    nothing that code prints can get among the answers.

    {"do": "start", "path": [DIR...]}
        Put the directories in front of sys.path.
        -> {"version": [3, 11], "zope": true, "path": [DIR...]}   (sys.path as it is then)
    {"do": "package", "name": NAME}
        Import a plugin package.
        -> {"found": [DIR...]}       its __path__
        -> {"found": null}           not installed: neither it nor a package above it
        -> {"error": LINE, "traceback": TEXT}
    {"do": "module", "name": NAME}
        Import a drop-in.
        -> {"description": TEXT or null, "warnings": [LINE...],
            "plugins": [{"name": TEXT, "description": TEXT or null,
                         "provided": [[MODULE, NAME]...], "interfaces": [DOTTED...]}...]}
        -> {"error": LINE, "traceback": TEXT}

    The child exits with status 0 when its standard input ends. A line of error is at most 500
    characters, a traceback 4,000. A module that forks is an error; its offspring is ended where
    it would have come back from the import.
"""

from __future__ import annotations

import importlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType
    from typing import Any, Callable, NoReturn

_MAX_LINE = 500
_MAX_TRACEBACK = 4000


def find_plugins(
    module: ModuleType, warn: Callable[[str], object]
) -> Iterator[tuple[str, str | None, list[Any]]]:
    """Find the plugins that a module defines.

    As in Twisted, an object counts if it provides the marker interface or adapts to it; the marker
    is ours, or Twisted's where something imported Twisted.

    Args:
        module: An imported drop-in.
        warn: Called with a line of text for each object that does not let itself be looked at.

    Yields:
        Name, docstring or None, and the list of interface objects provided, in the order of the
        module's dictionary.
    """
    # Late, because the child reports where zope.interface is missing.
    from zope.interface import providedBy  # noqa: PLC0415
    from zope.interface.interface import InterfaceClass  # noqa: PLC0415

    markers = _markers()
    for name, value in list(vars(module).items()):
        if not isinstance(name, str):  # globals() is an ordinary dictionary
            continue  # type: ignore[unreachable]
        try:
            plugin = _as_plugin(value, markers)
            if plugin is None:
                continue
            description = docstring(value.__doc__)
            provided = list(providedBy(plugin))
            if not all(isinstance(each, InterfaceClass) for each in provided):
                raise TypeError("provides something that is no interface")  # noqa: TRY301
        except BaseException as error:  # noqa: BLE001 - one bad object must not hide the others
            warn(f"{module.__name__}.{name} left out: {one_line(error)}")
            continue
        yield name, description, provided


def references_to(
    interfaces: Iterable[Any], plugin: str, warn: Callable[[str], object]
) -> list[tuple[str, str]]:
    """Return module and name under which interfaces can be found again.

    One that cannot be found, a local class or one whose name is bound to something else, is left
    out. What it extends takes its place, so that the plugin is still found by that.

    Args:
        interfaces: Interface objects.
        plugin: Dotted name of the plugin that provides them.
        warn: Called with a line of text for each that is left out.
    """
    references: list[tuple[str, str]] = []
    for interface in interfaces:
        module, name = interface.__module__, interface.__name__
        if _attribute(sys.modules.get(module), name) is interface:
            references.append((str(module), str(name)))
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
        "warnings": [warning[:_MAX_LINE] for warning in warnings],
        "plugins": plugins,
    }


def _markers() -> list[Any]:
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
    return (f"{name}: {message}" if message else name)[:_MAX_LINE]


def _attribute(module: object, name: str) -> Any:
    try:
        return getattr(module, name, None)
    except BaseException:  # noqa: BLE001 - a module-level __getattr__ may raise anything
        return None


def _failure(error: BaseException) -> dict[str, Any]:
    import traceback  # noqa: PLC0415 - a reader that finds all well never needs it

    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
    except BaseException:  # noqa: BLE001 - the error's own methods are called for it
        lines = []
    return {"error": one_line(error), "traceback": "".join(lines)[-_MAX_TRACEBACK:]}


class _Child:
    """Answers requests, one after the other."""

    def __init__(self) -> None:
        self.forked = False
        self.pid = os.getpid()
        os.register_at_fork(before=self._note_fork)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return getattr(self, "do_" + request["do"])(request)  # type: ignore[no-any-return]
        except BaseException as error:  # noqa: BLE001 - a drop-in may raise anything
            return _failure(error)

    def do_start(self, request: dict[str, Any]) -> dict[str, Any]:
        # Without -I, the first entry is '' for the working directory: nothing to import from.
        sys.path[:] = request["path"] + [entry for entry in sys.path if entry]
        try:
            import zope.interface  # noqa: PLC0415 - whether it is there is the answer
        except ImportError:
            zope = False
        else:
            zope = True
        path = [entry for entry in sys.path if isinstance(entry, str)]
        return {"version": list(sys.version_info[:2]), "zope": zope, "path": path}

    def do_package(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["name"]
        try:
            package = importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Only the package itself, or one above it; what they import in vain is an error.
            if error.name is not None and (name + ".").startswith(error.name + "."):
                return {"found": None}
            raise
        return {"found": [entry for entry in package.__path__ if isinstance(entry, str)]}

    def do_module(self, request: dict[str, Any]) -> dict[str, Any]:
        self.forked = False
        try:
            record = describe(importlib.import_module(request["name"]))
        finally:
            if os.getpid() != self.pid:
                os._exit(1)
        if self.forked:
            return {"error": "it forks when it is imported", "traceback": ""}
        return record

    def _note_fork(self) -> None:
        self.forked = True


def serve(requests: int, answers: int) -> None:
    """Answer requests until there are no more.

    Args:
        requests: Descriptor to read from.
        answers: Descriptor to write to.
    """
    import json  # noqa: PLC0415 - the library uses the rest of this module, and not this

    # Bound before any drop-in can replace them.
    write, encode = os.write, json.JSONEncoder().encode
    child = _Child()
    with open(requests, encoding="ascii") as lines:
        for line in lines:
            answer = memoryview(encode(child.answer(json.loads(line))).encode("ascii") + b"\n")
            while answer:
                answer = answer[write(answers, answer) :]


def main() -> NoReturn:
    """Run as the child: keep the requests from the drop-ins, serve, and leave without clean-up."""
    requests = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    serve(requests, int(sys.argv[1]))
    # Threads and exit handlers of drop-ins have no say in when this ends.
    os._exit(0)


if __name__ == "__main__":
    main()
