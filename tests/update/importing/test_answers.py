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
from dropin_cache.update.discovery.interpreters import Start
from dropin_cache.update.importing import answers
from dropin_cache.update.importing.answers import AnswerError, Started
from dropin_cache.update.importing.records import Description, Failure, Plugin
from dropin_cache.update.state.observations import Observed

PLUGIN = {"name": "p", "description": None, "provided": [["m", "I"]], "interfaces": ["m.I"]}
MODULE = {"description": "text", "warnings": ["w"], "plugins": [PLUGIN]}
START = {"version": [3, 11], "zope": True, "path": ["/a"], "files": ["/f"]}
OBSERVED: dict[str, Any] = {
    "files": ["/f"],
    "listed": ["/d"],
    "paths": [["/a"]],
    "names": [["a.b", 0]],
}
VALIDATORS: dict[Any, tuple[type, ...]] = {
    answers.started_from_untrusted: (Started,),
    answers.package_from_untrusted: (tuple, type(None), Failure),
    answers.module_from_untrusted: (Description, Failure),
    answers.resolved_from_untrusted: (tuple, Failure),
    (lambda answer: answers.observed_from_untrusted(answer, [])): (Observed,),
}
ABOUT = "a.b"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3)
    ),
    max_leaves=10,
)
names = st.sampled_from(
    [
        *(*START, *MODULE, *PLUGIN, "found", "error", "traceback", "passing"),
        *("promises", "resolved", "observed", "nothing"),
    ]
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
    | st.fixed_dictionaries(
        {
            "files": st.lists(st.text(), max_size=2),
            "listed": st.lists(st.text(), max_size=2),
            "paths": st.lists(st.lists(st.text() | st.just("/a"), max_size=2), max_size=2),
            "names": st.lists(st.tuples(st.text() | st.just("a"), st.integers(-1, 2)), max_size=2),
        }
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
    return answers.from_untrusted(line({**value, "of": ABOUT}), ABOUT)


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
            assert type(answers.from_untrusted(answer, ABOUT)) is dict

    def test_too_many_values(self) -> None:
        """What would take many times its size in memory is not even parsed."""
        text = b'{"of": "%s", "x": [%s]}'
        few, many = (b"[]," * count + b"[]" for count in (199_000, 200_000))
        assert 199_001 == len(answers.from_untrusted(text % (ABOUT.encode(), few), ABOUT)["x"])
        with pytest.raises(AnswerError) as caught:
            answers.from_untrusted(text % (ABOUT.encode(), many), ABOUT)
        assert ["too many values"] == caught.value.issues

    @given(almost)
    def test_valid_or_an_error(self, answer: dict[str, Any]) -> None:
        """Each validator returns what it promises or raises AnswerError, nothing else."""
        for validate, types in VALIDATORS.items():
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
            (b'{"of": "a.c"}', "not the answer to what was asked"),
            (b'{"of": null}', "not the answer to what was asked"),
        ],
        ids=[
            *("empty", "cut", "two", "UTF-8", "deep", "list", "null"),
            *("about nothing", "about another", "about null"),
        ],
    )
    def test_no_answer(self, answer: bytes, issue: str) -> None:
        """What is no JSON object in ASCII, or is about something else, is refused as that."""
        with pytest.raises(AnswerError) as caught:
            answers.from_untrusted(answer, ABOUT)
        assert [issue] == caught.value.issues


class TestStart:
    """The answer to "start"."""

    def test_valid(self) -> None:
        """A valid answer becomes plain values."""
        expected = Start((3, 11), True, ("/a",), ("/f",))
        assert Started(start=expected) == answers.started_from_untrusted(sent(START))

    def test_not_asked(self) -> None:
        """Without a question about the interpreter there is nothing to tell."""
        assert Started() == answers.started_from_untrusted(sent({}))

    def test_fails(self) -> None:
        """A child that fails already then is none that can be used."""
        failure = {"error": "KeyError: 1", "traceback": "", "passing": True}
        with pytest.raises(AnswerError) as caught:
            answers.started_from_untrusted(sent(failure))
        assert ["KeyError: 1"] == caught.value.issues

    @pytest.mark.parametrize("file", ["", "f", "/f/../g", "/f\0", "/" + "f" * 5000])
    def test_files_that_are_none(self, file: str) -> None:
        """What is no plain absolute path is left out: this process will look at the others."""
        answer = sent({**START, "files": [file, "/f"]})
        start = answers.started_from_untrusted(answer).start
        assert start is not None
        assert ("/f",) == start.files

    @pytest.mark.parametrize(
        ("answer", "issues"),
        [
            (
                {"version": 1},
                [
                    f"{name} is not a {kind}"
                    for name, kind in [
                        *(("version", "list"), ("path", "list"), ("zope", "bool")),
                        ("files", "list"),
                    ]
                ],
            ),
            ({**START, "version": [3]}, []),
            ({**START, "version": [3, 9, 1]}, []),
            ({**START, "version": [3, True]}, ["version holds something that is not a int"]),
            ({**START, "path": [None]}, ["path holds something that is not a str"]),
            ({**START, "zope": 1}, ["zope is not a bool"]),
            ({**START, "files": [1]}, ["files holds something that is not a str"]),
        ],
    )
    def test_invalid(self, answer: Any, issues: list[str]) -> None:
        """Everything that is wrong is told at once."""
        if type(answer.get("version")) is not list or answer["version"] != [3, 11]:
            issues = [*issues, "version is not two numbers"]
        with pytest.raises(AnswerError) as caught:
            answers.started_from_untrusted(sent(answer))
        assert issues == caught.value.issues


