"""Validating what the child answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropin_cache._encoder import encode
from dropin_cache._model import Fingerprint, InterfaceName
from dropin_cache._wire import decode
from dropin_cache.update import answers
from dropin_cache.update.answers import AnswerError, Description, Failure, Plugin, Start

PLUGIN = {"name": "p", "description": None, "provided": [["m", "I"]], "interfaces": ["m.I"]}
MODULE = {"description": "text", "warnings": ["w"], "plugins": [PLUGIN]}
START = {"version": [3, 11], "zope": True, "path": ["/a"]}
VALIDATORS = [
    answers.start_from_untrusted,
    answers.package_from_untrusted,
    answers.module_from_untrusted,
]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3)
    ),
    max_leaves=10,
)
names = st.sampled_from(
    [*START, *MODULE, *PLUGIN, "found", "error", "traceback", "version", "nothing"]
)
almost = st.dictionaries(
    names,
    anything
    | st.lists(st.text(), max_size=3)
    | st.lists(
        st.fixed_dictionaries(
            {
                "name": anything | st.text(),
                "description": anything,
                "provided": st.lists(st.lists(st.text(), min_size=1, max_size=3), max_size=2),
                "interfaces": st.lists(st.text() | st.integers(), max_size=2),
            }
        ),
        max_size=2,
    ),
)


def line(value: Any) -> bytes:
    """Return a value as the child sends it."""
    return json.dumps(value).encode()


def changed(value: Any, *path: Any, to: Any) -> bytes:
    """Return an answer with one part of it exchanged."""
    copy = json.loads(line(value))
    part = copy
    for step in path[:-1]:
        part = part[step]
    if to is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = to
    return line(copy)


class TestAnyAnswer:
    """Whatever the child says."""

    @given(st.binary() | anything.map(line) | almost.map(line))
    def test_valid_or_an_error(self, answer: bytes) -> None:
        """Each validator returns what it promises or raises AnswerError, nothing else."""
        for validate, types in zip(
            VALIDATORS, [(Start,), (tuple, type(None), Failure), (Description, Failure)]
        ):
            try:
                result: Any = validate(answer)
            except AnswerError as error:
                result = error
            assert isinstance(result, (*types, AnswerError))
            issues = getattr(result, "issues", ["valid"])
            assert issues
            assert not isinstance(result, AnswerError) or "; ".join(issues) == str(result)

    @given(almost.map(line))
    def test_what_is_valid_can_be_cached(self, answer: bytes) -> None:
        """Every description that passes makes an entry that reads back as it was."""
        try:
            result = answers.module_from_untrusted(answer)
        except AnswerError:
            return
        if isinstance(result, Description):
            entry = result.entry("a.b", Fingerprint(1, 2, "c"))
            back = decode(encode([entry]))
            assert ["b"] == list(back)
            assert result.description == back["b"].description
            assert [each.name for each in result.plugins] == [p.name for p in back["b"].plugins]

    @pytest.mark.parametrize("validate", VALIDATORS)
    @pytest.mark.parametrize(
        ("answer", "issue"),
        [
            (b"", "not JSON: JSONDecodeError"),
            (b"{", "not JSON: JSONDecodeError"),
            (b"{}\n{}", "not JSON: JSONDecodeError"),
            (b'{"a": "\xc3\xa4"}', "not JSON: UnicodeDecodeError"),
            (b"[" * 100_000, "not JSON: RecursionError"),
            (b"[]", "not an object"),
            (b"null", "not an object"),
        ],
        ids=["empty", "cut", "two", "UTF-8", "deep", "list", "null"],
    )
    def test_not_even_an_object(self, validate: Any, answer: bytes, issue: str) -> None:
        """What is no JSON object in ASCII is refused as that."""
        with pytest.raises(AnswerError) as caught:
            validate(answer)
        assert [issue] == caught.value.issues


class TestStart:
    """The answer to "start"."""

    def test_valid(self) -> None:
        """A valid answer becomes plain values."""
        assert Start((3, 11), True, ("/a",)) == answers.start_from_untrusted(line(START))

    @pytest.mark.parametrize(
        ("answer", "issues"),
        [
            ({}, ["version is not a list", "path is not a list", "zope is not a bool"]),
            ({**START, "version": [3]}, []),
            ({**START, "version": [3, 9, 1]}, []),
            ({**START, "version": [3, True]}, ["version holds something that is not a int"]),
            ({**START, "path": [None]}, ["path holds something that is not a str"]),
            ({**START, "zope": 1}, ["zope is not a bool"]),
        ],
    )
    def test_invalid(self, answer: Any, issues: list[str]) -> None:
        """Everything that is wrong is told at once."""
        if type(answer.get("version")) is not list or answer["version"] != [3, 11]:
            issues = [*issues, "version is not two numbers"]
        with pytest.raises(AnswerError) as caught:
            answers.start_from_untrusted(line(answer))
        assert issues == caught.value.issues


class TestPackage:
    """The answer to "package"."""

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ({"found": ["/a", "/b"]}, ("/a", "/b")),
            ({"found": []}, ()),
            ({"found": None}, None),
            ({"error": "E: e", "traceback": "t\n"}, Failure("E: e", "t\n")),
            ({"error": "E: \x1b[2J\n", "traceback": ""}, Failure("E: \\x1b[2J\\n", "")),
        ],
    )
    def test_valid(self, answer: Any, expected: Any) -> None:
        """A package is found, not found, or broken."""
        assert expected == answers.package_from_untrusted(line(answer))

    @pytest.mark.parametrize(
        ("answer", "issue"),
        [
            ({}, "found is not a list"),
            ({"found": "abc"}, "found is not a list"),
            ({"found": [1]}, "found holds something that is not a str"),
            ({"error": None, "traceback": ""}, "error is not a str"),
            ({"error": ""}, "traceback is not a str"),
        ],
    )
    def test_invalid(self, answer: Any, issue: str) -> None:
        """Everything else is refused."""
        with pytest.raises(AnswerError) as caught:
            answers.package_from_untrusted(line(answer))
        assert [issue] == caught.value.issues


class TestModule:
    """The answer to "module"."""

    def test_valid(self) -> None:
        """A valid answer becomes plain values."""
        plugin = Plugin("p", None, (InterfaceName("m", "I"),), ("m.I",))
        assert Description("text", (plugin,), ("w",)) == answers.module_from_untrusted(line(MODULE))

    def test_failure(self) -> None:
        """So does a failure."""
        answer = line({"error": "ValueError: \n", "traceback": "a\nb"})
        assert Failure("ValueError: \\n", "a\nb") == answers.module_from_untrusted(answer)

    @pytest.mark.parametrize(
        ("answer", "issue"),
        [
            (changed(MODULE, "description", to=1), "description is not a str"),
            (changed(MODULE, "warnings", to=...), "warnings is not a list"),
            (changed(MODULE, "plugins", to={}), "plugins is not a list"),
            (changed(MODULE, "plugins", 0, to=[]), "plugins holds something that is not a dict"),
            (changed(MODULE, "plugins", 0, "name", to=None), "name is not a str"),
            (changed(MODULE, "plugins", 0, "description", to=[]), "description is not a str"),
            (
                changed(MODULE, "plugins", 0, "interfaces", to=[1]),
                "interfaces holds something that is not a str",
            ),
            (
                changed(MODULE, "plugins", 0, "provided", to=["m.I"]),
                "provided holds something that is not a list",
            ),
            *(
                (
                    changed(MODULE, "plugins", 0, "provided", 0, to=pair),
                    "an interface is not a module and a name",
                )
                for pair in ([], ["m"], ["m", "I", "x"], ["m", 1], ["", "I"], ["m", ""])
            ),
        ],
    )
    def test_invalid(self, answer: bytes, issue: str) -> None:
        """Each field is looked at."""
        with pytest.raises(AnswerError) as caught:
            answers.module_from_untrusted(answer)
        assert [issue] == caught.value.issues

    def test_all_issues(self) -> None:
        """Everything that is wrong is told at once."""
        plugins = [{**PLUGIN, "name": 1}, {**PLUGIN, "provided": [[]]}]
        with pytest.raises(AnswerError) as caught:
            answers.module_from_untrusted(line({"description": 1, "plugins": plugins}))
        assert (
            "description is not a str; warnings is not a list; name is not a str; "
            "an interface is not a module and a name"
        ) == str(caught.value)
