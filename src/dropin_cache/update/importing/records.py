"""What a child has told, as plain values; `answers` makes them."""

from __future__ import annotations

from typing import NamedTuple, Union

from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint, InterfaceName
from dropin_cache.update.state.observations import Observed


class Failure(NamedTuple):
    """An import failed.

    Attributes:
        error: The exception, in one line.
        traceback: The end of its traceback, or of what was printed.
        passing: Whether it may have reasons of the moment (time, memory, processes, signals, a full
            disk), so that nothing follows from it for the next time.
    """

    error: str
    traceback: str = ""
    passing: bool = False


class Plugin(NamedTuple):
    """One plugin of a plugin module; the fields are those of `CachedPlugin`."""

    name: str
    description: str | None
    references: tuple[InterfaceName, ...]
    interfaces: tuple[str, ...]


class Description(NamedTuple):
    """What a plugin module consists of.

    Attributes:
        description: The module's docstring, or None.
        plugins: Its plugins, in the order of definition.
        warnings: Lines about what had to be left out.
    """

    description: str | None
    plugins: tuple[Plugin, ...]
    warnings: tuple[str, ...]

    def entry(self, module: str, fingerprint: Fingerprint) -> CachedDropin:
        """Return the cache's entry for the plugin module `module`."""
        entry = CachedDropin(module, self.description)
        entry.fingerprint = fingerprint
        for each in self.plugins:
            CachedPlugin.from_references(entry, *each)
        return entry


Outcome = Union[Description, Failure]


class Job(NamedTuple):
    """The plugin modules of one owner, to be imported together.

    Attributes:
        interpreter: The key of the interpreter.
        package: Dotted name of the plugin package.
        owner: Whose they are; empty where owners are not kept apart.
        modules: Their dotted names, sorted.
    """

    interpreter: str
    package: str
    owner: str
    modules: tuple[str, ...]


class Imported(NamedTuple):
    """What became of a job.

    Attributes:
        outcomes: What each module is, or why it failed, by dotted name.
        observed: What was looked at.
    """

    outcomes: dict[str, Outcome]
    observed: Observed
