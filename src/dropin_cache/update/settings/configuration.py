"""The configuration: one main file, and a directory of plugin packages in two places.

dropin-cache.conf(5) is the reference. A file with a mistake counts for nothing, as a whole: half of
what an administrator meant may be less safe than none of it.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterable, Iterator
from typing import Callable, NamedTuple, TypeVar

from dropin_cache.errors import ConfigurationError, DropinCacheError
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.settings import groups, syntax
from dropin_cache.update.settings.syntax import Line

MAIN_FILE = "/etc/dropin-cache/dropin-cache.conf"
PACKAGE_DIRECTORIES = (
    "/usr/lib/dropin-cache/packages.d",
    "/etc/dropin-cache/packages.d",  # masks the other by file name
)

_MAX_NUMBER = 1 << 20  # of whatever unit: what is multiplied must still suit setrlimit(2)
_TIERS = {
    "auto": ("namespace", "landlock"),
    "namespace": ("namespace",),
    "landlock": ("landlock",),
    "user": ("user",),
}
_KEYS = frozenset(
    {
        "interpreters",
        "plugin-directories",
        "triggers",
        "trusted-groups",
        "sandbox",
        "timeout",
        "lock-timeout",
        "memory",
        "cpu",
        "processes",
        "descriptors",
        "file-size",
    }
)

_T = TypeVar("_T")


class PackageLine(NamedTuple):
    """A plugin package to look after.

    Attributes:
        package: Its dotted name.
        import_roots: Where it may be, besides the interpreters' own paths: absolute.
    """

    package: str
    import_roots: tuple[str, ...] = ()


class Settings(NamedTuple):
    """What is configured.

    Attributes:
        interpreters: Absolute paths, besides the running one.
        triggers: Whether `update --trigger` is to do anything.
        plugin_directories: Absolute paths of directories that plugin packages may have on their
            paths besides their own.
        trusted_groups: Numbers of groups that may write what the writer relies on.
        sandbox: The tiers that are allowed, best first.
        limits: What a child may use.
        timeout: Seconds of processor time for one import; None if not configured.
        lock_timeout: Seconds to wait for another writer; None if not configured.
        packages: Plugin packages, besides the built-in ones.
        problems: Why a file or directory did not count: one for each.
    """

    interpreters: tuple[str, ...] = ()
    triggers: bool = True
    plugin_directories: tuple[str, ...] = ()
    trusted_groups: frozenset[int] = frozenset()
    sandbox: tuple[str, ...] = _TIERS["auto"]
    limits: Limits = Limits()
    timeout: float | None = None
    lock_timeout: float | None = None
    packages: tuple[PackageLine, ...] = ()
    problems: tuple[DropinCacheError, ...] = ()


def load(files: Files) -> Settings:
    """Read the configuration; what is missing is not configured, and that is no problem.

    Args:
        files: Opens them. It must trust no groups: which ones to trust is only said in here.
    """
    problems: list[DropinCacheError] = []
    settings = Settings()
    with syntax.noted(problems, MAIN_FILE):
        settings = _main(files)
    if problems:
        # Perhaps it asked for the better tier only. It must not get the other by a mistake.
        settings = settings._replace(sandbox=_TIERS["namespace"])
    packages = _packages(files, problems)
    return settings._replace(packages=packages, problems=tuple(problems))


def paths() -> Iterator[str]:
    """List the files and directories that `load` looks at, there or not."""
    yield from (MAIN_FILE, groups.FILE)
    for directory in PACKAGE_DIRECTORIES:
        yield directory
        with contextlib.suppress(OSError):
            yield from (os.path.join(directory, name) for name in os.listdir(directory))


def _main(files: Files) -> Settings:
    values = _Values(MAIN_FILE, syntax.lines(MAIN_FILE, syntax.read(files, MAIN_FILE)))
    default = Settings()
    return Settings(
        interpreters=values.get("interpreters", _paths, default.interpreters),
        triggers=values.get("triggers", _yes_or_no, default.triggers),
        plugin_directories=values.get("plugin-directories", _paths, default.plugin_directories),
        trusted_groups=values.get(
            "trusted-groups", lambda text: groups.numbers_of(files, text), default.trusted_groups
        ),
        sandbox=values.get("sandbox", _tiers, default.sandbox),
        limits=Limits(
            cpu=values.get("cpu", _number, default.limits.cpu),
            memory=values.get("memory", _mebibytes, default.limits.memory),
            processes=values.get("processes", _number, default.limits.processes),
            descriptors=values.get("descriptors", _number, default.limits.descriptors),
            file_size=values.get("file-size", _mebibytes, default.limits.file_size),
        ),
        timeout=values.get("timeout", _positive_seconds, default.timeout),
        lock_timeout=values.get("lock-timeout", _seconds, default.lock_timeout),
    )


class _Values:
    """The lines `key = value` of a file."""

    def __init__(self, path: str, lines: Iterable[Line]) -> None:
        self._path = path
        self._values: dict[str, Line] = {}
        for line in lines:
            key, equals, value = (part.strip() for part in line.text.partition("="))
            if not equals:
                raise ConfigurationError(path, line.number, 'expected "key = value"')
            if key not in _KEYS:
                raise ConfigurationError(path, line.number, f'there is no key "{key}"')
            if key in self._values:
                first = self._values[key].number
                reason = f'"{key}" is in line {first} already'
                raise ConfigurationError(path, line.number, reason)
            self._values[key] = Line(line.number, value)

    def get(self, key: str, convert: Callable[[str], _T], default: _T) -> _T:
        """Return a value, converted by a function that raises ValueError if it is a bad one."""
        if key not in self._values:
            return default
        line = self._values[key]
        try:
            return convert(line.text)
        except ValueError as error:
            raise ConfigurationError(self._path, line.number, f"{key}: {error}") from error


def _paths(text: str) -> tuple[str, ...]:
    paths = tuple(dict.fromkeys(text.split()))
    for path in paths:
        if not path.startswith("/"):
            raise ValueError(f'"{path}" is not an absolute path')
    return paths


def _tiers(text: str) -> tuple[str, ...]:
    if text not in _TIERS:  # "none" too: no configuration lets root import without a sandbox
        raise ValueError(f'"{text}" is none of {", ".join(_TIERS)}')
    return _TIERS[text]


def _yes_or_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError(f'"{text}" is neither yes nor no')
    return text == "yes"


def _number(text: str) -> int:
    # As text, and the length first: int() takes "1_0" and other scripts' digits.
    if not re.fullmatch(r"[0-9]{1,7}", text) or not 0 < int(text) <= _MAX_NUMBER:
        raise ValueError(f'"{text}" is not a whole number from 1 to {_MAX_NUMBER}')
    return int(text)


def _mebibytes(text: str) -> int:
    return _number(text) << 20


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,9})?", text) or float(text) > _MAX_NUMBER:
        raise ValueError(f'"{text}" is not a number of seconds up to {_MAX_NUMBER}')
    return float(text)


def _positive_seconds(text: str) -> float:
    seconds = _seconds(text)
    if math.isclose(seconds, 0):
        raise ValueError("no time at all is not enough")
    return seconds


def _packages(files: Files, problems: list[DropinCacheError]) -> tuple[PackageLine, ...]:
    roots: dict[str, dict[str, None]] = {}
    for path in syntax.chosen(files, PACKAGE_DIRECTORIES, problems):
        with syntax.noted(problems, path):
            for line in _package_lines(path, syntax.read(files, path)):
                roots.setdefault(line.package, {}).update(dict.fromkeys(line.import_roots))
    return tuple(PackageLine(package, tuple(where)) for package, where in roots.items())


def _package_lines(path: str, data: bytes) -> list[PackageLine]:
    """Parse a file, all of it before any line counts."""
    found = []
    for line in syntax.lines(path, data):
        package, *rest = line.text.split()
        if not all(part.isidentifier() for part in package.split(".")):
            reason = f'"{package}" is not the dotted name of a package'
            raise ConfigurationError(path, line.number, reason)
        try:
            found.append(PackageLine(package, _paths(" ".join(rest))))
        except ValueError as error:
            raise ConfigurationError(path, line.number, str(error)) from error
    return found
