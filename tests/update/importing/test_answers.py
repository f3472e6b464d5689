"""Validating what the child answers."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropin_cache._decode import decode
from dropin_cache._encode import encode
from dropin_cache._model import Fingerprint, InterfaceName
from dropin_cache.update.importing import answers
from dropin_cache.update.importing.answers import AnswerError
from dropin_cache.update.importing.records import Description, Failure, Module, Plugin, Start

PLUGIN = {"name": "p", "description": None, "provided": [["m", "I"]], "interfaces": ["m.I"]}
MODULE = {"description": "text", "warnings": ["w"], "plugins": [PLUGIN]}
START = {"version": [3, 11], "zope": True, "path": ["/a"], "files": ["/f"], "packages": ["a.b"]}
VALIDATORS = [
    answers.start_from_untrusted,
    answers.package_from_untrusted,
    answers.module_from_untrusted,
    answers.promises_from_untrusted,
    answers.imports_from_untrusted,
]
TYPES = [(Start,), (tuple, type(None), Failure), (Description, Failure), (tuple,), (dict,)]
TOKEN = "f00d"  # noqa: S105 - no password

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3)
    ),
    max_leaves=10,
)
names = st.sampled_from(
    [*START, *MODULE, *PLUGIN, "found", "error", "traceback", "promises", "imports", "nothing"]
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
    )
    | st.dictionaries(
        st.text(max_size=3),
        st.tuples(st.none() | st.booleans() | st.text(), st.lists(st.text(), max_size=2)),
        max_size=2,
    ),
)
described = st.fixed_dictionaries(
    {
        "description": st.none() | st.text(),
        "warnings": st.just([]),
        "plugins": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.text(),
                    "description": st.none() | st.text(),
                    "provided": st.lists(st.lists(st.text(min_size=1), min_size=2, max_size=2)),
                    "interfaces": st.lists(st.text()),
                }
            ),
            max_size=3,
        ),
    }
)


def line(value: Any) -> bytes:
    """Return a value as the child sends it."""
    return json.dumps(value).encode()


def sent(value: dict[str, Any]) -> dict[str, Any]:
    """Return an answer as it arrives."""
    return answers.from_untrusted(line({**value, "token": TOKEN}), TOKEN)


def changed(value: Any, *path: Any, to: Any) -> dict[str, Any]:
    """Return an answer with one part of it exchanged."""
    copy = json.loads(line(value))
    part = copy
    for step in path[:-1]:
        part = part[step]
    if to is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = to
    return sent(copy)


class TestAnyAnswer:
    """Whatever the child says."""

    @given(st.binary() | anything.map(line) | almost.map(line))
    def test_parsed_or_an_error(self, answer: bytes) -> None:
        """Whatever bytes come, they are an object or raise AnswerError."""
        with contextlib.suppress(AnswerError):
            assert type(answers.from_untrusted(answer, TOKEN)) is dict

    def test_too_many_values(self) -> None:
        """What would take many times its size in memory is not even parsed."""
        text = b'{"token": "%s", "x": [%s]}'
        few, many = (b"[]," * count + b"[]" for count in (199_000, 200_000))
        assert 199_001 == len(answers.from_untrusted(text % (TOKEN.encode(), few), TOKEN)["x"])
        with pytest.raises(AnswerError) as caught:
            answers.from_untrusted(text % (TOKEN.encode(), many), TOKEN)
        assert ["too many values"] == caught.value.issues

    @given(almost)
    def test_valid_or_an_error(self, answer: dict[str, Any]) -> None:
        """Each validator returns what it promises or raises AnswerError, nothing else."""
        for validate, types in zip(VALIDATORS, TYPES):
            try:
                result: Any = validate(sent(answer))
            except AnswerError as error:
                result = error
            assert isinstance(result, (*types, AnswerError))
            issues = getattr(result, "issues", ["valid"])
            assert issues
            assert not isinstance(result, AnswerError) or "; ".join(issues) == str(result)

    @given(almost | described)
    def test_what_is_valid_can_be_cached(self, answer: dict[str, Any]) -> None:
        """Every description that passes makes an entry that reads back as it was."""
        try:
            result = answers.module_from_untrusted(sent(answer))
        except AnswerError:
            return
        if isinstance(result, Description):
            entry = result.entry("a.b", Fingerprint(1, 2, "c"))
            back = decode(encode([entry]))
            assert ["b"] == list(back)
            assert result.description == back["b"].description
            assert [each.name for each in result.plugins] == [p.name for p in back["b"].plugins]

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
            (b"{}", "not the answer to what was asked"),
            (b'{"token": "beef"}', "not the answer to what was asked"),
            (b'{"token": null}', "not the answer to what was asked"),
        ],
        ids=[
            *("empty", "cut", "two", "UTF-8", "deep", "list", "null"),
            *("no token", "another token", "null token"),
        ],
    )
    def test_no_answer(self, answer: bytes, issue: str) -> None:
        """What is no JSON object in ASCII, or does not repeat the token, is refused as that."""
        with pytest.raises(AnswerError) as caught:
            answers.from_untrusted(answer, TOKEN)
        assert [issue] == caught.value.issues


class TestStart:
    """The answer to "start"."""

    def test_valid(self) -> None:
        """A valid answer becomes plain values."""
        expected = Start((3, 11), True, ("/a",), ("/f",), ("a.b",))
        assert expected == answers.start_from_untrusted(sent(START))

    @pytest.mark.parametrize("file", ["", "f", "/f/../g", "/f\0", "/" + "f" * 5000])
    def test_files_that_are_none(self, file: str) -> None:
        """What is no plain absolute path is left out: this process will look at the others."""
        answer = sent({**START, "files": [file, "/f"]})
        assert ("/f",) == answers.start_from_untrusted(answer).files

    @pytest.mark.parametrize("name", ["", ".", "a.", "a..b", "a-b", "a/b", "1a", "a" * 5000])
    def test_packages_that_are_none(self, name: str) -> None:
        """Anybody can declare anything; what is no dotted name is left out."""
        answer = sent({**START, "packages": [name, "a.b"]})
        assert ("a.b",) == answers.start_from_untrusted(answer).packages

    @pytest.mark.parametrize(
        ("answer", "issues"),
        [
            (
                {},
                [
                    f"{name} is not a {kind}"
                    for name, kind in [
                        *(("version", "list"), ("path", "list"), ("zope", "bool")),
                        *(("files", "list"), ("packages", "list")),
                    ]
                ],
            ),
            ({**START, "version": [3]}, []),
            ({**START, "version": [3, 9, 1]}, []),
            ({**START, "version": [3, True]}, ["version holds something that is not a int"]),
            ({**START, "path": [None]}, ["path holds something that is not a str"]),
            ({**START, "zope": 1}, ["zope is not a bool"]),
            ({**START, "files": [1]}, ["files holds something that is not a str"]),
            ({**START, "packages": "a"}, ["packages is not a list"]),
        ],
    )
    def test_invalid(self, answer: Any, issues: list[str]) -> None:
        """Everything that is wrong is told at once."""
        if type(answer.get("version")) is not list or answer["version"] != [3, 11]:
            issues = [*issues, "version is not two numbers"]
        with pytest.raises(AnswerError) as caught:
            answers.start_from_untrusted(sent(answer))
        assert issues == caught.value.issues


class TestPromises:
    """What the child says of its sandbox."""

    def test_none(self) -> None:
        """An answer without any is one about a sandbox that holds."""
        assert () == answers.promises_from_untrusted(sent(START))

    def test_broken(self) -> None:
        """Others are lines fit for a terminal."""
        answer = sent({"promises": ["it can write", "\x1b[2J"]})
        assert ("it can write", "\\x1b[2J") == answers.promises_from_untrusted(answer)

    @pytest.mark.parametrize("value", [None, "text", [1]])
    def test_invalid(self, value: Any) -> None:
        """Nonsense is not taken for a sandbox that holds."""
        with pytest.raises(AnswerError):
            answers.promises_from_untrusted(sent({"promises": value}))


class TestImports:
    """Who imports whom, in any answer."""

    def test_valid(self) -> None:
        """A file may be none, or missing."""
        graph = {"a": ["/a.py", ["b", "c"]], "b": [None, []], "c": [False, []]}
        assert {
            "a": Module("/a.py", ("b", "c")),
            "b": Module(None, ()),
            "c": Module(False, ()),
        } == answers.imports_from_untrusted(sent({"imports": graph}))

    @pytest.mark.parametrize("file", ["", "a.py", "/a/../b", "/a\0", "/" + "a" * 5000, 1, True, []])
    def test_files_that_are_none(self, file: Any) -> None:
        """What is no plain absolute path is no file: this process will look at it."""
        answer = sent({"imports": {"a": [file, []]}})
        assert {"a": Module(None, ())} == answers.imports_from_untrusted(answer)

    @pytest.mark.parametrize(
        ("graph", "issue"),
        [
            ([], "imports is not a dict"),
            (None, "imports is not a dict"),
            ({"a": None}, "imports are not of modules"),
            ({"a": ["/a.py"]}, "imports are not of modules"),
            ({"a": ["/a.py", [], []]}, "imports are not of modules"),
            ({"a" * 5000: ["/a.py", []]}, "imports are not of modules"),
            ({"a": ["/a.py", "b"]}, "imports are not modules"),
            ({"a": ["/a.py", [1]]}, "imports are not modules"),
            ({"a": ["/a.py", ["b" * 5000]]}, "imports are too many, or their names too long"),
            ({"a": ["/a.py", ["b"] * 20_001]}, "imports are too many, or their names too long"),
            (
                {str(number): [None, []] for number in range(20_001)},
                "imports are of more than 20000 modules",
            ),
        ],
        ids=[
            *("list", "null", "no list", "short", "long", "long name", "text", "number"),
            *("long import", "many imports", "many modules"),
        ],
    )
    def test_invalid(self, graph: Any, issue: str) -> None:
        """Everything else is refused."""
        with pytest.raises(AnswerError) as caught:
            answers.imports_from_untrusted(sent({"imports": graph}))
        assert [issue] == caught.value.issues


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
        assert expected == answers.package_from_untrusted(sent(answer))

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
            answers.package_from_untrusted(sent(answer))
        assert [issue] == caught.value.issues


class TestModule:
    """The answer to "module"."""

    def test_valid(self) -> None:
        """A valid answer becomes plain values."""
        plugin = Plugin("p", None, (InterfaceName("m", "I"),), ("m.I",))
        assert Description("text", (plugin,), ("w",)) == answers.module_from_untrusted(sent(MODULE))

    def test_failure(self) -> None:
        """So does a failure."""
        answer = sent({"error": "ValueError: \n", "traceback": "a\nb"})
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
    def test_invalid(self, answer: dict[str, Any], issue: str) -> None:
        """Each field is looked at."""
        with pytest.raises(AnswerError) as caught:
            answers.module_from_untrusted(answer)
        assert [issue] == caught.value.issues

    def test_all_issues(self) -> None:
        """Everything that is wrong is told at once."""
        plugins = [{**PLUGIN, "name": 1}, {**PLUGIN, "provided": [[]]}]
        with pytest.raises(AnswerError) as caught:
            answers.module_from_untrusted(sent({"description": 1, "plugins": plugins}))
        assert (
            "description is not a str; warnings is not a list; name is not a str; "
            "an interface is not a module and a name"
        ) == str(caught.value)
