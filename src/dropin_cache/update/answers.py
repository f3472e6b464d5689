"""The child's answers: untrusted until they have been through here."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from dropin_cache._model import CachedDropin, CachedPlugin, Fingerprint, InterfaceName
from dropin_cache._text import one_line


class AnswerError(Exception):
    """An answer is not what the protocol allows.

    Attributes:
        issues: Everything that is wrong with it, a line each.
    """

    def __init__(self, issues: list[str]) -> None:
        """Keep the facts."""
        super().__init__("; ".join(issues))
        self.issues = issues


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
    """

    version: tuple[int, int]
    zope: bool
    path: tuple[str, ...]


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


def start_from_untrusted(line: bytes) -> Start:
    """Validate the answer to "start".

    Raises:
        AnswerError: It is not valid.
    """
    check = _Check(line)
    version = check.list_of(int, "version")
    path = check.list_of(str, "path")
    zope = check.field("zope", bool)
    if len(version) != 2:  # noqa: PLR2004 - major and minor
        check.issues.append("version is not two numbers")
    check.finish()
    return Start((version[0], version[1]), zope, tuple(path))


def package_from_untrusted(line: bytes) -> Any:
    """Validate the answer to "package".

    Returns:
        The package's `__path__` as a tuple, None if it is not installed, or a `Failure`.

    Raises:
        AnswerError: It is not valid.
    """
    check = _Check(line)
    if "error" in check.answer:
        return check.failure()
    if check.answer.get("found", ...) is None:
        return None
    found = check.list_of(str, "found")
    check.finish()
    return tuple(found)


def module_from_untrusted(line: bytes) -> Any:
    """Validate the answer to "module".

    Returns:
        A `Description` or a `Failure`.

    Raises:
        AnswerError: It is not valid.
    """
    check = _Check(line)
    if "error" in check.answer:
        return check.failure()
    description = check.text_or_none("description")
    warnings = check.list_of(str, "warnings")
    plugins = []
    for each in check.list_of(dict, "plugins"):
        part = _Check(each, check.issues)
        name = part.field("name", str)
        text = part.text_or_none("description")
        interfaces = part.list_of(str, "interfaces")
        references = [part.reference(pair) for pair in part.list_of(list, "provided")]
        plugins.append(Plugin(name, text, tuple(references), tuple(interfaces)))
    check.finish()
    return Description(description, tuple(plugins), tuple(map(one_line, warnings)))


class _Check:
    """Reads fields of an answer and collects what is wrong with them."""

    def __init__(self, answer: Any, issues: list[str] | None = None) -> None:
        self.issues: list[str] = [] if issues is None else issues
        if isinstance(answer, bytes):
            answer = self._parsed(answer)
        self.answer = answer

    def _parsed(self, line: bytes) -> Any:
        try:
            answer = json.loads(line.decode("ascii"))
        except (ValueError, RecursionError) as error:
            raise AnswerError([f"not JSON: {type(error).__name__}"]) from None
        if type(answer) is not dict:
            raise AnswerError(["not an object"])
        return answer

    def field(self, name: str, wanted: type) -> Any:
        value = self.answer.get(name)
        if type(value) is not wanted:
            self.issues.append(f"{name} is not a {wanted.__name__}")
            return wanted()
        return value

    def text_or_none(self, name: str) -> str | None:
        return None if self.answer.get(name) is None else self.field(name, str)

    def list_of(self, wanted: type, name: str) -> list[Any]:
        values: list[Any] = self.field(name, list)
        if any(type(value) is not wanted for value in values):
            self.issues.append(f"{name} holds something that is not a {wanted.__name__}")
            return []
        return values

    def reference(self, pair: list[Any]) -> InterfaceName:
        if len(pair) != 2 or not all(type(part) is str and part for part in pair):  # noqa: PLR2004
            self.issues.append("an interface is not a module and a name")
            return InterfaceName("", "")
        return InterfaceName(pair[0], pair[1])

    def failure(self) -> Failure:
        error, traceback = self.field("error", str), self.field("traceback", str)
        self.finish()
        return Failure(one_line(error), traceback)

    def finish(self) -> None:
        if self.issues:
            raise AnswerError(self.issues)