class TestPromises:
    """What the child says of its sandbox."""

    def test_broken(self) -> None:
        """Those that do not hold are lines fit for a terminal, of bounded length."""
        answer = sent({"promises": ["it can write", "\x1b[2J", "x" * 9999]})
        expected = Started(promises=("it can write", "\\x1b[2J", "x" * 500))
        assert expected == answers.started_from_untrusted(answer)

    @pytest.mark.parametrize("value", [None, "text", [1]])
    def test_invalid(self, value: Any) -> None:
        """Nonsense is not taken for a sandbox that holds."""
        with pytest.raises(AnswerError):
            answers.started_from_untrusted(sent({"promises": value}))


class TestObserved:
    """What has been looked at, in any answer."""

    def observed(self, known: list[tuple[str, ...]] | None = None, **parts: Any) -> Observed:
        """Return what an answer with some other parts says."""
        answer = sent({"observed": {**OBSERVED, **parts}})
        return answers.observed_from_untrusted(answer, [] if known is None else known)

    def test_valid(self) -> None:
        """Files, directories, and names with the path they were looked for on."""
        expected = Observed(frozenset(["/f"]), frozenset(["/d"]), frozenset([("a.b", ("/a",))]))
        assert expected == self.observed()

    def test_paths_go_on(self) -> None:
        """Search paths are numbered over all answers of a child."""
        paths: list[tuple[str, ...]] = [("/first",)]
        names = [["a", 0], ["b", 1]]
        expected = {("a", ("/first",)), ("b", ("/a",))}
        assert expected == self.observed(paths, names=names).names
        assert [("/first",), ("/a",)] == paths
        assert expected == self.observed(paths, paths=[], names=names).names

    @pytest.mark.parametrize("path", ["", "a.py", "/a/../b", "/a\0", "/" + "a" * 5000])
    def test_paths_that_are_none(self, path: str) -> None:
        """What is no plain absolute path is left out: this process will look at the others."""
        found = self.observed(files=[path], listed=[path], paths=[[path, "/a"]])
        assert Observed(names=frozenset([("a.b", ("/a",))])) == found

    @pytest.mark.parametrize("name", ["", "a b", "a/b", ".", "a" * 5000])
    def test_names_that_are_none(self, name: str) -> None:
        """What cannot be the name of a module is left out as well."""
        assert frozenset() == self.observed(names=[[name, 0]]).names

    @pytest.mark.parametrize(
        ("part", "value", "issue"),
        [
            ("files", None, "files is not a list"),
            ("files", ["/a"] * 20_001, "files holds more than 20000 values"),
            ("listed", [1], "listed holds something that is not a str"),
            ("paths", ["/a"], "paths holds something that is not a list"),
            ("names", [[]], "a module that was looked for is not a name and a path"),
            ("names", [["a"]], "a module that was looked for is not a name and a path"),
            ("names", [["a", 0, 0]], "a module that was looked for is not a name and a path"),
            ("names", [["a", 1]], "a module that was looked for is not a name and a path"),
            ("names", [["a", -1]], "a module that was looked for is not a name and a path"),
            ("names", [["a", False]], "a module that was looked for is not a name and a path"),
            ("names", [[1, 0]], "a module that was looked for is not a name and a path"),
        ],
        ids=[
            *("null", "many", "number", "text", "empty", "short", "long"),
            *("no such path", "negative", "boolean", "no name"),
        ],
    )
    def test_invalid(self, part: str, value: Any, issue: str) -> None:
        """Everything else is refused."""
        with pytest.raises(AnswerError) as caught:
            self.observed(**{part: value})
        assert issue == caught.value.issues[0]

    def test_missing(self) -> None:
        """An answer without any is no answer."""
        with pytest.raises(AnswerError) as caught:
            answers.observed_from_untrusted(sent({}), [])
        assert "observed is not a dict" == caught.value.issues[0]


class TestResolved:
    """The answer to "resolve"."""

    def test_valid(self) -> None:
        """Names, or a failure."""
        assert ("I", "J") == answers.resolved_from_untrusted(sent({"resolved": ["I", "J"]}))
        failure = {"error": "E", "traceback": "t", "passing": False}
        assert Failure("E", "t") == answers.resolved_from_untrusted(sent(failure))

    @pytest.mark.parametrize("value", [None, "I", [1]])
    def test_invalid(self, value: Any) -> None:
        """Everything else is refused."""
        with pytest.raises(AnswerError):
            answers.resolved_from_untrusted(sent({"resolved": value}))


class TestPackage:
    """The answer to "package"."""

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ({"found": ["/a", "/b"]}, ("/a", "/b")),
            ({"found": []}, ()),
            ({"found": None}, None),
            (
                {"error": "E: e", "traceback": "t\n", "passing": False},
                Failure("E: e", "t\n"),
            ),
            (
                {"error": "E: \x1b[2J\n", "traceback": "", "passing": True},
                Failure("E: \\x1b[2J\\n", "", True),
            ),
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
            ({"error": None, "traceback": "", "passing": True}, "error is not a str"),
            ({"error": "", "passing": True}, "traceback is not a str"),
            ({"error": "", "traceback": ""}, "passing is not a bool"),
            ({"error": "", "traceback": "", "passing": 1}, "passing is not a bool"),
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
        answer = sent({"error": "ValueError: \n", "traceback": "a\nb", "passing": False})
        assert Failure("ValueError: \\n", "a\nb") == answers.module_from_untrusted(answer)

    def test_bounded(self) -> None:
        """What is printed of it has a length for people, and few lines."""
        answer = sent({"error": "x" * 9999, "traceback": "y" * 9999, "passing": False})
        assert Failure("x" * 500, "y" * 4000) == answers.module_from_untrusted(answer)
        found = answers.module_from_untrusted(sent({**MODULE, "warnings": ["\n" + "x" * 999] * 99}))
        assert ("\\n" + "x" * 499,) * 20 == found.warnings

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
