"""What can go wrong, as exceptions that carry the facts; advice for people is in `cli`."""

from __future__ import annotations

import os
from errno import ENOENT


class DropinCacheError(Exception):
    """Root of all errors of this package.

    Attributes:
        exit_code: The status with which a command ends because of it.
    """

    exit_code = 5


class PackageNotFoundError(DropinCacheError):
    """A plugin package that was asked for is not installed.

    Attributes:
        package: Its dotted name.
        python: The interpreter that looked for it.
    """

    exit_code = 2

    def __init__(self, package: str, python: str) -> None:
        """Keep the facts."""
        super().__init__(f"no plugin package {package} for {python}")
        self.package = package
        self.python = python


class PackageBrokenError(DropinCacheError):
    """A plugin package itself cannot be imported.

    Attributes:
        package: Its dotted name.
        reason: The exception, in one line.
        traceback: The end of its traceback.
    """

    def __init__(self, package: str, reason: str, traceback: str) -> None:
        """Keep the facts."""
        super().__init__(f"plugin package {package} cannot be imported: {reason}")
        self.package = package
        self.reason = reason
        self.traceback = traceback


class InterpreterError(DropinCacheError):
    """An interpreter cannot be used.

    Attributes:
        python: Its path, as given.
        reason: Why not, in one line.
    """

    exit_code = 2

    def __init__(self, python: str, reason: str) -> None:
        """Keep the facts."""
        super().__init__(f"cannot use the interpreter {python}: {reason}")
        self.python = python
        self.reason = reason


class ZopeInterfaceMissingError(DropinCacheError):
    """An interpreter has no zope.interface, so nothing it runs can have plugins.

    Attributes:
        python: Its path, as given.
    """

    def __init__(self, python: str) -> None:
        """Keep the facts."""
        super().__init__(f"{python} has no zope.interface")
        self.python = python


class ImportRootError(DropinCacheError):
    """A directory given as an import root is none.

    Attributes:
        path: The path, as given.
        reason: Why not, in words.
    """

    exit_code = 2

    def __init__(self, path: str, reason: str) -> None:
        """Keep the facts."""
        super().__init__(f"cannot import from {path}: {reason}")
        self.path = path
        self.reason = reason


class UnknownNameError(DropinCacheError):
    """There is no drop-in, plugin, directory or cache of a name.

    Attributes:
        name: The dotted name, or the path.
    """

    exit_code = 2

    def __init__(self, name: str) -> None:
        """Keep the fact."""
        super().__init__(f"no drop-in, plugin package or cache is known as {name}")
        self.name = name


class NotWrittenError(DropinCacheError):
    """A cache could not be written or removed; it is what it was, unless the reason says otherwise.

    Attributes:
        path: The cache file.
        errno: The system's error number.
        reason: What it means, in words.
    """

    def __init__(self, path: str, errno: int, reason: str = "") -> None:
        """Keep the facts; the reason defaults to the system's words for the number."""
        self.path = path
        self.errno = errno
        self.reason = reason or os.strerror(errno)
        super().__init__(f"cannot write {path}: {self.reason}")


class LockTimeoutError(DropinCacheError):
    """Somebody else held the lock of a cache for too long.

    Attributes:
        path: The cache file.
        timeout: How long this process waited, seconds.
    """

    def __init__(self, path: str, timeout: float) -> None:
        """Keep the facts."""
        super().__init__(f"another process is writing {path}, for {timeout:g} s by now")
        self.path = path
        self.timeout = timeout


class UnstableError(DropinCacheError):
    """A plugin directory kept changing while it was being read.

    Attributes:
        path: The directory.
    """

    def __init__(self, path: str) -> None:
        """Keep the facts."""
        super().__init__(f"{path} kept changing while it was being read")
        self.path = path


class UnreadableError(DropinCacheError):
    """The system fails at looking at something, so that nothing is known of it.

    Attributes:
        path: The directory or file that could not be looked at.
        errno: The system's error number.
    """

    def __init__(self, path: str, errno: int) -> None:
        """Keep the facts."""
        super().__init__(f"cannot look at {path}: {os.strerror(errno)}")
        self.path = path
        self.errno = errno


class UntrustedError(DropinCacheError):
    """A privileged process would have to rely on something that others can change.

    Attributes:
        path: What was to be opened.
        component: The directory, link or file on the way that cannot be relied on.
        problem: What is wrong with it, in words.
    """

    exit_code = 4

    def __init__(self, path: str, component: str, problem: str) -> None:
        """Keep the facts."""
        super().__init__(f"refused {path}: {component} {problem}")
        self.path = path
        self.component = component
        self.problem = problem


class ConfigurationError(DropinCacheError):
    """A configuration file cannot be understood.

    Attributes:
        path: The file.
        line: The number of the line, from 1; 0 for the file as a whole.
        reason: What is wrong with it, in words.
    """

    exit_code = 2

    def __init__(self, path: str, line: int, reason: str) -> None:
        """Keep the facts."""
        super().__init__(f"{path}:{line}: {reason}" if line else f"{path}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason


class NoSandboxError(DropinCacheError):
    """Drop-ins cannot be imported safely here.

    Attributes:
        reasons: Why not, by tier: pairs of its name and a line of text.
    """

    def __init__(self, reasons: tuple[tuple[str, str], ...]) -> None:
        """Keep the facts."""
        told = "; ".join(f"{tier}: {reason}" for tier, reason in reasons)
        super().__init__(f"no sandbox to import drop-ins in: {told}")
        self.reasons = reasons


class NoProcError(DropinCacheError):
    """There is no /proc, without which a privileged process cannot tell what it has opened."""

    def __init__(self) -> None:
        """There is nothing to keep."""
        super().__init__("/proc is not mounted, so nothing was looked at")


class ConfinementError(DropinCacheError):
    """A child found that its sandbox does not hold, and imported nothing.

    Attributes:
        tier: The sandbox.
        promises: What it found, in words.
    """

    def __init__(self, tier: str, promises: tuple[str, ...]) -> None:
        """Keep the facts."""
        super().__init__(f"the sandbox does not hold ({tier}): {'; '.join(promises)}")
        self.tier = tier
        self.promises = promises


class CommandError(DropinCacheError):
    """A command that is to be run cannot be started.

    Attributes:
        command: Its name.
        errno: The system's error number.
    """

    def __init__(self, command: str, errno: int) -> None:
        """Keep the facts."""
        super().__init__(f"cannot run {command}: {os.strerror(errno)}")
        self.command = command
        self.errno = errno
        # As shells and env(1) have it.
        self.exit_code = 127 if errno == ENOENT else 126
