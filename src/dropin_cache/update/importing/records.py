"""What a child has told, as plain values; `answers` makes them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint, InterfaceName


class Failure(NamedTuple):
    """An import failed.

    Attributes:
        error: The exception, in one line.
        traceback: The end of its traceback.
    """

    error: str
    traceback: str = ""


class Start(NamedTuple):
    """What an interpreter is.

    Attributes:
        version: Major and minor version number.
        zope: Whether it has zope.interface.
        path: Its `sys.path`.
        files: What everything that it loads at its start has been loaded from.
        packages: Plugin packages that installed distributions declare, dotted names.
    """

    version: tuple[int, int]
    zope: bool
    path: tuple[str, ...]
    files: tuple[str, ...]
    packages: tuple[str, ...]


class Module(NamedTuple):
    """A module that something was imported from, or was looked for.

    Attributes:
        file: What it was loaded from; None if it has no file; `MISSING` if it is not there.
        imports: Dotted names of the modules it imports.
    """

    file: str | Literal[False] | None
    imports: tuple[str, ...]


class Plugin(NamedTuple):
    """One plugin of a drop-in; the fields are those of `CachedPlugin`."""

    name: str
    description: str | None
    references: tuple[InterfaceName, ...]
    interfaces: tuple[str, ...]


class Description(NamedTuple):
    """What a drop-in consists of.

    Attributes:
        description: The module's docstring, or None.
        plugins: Its plugins, in the order of definition.
        warnings: Lines about what had to be left out.
    """

    description: str | None
    plugins: tuple[Plugin, ...]
    warnings: tuple[str, ...]

    def entry(self, module: str, fingerprint: Fingerprint) -> CachedDropin:
        """Return the cache's entry for the drop-in `module`."""
        entry = CachedDropin(module, self.description)
        entry.fingerprint = fingerprint
        for each in self.plugins:
            CachedPlugin.from_references(entry, *each)
        return entry
