"""What can go wrong, as exceptions that carry the facts; advice for people is in `commands`."""

from __future__ import annotations

import os
from errno import ENOENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, ClassVar

    from typing_extensions import dataclass_transform
else:

    def dataclass_transform() -> Callable[[type], type]:
        """Return a decorator that does nothing; it tells type checkers the constructors."""
        return lambda decorated: decorated


EXIT_SIGNAL = 128
"""Added to a signal's number, the exit status of what it has ended: as shells have it."""


@dataclass_transform()
class DropinCacheError(Exception):
    """Root of all errors of this package.

    A class below this one annotates what its errors carry. These are the arguments of its
    constructor, by position, and what `message` is formatted with. As they are also `args`, an
    error can be copied and pickled.

    Attributes:
        exit_code: The status with which a command ends because of it.
        message: The text in one line, as `str.format` takes it.
    """

    exit_code = 5
    message = ""
    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Note what the errors carry."""
        annotated = getattr(cls, "__annotations__", ())  # up to Python 3.9 those of the base
        cls._fields = tuple(name for name in annotated if name != "_fields")

    def __init__(self, *values: object) -> None:
        """Take the facts, in the order of their annotations."""
        super().__init__(*values)
        vars(self).update(zip(self._fields, values))
        self._complete()

    def __str__(self) -> str:
        """Return the message."""
        return self.message.format(**self._words()) if self.message else super().__str__()

    def _complete(self) -> None:
        """Fill in what follows from the rest."""

    def _words(self) -> dict[str, Any]:
        """Return what the message is formatted with: the facts, and what they are called."""
        words = dict(vars(self))
        if "errno" in words:
            words["strerror"] = os.strerror(words["errno"])
        return words


class PackageNotFoundError(DropinCacheError):
    """A plugin package that was asked for is not installed.

    Attributes:
        package: Its dotted name.
        python: The interpreter that looked for it.
        known: Plugin packages that there are.
    """

    package: str
    python: str
    known: tuple[str, ...] = ()
    exit_code = 2
    message = "no plugin package {package} for {python}"


class NotAPluginPackageError(DropinCacheError):
    """What was named as a plugin package is another kind of package.

    Attributes:
        package: Its dotted name.
        reason: What it is instead, in words.
        meant: The plugin package that was meant, or None if there is none.
    """

    package: str
    reason: str
    meant: str | None
    exit_code = 2
    message = "{package} is no plugin package: {reason}"


class PackageBrokenError(DropinCacheError):
    """A plugin package itself cannot be imported.

    Attributes:
        package: Its dotted name.
        reason: The exception, in one line.
        traceback: The end of its traceback.
        hidden: Whether that is so because the sandbox does not show something.
    """

    package: str
    reason: str
    traceback: str
    hidden: bool = False
    message = "plugin package {package} cannot be imported: {reason}"


class InterpreterError(DropinCacheError):
    """An interpreter cannot be used.

    Attributes:
        python: Its path, as given.
        reason: Why not, in one line.
    """

    python: str
    reason: str
    exit_code = 2
    message = "cannot use the interpreter {python}: {reason}"


class ForeignInterpreterError(InterpreterError):
    """An interpreter is for another kind of machine, and nothing here runs such programs.

    Attributes:
        python: Its path, as given.
        reason: Which kind of machine.
    """

    python: str
    reason: str
    exit_code = 5
    message = "cannot run the interpreter {python}: it is for another kind of machine, {reason}"


class ZopeInterfaceMissingError(DropinCacheError):
    """An interpreter has no zope.interface, so nothing it runs can have plugins.

    Attributes:
        python: Its path, as given.
        path: What it imports from, as far as that is known.
    """

    python: str
    path: tuple[str, ...] = ()
    message = "{python} has no zope.interface"


class DirectoryError(DropinCacheError):
    """A directory that was given to import from, or to work in, is none.

    Attributes:
        path: The path, as given.
        reason: Why not, in words.
    """

    path: str
    reason: str
    exit_code = 2
    message = "cannot use the directory {path}: {reason}"


class UnknownNameError(DropinCacheError):
    """There is no plugin module, plugin, directory or cache of a name.

    Attributes:
        name: The dotted name, or the path.
        known: Names that mean something.
    """

    name: str
    known: tuple[str, ...] = ()
    exit_code = 2
    message = "no plugin module, plugin package or cache is known as {name}"


class UnknownInterfaceError(DropinCacheError):
    """No plugin in any cache provides an interface.

    Attributes:
        interface: Its dotted name.
        known: Dotted names of interfaces that plugins provide.
    """

    interface: str
    known: tuple[str, ...] = ()
    exit_code = 2
    message = "no plugin in any cache provides {interface}"


class NotWrittenError(DropinCacheError):
    """A cache could not be written or removed; it is what it was, unless the reason says otherwise.

    Attributes:
        path: The cache file.
        errno: The system's error number.
        reason: What it means; if not given, the system's words for the number.
        obstacle: What is in the way, where more is known: LOCKS, or ATTRIBUTE and the path of what
            has one.
    """

    LOCKS = "locks"  # there is no place for one
    ATTRIBUTE = "attribute "  # of those that chattr(1) sets

    path: str
    errno: int
    reason: str = ""
    obstacle: str = ""
    message = "cannot write {path}: {reason}"

    def _complete(self) -> None:
        self.reason = self.reason or os.strerror(self.errno)


class LockTimeoutError(DropinCacheError):
    """Another process held the lock of a cache for too long.

    Attributes:
        path: The cache file.
        timeout: How long this process waited, seconds.
    """

    path: str
    timeout: float
    message = "another process is writing {path}{told}"

    def _words(self) -> dict[str, Any]:
        told = f", for {self.timeout:g} s by now" if self.timeout else ""
        return {**super()._words(), "told": told}


class UnstableError(DropinCacheError):
    """A plugin directory kept changing while it was being read.

    Attributes:
        path: The directory.
    """

    path: str
    message = "{path} kept changing while it was being read"


class UnreadableError(DropinCacheError):
    """The system fails at looking at something, so that nothing is known of it.

    Attributes:
        path: The directory or file that could not be looked at.
        errno: The system's error number.
    """

    path: str
    errno: int
    message = "cannot look at {path}: {strerror}"


class UntrustedError(DropinCacheError):
    """A privileged process would have to rely on something that others can change.

    Attributes:
        path: What was to be opened.
        component: The directory, link or file on the way that cannot be relied on.
        problem: What is wrong with it, in words.
    """

    path: str
    component: str
    problem: str
    exit_code = 4
    message = "refused {path}: {component} {problem}"


class ForeignDirectoryError(UntrustedError):
    """A plugin package has put a directory on its path that is not its own, and may be anybody's.

    Attributes:
        path: The directory.
        component: The same.
        problem: Whose it is not, in words.
    """

    path: str
    component: str
    problem: str


class ConfigurationError(DropinCacheError):
    """A configuration file cannot be understood.

    Attributes:
        path: The file.
        line: The number of the line, from 1; 0 for the file as a whole.
        reason: What is wrong with it, in words.
    """

    path: str
    line: int
    reason: str
    exit_code = 2
    message = "{place}: {reason}"

    def _words(self) -> dict[str, Any]:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return {**super()._words(), "place": place}


class NoSandboxError(DropinCacheError):
    """Plugin modules cannot be imported safely here.

    Attributes:
        reasons: Why not, by tier: pairs of its name and a line of text.
    """

    reasons: tuple[tuple[str, str], ...]
    message = "no sandbox to import plugin modules in: {told}"

    def _words(self) -> dict[str, Any]:
        return {"told": "; ".join(f"{tier}: {reason}" for tier, reason in self.reasons)}


class NoProcError(DropinCacheError):
    """There is no /proc, without which a privileged process cannot tell what it has opened."""

    message = "/proc is not mounted, so nothing was looked at"


class ConfinementError(DropinCacheError):
    """A child found that its sandbox does not hold, and imported nothing.

    Attributes:
        tier: The sandbox.
        promises: What it found, in words.
    """

    tier: str
    promises: tuple[str, ...]
    message = "the sandbox does not hold ({tier}): {told}"

    def _words(self) -> dict[str, Any]:
        return {**super()._words(), "told": "; ".join(self.promises)}


class CommandError(DropinCacheError):
    """A command that is to be run cannot be started.

    Attributes:
        command: Its name.
        errno: The system's error number.
    """

    command: str
    errno: int
    message = "cannot run {command}: {strerror}"

    def _complete(self) -> None:
        # As shells and env(1) have it.
        self.exit_code = 127 if self.errno == ENOENT else 126
