"""The child's answers: untrusted until they have been through here."""

from __future__ import annotations

import json
import os
from typing import Any

from dropin_cache._model import InterfaceName
from dropin_cache.update.importing.records import Description, Failure, Module, Plugin, Start
from dropin_cache.update.text import one_line

MAX_MODULES = 20_000
"""Modules that one answer may speak of, and that one module may import."""

MAX_VALUES = 200_000
"""Lists and objects in an answer, brackets in its texts included."""

_MAX_NAME = 4096  # characters of a dotted name or a path, PATH_MAX of limits.h


class AnswerError(Exception):
    """An answer is not what the protocol allows.

    Attributes:
        issues: Everything that is wrong with it, a line each.
    """

    def __init__(self, issues: list[str]) -> None:
        """Keep the facts."""
        super().__init__("; ".join(issues))
        self.issues = issues


class ChildError(Exception):
    """The child gave no answer.

    Attributes:
        reason: What it did instead, in words; the subject is the drop-in.
        output: The end of what it printed.
    """

    def __init__(self, reason: str, output: str) -> None:
        """Keep the facts."""
        super().__init__(reason)
        self.reason = reason
        self.output = output


def from_untrusted(line: bytes, token: str) -> dict[str, Any]:
    """Parse an answer.

    Args:
        line: What the child wrote.
        token: What the request told it to repeat.

    Raises:
        AnswerError: It is no answer to that request.
    """
    if line.count(b"[") + line.count(b"{") > MAX_VALUES:
        raise AnswerError(["too many values"])  # an empty list takes 28 times as much as its text
    try:
        answer = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise AnswerError([f"not JSON: {type(error).__name__}"]) from None
    if type(answer) is not dict:
        raise AnswerError(["not an object"])
    if answer.get("token") != token:
        raise AnswerError(["not the answer to what was asked"])
    return answer


def promises_from_untrusted(answer: dict[str, Any]) -> tuple[str, ...]:
    """Return what the child says does not hold of its sandbox, a line each.

    Raises:
        AnswerError: It is not valid.
    """
    if "promises" not in answer:
        return ()
    check = _Check(answer)
    promises = check.list_of(str, "promises")
    check.finish()
    return tuple(map(one_line, promises))


def start_from_untrusted(answer: dict[str, Any]) -> Start:
    """Validate the answer to "start".

    Raises:
        AnswerError: It is not valid.
    """
    check = _Check(answer)
    version = check.list_of(int, "version")
    path = check.list_of(str, "path")
    zope = check.field("zope", bool)
    files = [file for file in check.list_of(str, "files") if _is_path(file)]
    packages = [name for name in check.list_of(str, "packages") if is_dotted(name)]
    if len(version) != 2:  # noqa: PLR2004 - major and minor
        check.issues.append("version is not two numbers")
    check.finish()
    return Start((version[0], version[1]), zope, tuple(path), tuple(files), tuple(packages))


def imports_from_untrusted(answer: dict[str, Any]) -> dict[str, Module]:
    """Validate the import graph of an answer: modules by their dotted names.

    Raises:
        AnswerError: It is not valid.
    """
    check = _Check(answer)
    graph = check.field("imports", dict)
    if len(graph) > MAX_MODULES:
        check.issues.append(f"imports are of more than {MAX_MODULES} modules")
        graph = {}
    modules = {name: check.module(name, value) for name, value in graph.items()}
    check.finish()
    return modules


def package_from_untrusted(answer: dict[str, Any]) -> Any:
    """Validate the answer to "package".

    Returns:
        The package's `__path__` as a tuple, None if it is not installed, or a `Failure`.

    Raises:
        AnswerError: It is not valid.
    """
    check = _Check(answer)
    if "error" in check.answer:
        return check.failure()
    if check.answer.get("found", ...) is None:
        return None
    found = check.list_of(str, "found")
    check.finish()
    return tuple(found)


def module_from_untrusted(answer: dict[str, Any]) -> Any:
    """Validate the answer to "module".

    Returns:
        A `Description` or a `Failure`.

    Raises:
        AnswerError: It is not valid.
    """
    check = _Check(answer)
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


def is_dotted(name: str) -> bool:
    """Tell whether a text can be the dotted name of a module."""
    return len(name) <= _MAX_NAME and all(part.isidentifier() for part in name.split("."))


def _is_path(text: str) -> bool:
    """Tell whether a text is an absolute path without detours."""
    return (
        len(text) <= _MAX_NAME
        and text.startswith("/")
        and os.path.normpath(text) == text
        and "\0" not in text
    )


class _Check:
    """Reads fields of an answer and collects what is wrong with them."""

    def __init__(self, answer: dict[str, Any], issues: list[str] | None = None) -> None:
        self.issues: list[str] = [] if issues is None else issues
        self.answer = answer

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
        if len(values) > MAX_MODULES and wanted is str:
            self.issues.append(f"{name} holds more than {MAX_MODULES} texts")
            return []
        if any(type(value) is not wanted for value in values):
            self.issues.append(f"{name} holds something that is not a {wanted.__name__}")
            return []
        return values

    def reference(self, pair: list[Any]) -> InterfaceName:
        if len(pair) != 2 or not all(type(part) is str and part for part in pair):  # noqa: PLR2004
            self.issues.append("an interface is not a module and a name")
            return InterfaceName("", "")
        return InterfaceName(pair[0], pair[1])

    def module(self, name: str, value: Any) -> Module:
        if len(name) > _MAX_NAME or type(value) is not list or len(value) != 2:  # noqa: PLR2004
            self.issues.append("imports are not of modules")
            return Module(None, ())
        file, imports = value
        if type(imports) is not list or any(type(each) is not str for each in imports):
            self.issues.append("imports are not modules")
            imports = []
        if len(imports) > MAX_MODULES or any(len(each) > _MAX_NAME for each in imports):
            self.issues.append("imports are too many, or their names too long")
        if file is not False and not (type(file) is str and _is_path(file)):
            file = None
        return Module(file, tuple(imports))

    def failure(self) -> Failure:
        error, traceback = self.field("error", str), self.field("traceback", str)
        self.finish()
        return Failure(one_line(error), traceback)

    def finish(self) -> None:
        if self.issues:
            raise AnswerError(self.issues)
