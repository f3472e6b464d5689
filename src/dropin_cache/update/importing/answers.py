"""The child's answers: untrusted until they have been through here."""

from __future__ import annotations

import functools
import json
import os
from typing import Any, NamedTuple

from dropin_cache._model import InterfaceName
from dropin_cache.update.discovery.interpreters import Start
from dropin_cache.update.importing.records import Description, Failure, Plugin
from dropin_cache.update.state.observations import Observed
from dropin_cache.update.text import is_dotted, one_line

MAX_NOTES = 20_000
"""Texts in a list of an answer."""

MAX_VALUES = 200_000
"""Lists and objects in an answer, brackets in its texts included."""

_MAX_NAME = 4096  # characters of a dotted name or a path, PATH_MAX of limits.h
_MAX_PATHS = 4096  # of those that are remembered, together at most 16 MiB
_MAX_LINE = 500  # characters of an error or a warning
_MAX_TRACEBACK = 4000  # characters
_MAX_WARNINGS = 20  # of a plugin module


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
        passing: Whether that may have reasons of the moment.
    """

    def __init__(self, reason: str, output: str, passing: bool) -> None:  # noqa: FBT001
        """Keep the facts."""
        super().__init__(reason)
        self.reason = reason
        self.output = output
        self.passing = passing


def from_untrusted(line: bytes, about: str) -> dict[str, Any]:
    """Parse an answer.

    Args:
        line: What the child wrote.
        about: What the request was about.

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
    if answer.get("of") != about:
        raise AnswerError(["not the answer to what was asked"])
    return answer


class Started(NamedTuple):
    """The answer to "start".

    Attributes:
        promises: What does not hold of the sandbox, a line each.
        start: What the interpreter is, if it was asked.
    """

    promises: tuple[str, ...] = ()
    start: Start | None = None


def started_from_untrusted(answer: dict[str, Any]) -> Started:
    """Validate the answer to "start".

    Raises:
        AnswerError: It is not valid.
    """
    check = _Check(answer)
    if "error" in answer:  # the program itself fails, or what site runs
        raise AnswerError([check.failure().error])
    if "promises" in answer:
        promises = check.list_of(str, "promises")
        check.finish()
        return Started(promises=tuple(one_line(each[:_MAX_LINE]) for each in promises))
    if "version" not in answer:
        return Started()
    version = check.list_of(int, "version")
    path = check.list_of(str, "path")
    zope = check.field("zope", bool)
    files = [file for file in check.list_of(str, "files") if _is_path(file)]
    if len(version) != 2:  # noqa: PLR2004 - major and minor
        check.issues.append("version is not two numbers")
    check.finish()
    return Started(start=Start((version[0], version[1]), zope, tuple(path), tuple(files)))


def observed_from_untrusted(answer: dict[str, Any], paths: list[tuple[str, ...]]) -> Observed:
    """Validate what an answer says was looked at.

    Args:
        answer: The answer.
        paths: The search paths that the child has reported; the new ones are added.

    Raises:
        AnswerError: It is not valid.
    """
    check = _Check(answer)
    check = _Check(check.field("observed", dict), check.issues)
    files, listed = check.list_of(str, "files"), check.list_of(str, "listed")
    paths += (
        tuple(each for each in path if type(each) is str and _is_path(each))
        for path in check.list_of(list, "paths")
    )
    names = []
    for pair in check.list_of(list, "names"):
        name, number = pair if len(pair) == 2 else ("", -1)  # noqa: PLR2004 - see the protocol
        if type(name) is not str or type(number) is not int or not 0 <= number < len(paths):
            check.issues.append("a module that was looked for is not a name and a path")
        elif is_dotted(name):  # nothing else can be found
            names.append((name, paths[number]))
    check.finish()
    return Observed(
        frozenset(filter(_is_path, files)), frozenset(filter(_is_path, listed)), frozenset(names)
    )


def resolved_from_untrusted(answer: dict[str, Any]) -> Any:
    """Validate the answer to "resolve".

    Returns:
        The names that were found, or a `Failure`.

    Raises:
        AnswerError: It is not valid.
    """
    check = _Check(answer)
    if "error" in check.answer:
        return check.failure()
    names = check.list_of(str, "resolved")
    check.finish()
    return tuple(names)


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
    told = tuple(one_line(warning[:_MAX_LINE]) for warning in warnings[:_MAX_WARNINGS])
    return Description(description, tuple(plugins), told)


def _is_path(text: str) -> bool:
    """Tell whether a text is an absolute path without detours."""
    return text.startswith("/") and len(text) <= _MAX_NAME and _is_straight(text)


@functools.lru_cache(_MAX_PATHS)  # the imports of different owners have much in common
def _is_straight(path: str) -> bool:
    return os.path.normpath(path) == path and "\0" not in path


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
        if len(values) > MAX_NOTES:
            self.issues.append(f"{name} holds more than {MAX_NOTES} values")
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

    def failure(self) -> Failure:
        error, traceback = self.field("error", str), self.field("traceback", str)
        passing = self.field("passing", bool)
        self.finish()
        return Failure(one_line(error[:_MAX_LINE]), traceback[-_MAX_TRACEBACK:], passing)

    def finish(self) -> None:
        if self.issues:
            raise AnswerError(self.issues)
