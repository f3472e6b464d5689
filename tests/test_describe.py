"""Tests of describing the plugins of a module, as far as that happens in one process."""

from __future__ import annotations

import importlib
import json
import os
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
from zope.interface import Interface, directlyProvides, implementer
from zope.interface.interface import InterfaceClass

from conftest import run_python
from dropin_cache import IPlugin
from dropin_cache._describe import (
    describe,
    docstring,
    find_plugins,
    names_of,
    references_to,
)
from dropin_cache.update._program import serve
from reader_support import LIBRARY, use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Tree


class IFound(Interface):
    """An interface that can be found by its name."""


class IFoundToo(IFound):
    """An interface that inherits from another."""


@implementer(IPlugin, IFound)
class Plugin:
    """A plugin class.

    With a second paragraph.
    """


# Indentation is removed, as the compiler does by itself from Python 3.13.
DESCRIPTION = "A plugin class.\n\nWith a second paragraph.\n"


def silent(warning: str) -> None:
    """Fail if there is a warning."""
    raise AssertionError(warning)


def module_of(**contents: Any) -> types.ModuleType:
    """Make a module."""
    module = types.ModuleType("sample")
    vars(module).update(contents)
    return module


def found(module: types.ModuleType) -> list[str]:
    """Return the names of the plugins of a module, of which none may be warned about."""
    return [name for name, _, _ in find_plugins(module, silent)]


def local(*bases: Any) -> Any:
    """Make an interface that no module has under its name."""
    return InterfaceClass("ILocal", bases or (Interface,), __module__="sample")


class TestFindPlugins:
    """Finding the plugins of a module."""

    def test_facts(self) -> None:
        """Each has its name, its docstring, and the interfaces it provides in order."""
        expected = [("one", DESCRIPTION, [IPlugin, IFound])]
        assert expected == list(find_plugins(module_of(one=Plugin()), silent))

    def test_order_of_definition(self) -> None:
        """They come in the order of their definition."""
        assert found(module_of(z=Plugin(), a=Plugin(), m=Plugin())) == ["z", "a", "m"]

    def test_others(self) -> None:
        """What does not provide the marker is none: other objects, interfaces, the class itself."""
        other = type("Other", (), {})()
        directlyProvides(other, IFound)
        module = module_of(Plugin=Plugin, IFound=IFound, IPlugin=IPlugin, other=other, n=None)
        assert [] == found(module)

    def test_kinds(self) -> None:
        """Classes, modules and functions can be plugins."""

        def function() -> None:
            pass

        things = {"cls": type("C", (), {}), "function": function, "mod": types.ModuleType("m")}
        for thing in things.values():
            directlyProvides(thing, IPlugin)
        assert list(things) == found(module_of(**things))

    def test_names_do_not_matter(self) -> None:
        """Private names count, and __all__ has no say."""
        assert found(module_of(__all__=[], _private=Plugin())) == ["_private"]

    def test_one_object_two_names(self) -> None:
        """An object with two names is two plugins, as in Twisted."""
        plugin = Plugin()
        assert found(module_of(one=plugin, two=plugin)) == ["one", "two"]

    def test_marker_inherited(self) -> None:
        """An interface that extends the marker marks as well."""
        thing = type("Thing", (), {})()
        directlyProvides(thing, local(IPlugin))
        assert found(module_of(thing=thing)) == ["thing"]

    def test_marker_of_twisted(self) -> None:
        """Twisted's marker counts as ours does."""
        marker = importlib.import_module("twisted.plugin").IPlugin
        thing = type("Thing", (), {})()
        directlyProvides(thing, marker)
        assert found(module_of(thing=thing, ours=Plugin())) == ["thing", "ours"]

    def test_adapted(self) -> None:
        """What adapts itself to the marker counts; the interfaces are the adapter's."""

        class Adapting:
            """Adapts itself."""

            def __conform__(self, interface: Any) -> Any:
                return Plugin() if interface is IPlugin else None

        expected = [("one", "Adapts itself.", [IPlugin, IFound])]
        assert expected == list(find_plugins(module_of(one=Adapting()), silent))

    def test_conforms_to_everything(self) -> None:
        """What claims to conform to everything, and provides nothing, is no plugin."""
        thing = type("Obliging", (), {"__conform__": lambda self, interface: object()})()
        assert [] == found(module_of(thing=thing))

    @pytest.mark.parametrize("error", [ValueError("No.\nNo."), SystemExit(3), KeyboardInterrupt()])
    @pytest.mark.parametrize("method", ["__conform__", "__getattr__", "__getattribute__"])
    def test_object_that_raises(self, error: BaseException, method: str) -> None:
        """An object that does not let itself be looked at is reported and hides no other."""

        def fail(*_: Any) -> Any:
            raise error

        bad = type("Bad", (), {method: fail})()
        warnings: list[str] = []
        module = module_of(before=Plugin(), bad=bad, after=Plugin())
        names = [name for name, _, _ in find_plugins(module, warnings.append)]
        assert names == ["before", "after"]
        assert [f"sample.bad left out: {type(error).__name__}"] == [
            warning.partition(": ")[0] + ": " + warning.partition(": ")[2].partition(":")[0]
            for warning in warnings
        ]
        assert "\n" not in warnings[0]

    def test_error_with_notes(self) -> None:
        """The warning names the error, though notes were added to it."""
        error = ValueError("the reason")
        error.__notes__ = ["a note"]

        def fail(*_: Any) -> Any:
            raise error

        warnings: list[str] = []
        bad = type("Bad", (), {"__conform__": fail})()
        assert [] == list(find_plugins(module_of(bad=bad), warnings.append))
        assert "ValueError: the reason" in warnings[0]

    def test_error_that_cannot_be_shown(self) -> None:
        """An error that raises when it is printed is reported and hides no other object."""
        # In a child, because such an error ends a test run as well.
        done = run_python(
            """
            import types
            from zope.interface import implementer
            from dropin_cache import IPlugin
            from dropin_cache._describe import find_plugins

            class Evil(Exception):
                __cause__ = __context__ = property(lambda self: 1 / 0)
                def __str__(self):
                    raise SystemExit

            class Bad:
                def __conform__(self, interface):
                    raise Evil

            @implementer(IPlugin)
            class Good:
                pass

            module = types.ModuleType("sample")
            module.bad, module.good = Bad(), Good()
            warnings = []
            print([name for name, _, _ in find_plugins(module, warnings.append)])
            print("Evil" in warnings[0])
            """,
            path=[LIBRARY],
        )
        assert (done.stdout, done.stderr) == ("['good']\nTrue\n", "")

    def test_provides_nonsense(self) -> None:
        """An object that claims to provide things that are no interfaces hides no other."""

        class Specification(list):
            extends = None

            def __contains__(self, item: Any) -> bool:
                return True

            def __call__(self, *_: Any) -> bool:
                return True

            @property
            def _implied(self) -> Any:
                return self

        bad = type("Bad", (), {})()
        bad.__providedBy__ = Specification(["nonsense", None])
        record = describe(module_of(bad=bad, good=Plugin()))
        assert record["plugins"][-1]["name"] == "good"

    def test_names_that_are_no_text(self) -> None:
        """A module's dictionary can have other keys; they are passed over."""
        module = module_of(good=Plugin())
        vars(module)[3] = Plugin()
        assert found(module) == ["good"]

    def test_objects_that_change_the_module(self) -> None:
        """An object that defines names when it is looked at does not disturb the search."""
        module = module_of()

        def define(self: Any, interface: Any) -> None:
            vars(module)[f"new{len(vars(module))}"] = None

        module.bad = type("Bad", (), {"__conform__": define})()
        module.good = Plugin()
        assert found(module) == ["good"]

    @pytest.mark.parametrize("documentation", [3, None, b"bytes", ["list"]])
    def test_docstring_that_is_none(self, documentation: Any) -> None:
        """A docstring that is no text counts as none."""
        plugin = Plugin()
        plugin.__doc__ = documentation
        ((_, description, _),) = find_plugins(module_of(plugin=plugin), silent)
        assert description is None


class TestReferencesTo:
    """Naming interfaces."""

    def test_names(self) -> None:
        """An interface is named by its module and its name in it."""
        expected = [(__name__, "IFound"), ("dropin_cache", "IPlugin")]
        assert expected == references_to([IFound, IPlugin], "plugin", silent)

    def test_left_out(self) -> None:
        """What cannot be found by its name is left out with a warning; others stay."""
        rebound = InterfaceClass("IFound", __module__=__name__)
        warnings: list[str] = []
        references = references_to([local(), IFound, rebound], "a.plugin", warnings.append)
        assert [(__name__, "IFound")] == references
        assert [["a.plugin: interface ILocal", True], ["a.plugin: interface IFound", True]] == [
            [warning.partition(" left out: ")[0], "left out" in warning] for warning in warnings
        ]

    def test_what_it_extends_stays(self) -> None:
        """In the place of one that is left out come those it extends, as far as they have names."""
        references = references_to([local(local(IFound), IPlugin)], "plugin", lambda _: None)
        assert [(__name__, "IFound"), ("dropin_cache", "IPlugin")] == references

    def test_module_that_raises(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A module that raises when it is asked for a name has no such name."""
        module = types.ModuleType("sample")

        def fail(name: str) -> Any:
            raise KeyError(name)

        module.__getattr__ = fail
        monkeypatch.setitem(sys.modules, "sample", module)
        warnings: list[str] = []
        assert [] == references_to([local()], "plugin", warnings.append)
        assert len(warnings) == 1

    def test_no_module(self) -> None:
        """An interface made in a place without a name is left out."""
        place: dict[str, Any] = {"InterfaceClass": InterfaceClass}
        exec("nameless = InterfaceClass('INameless')", place)  # noqa: S102 - has no __name__
        warnings: list[str] = []
        assert [] == references_to([place["nameless"]], "plugin", warnings.append)
        assert len(warnings) == 1


class TestNamesOf:
    """Naming everything that is provided."""

    def test_inherited(self) -> None:
        """Inherited interfaces and the root of all are in it, sorted, each once."""
        expected = [
            "dropin_cache.IPlugin",
            f"{__name__}.IFound",
            f"{__name__}.IFoundToo",
            "zope.interface.Interface",
        ]
        assert sorted(expected) == names_of([IFoundToo, IFound, IPlugin])

    def test_nothing(self) -> None:
        """Who provides nothing has no names."""
        assert names_of([]) == []


class TestDocstring:
    """Docstrings."""

    def test_plain(self) -> None:
        """A text is itself."""
        assert docstring("text") == "text"

    def test_disguised(self) -> None:
        """A text of a class of its own becomes a plain one, whatever it says it is."""
        disguised = type("Disguised", (str,), {"__str__": lambda self: "other"})("text")
        result = docstring(disguised)
        assert (str, "text") == (type(result), result)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", ""),
            ("   first", "first"),
            ("first\n    second\n    third", "first\nsecond\nthird"),
            ("first\n    second\n      third\n", "first\nsecond\n  third\n"),
            ("first\n\n    second\n\n    ", "first\n\nsecond\n\n"),
            ("first\n\tsecond\n\t\tthird", "first\nsecond\n        third"),
            ("first\nsecond\n  third", "first\nsecond\n  third"),
            ("\n    first\n", "\nfirst\n"),
        ],
    )
    def test_indentation(self, text: str, expected: str) -> None:
        """Indentation that all lines but the first have in common is removed."""
        assert expected == docstring(text)
        assert expected == docstring(expected)
        compiled = compile(repr(text), "source", "exec")
        if sys.version_info >= (3, 13):
            assert expected == compiled.co_consts[0]

    @pytest.mark.parametrize("value", [None, 3, b"text"])
    def test_no_text(self, value: Any) -> None:
        """Anything else is None."""
        assert docstring(value) is None


class TestDescribe:
    """Describing a module."""

    def test_record(self) -> None:
        """The record has everything that the protocol names, and nothing that JSON has not."""
        module = module_of(one=Plugin())
        module.__doc__ = "The module."
        expected = {
            "description": "The module.",
            "warnings": [],
            "plugins": [
                {
                    "name": "one",
                    "description": DESCRIPTION,
                    "provided": [["dropin_cache", "IPlugin"], [__name__, "IFound"]],
                    "interfaces": sorted(
                        ["dropin_cache.IPlugin", f"{__name__}.IFound", "zope.interface.Interface"]
                    ),
                }
            ],
        }
        assert expected == json.loads(json.dumps(describe(module)))

    def test_warnings(self) -> None:
        """Warnings are in the record, cut to their limit."""
        bad = type("Bad", (), {"__conform__": lambda self, _: 1 / 0})()
        thing = type("Thing", (), {})()
        directlyProvides(thing, IPlugin, local())
        record = describe(module_of(**{"b" * 600: bad, "thing": thing}))
        assert len(record["warnings"]) == 2
        assert [500, True] == [len(record["warnings"][0]), len(record["warnings"][1]) < 500]
        assert [["dropin_cache", "IPlugin"]] == [
            list(pair) for pair in record["plugins"][0]["provided"]
        ]


@pytest.fixture
def sample_package(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A plugin package on the path, which tests may ask the server for."""
    use(tree, monkeypatch)
    return tree


class TestServe:
    """Answering requests."""

    @pytest.fixture(autouse=True)
    def _path(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(sys, "path", list(sys.path))
        yield
        sys.modules.pop("sample_fork", None)

    def ask(self, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        """Send requests and return the answers."""
        ours, theirs = os.pipe()
        answers, back = os.pipe()
        os.write(theirs, b"".join(json.dumps(each).encode() + b"\n" for each in requests))
        os.close(theirs)
        serve(ours, back)
        os.close(back)
        with open(answers, encoding="ascii") as lines:
            return [json.loads(line) for line in lines]

    def test_nothing(self) -> None:
        """Without requests there are no answers."""
        assert self.ask() == []

    def test_start(self, tmp_path: Any) -> None:
        """Directories are put in front of the path, which is reported without odd entries."""
        sys.path.append("")
        sys.path.append(3)  # type: ignore[arg-type]
        (answer,) = self.ask({"do": "start", "path": [str(tmp_path)]})
        assert sys.path[0] == str(tmp_path)
        assert "" not in sys.path
        assert [entry for entry in sys.path if isinstance(entry, str)] == answer["path"]
        assert [list(sys.version_info[:2]), True] == [answer["version"], answer["zope"]]

    def test_start_without_zope(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """That zope.interface cannot be imported is an answer, not an error."""
        monkeypatch.setitem(sys.modules, "zope.interface", None)
        (answer,) = self.ask({"do": "start", "path": []})
        assert answer["zope"] is False

    def test_package(self, sample_package: Tree) -> None:
        """A plugin package is answered with the directories it has."""
        (answer,) = self.ask({"do": "package", "name": "app.plugins"})
        assert answer["found"][0] == str(sample_package.path / "app/plugins")

    @pytest.mark.parametrize("name", ["app.none", "none.at.all", "app.interfaces.plugins"])
    def test_package_not_installed(self, sample_package: Tree, name: str) -> None:
        """A package that is not there, or not all of it, is answered with null."""
        assert self.ask({"do": "package", "name": name}) == [{"found": None}]

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            ("import none_at_all", "ModuleNotFoundError: No module named 'none_at_all'"),
            ("raise ModuleNotFoundError('odd')", "ModuleNotFoundError: odd"),
            ("raise SystemExit(3)", "SystemExit: 3"),
            ("1 / 0", "ZeroDivisionError: division by zero"),
        ],
    )
    def test_package_broken(self, sample_package: Tree, code: str, error: str) -> None:
        """A package that fails is answered with the error, whatever it misses."""
        sample_package.write("app/broken/__init__.py", code)
        (answer,) = self.ask({"do": "package", "name": "app.broken"})
        assert error == answer["error"]
        assert "app/broken/__init__.py" in answer["traceback"]

    def test_package_that_is_a_module(self, sample_package: Tree) -> None:
        """A module that is no package is answered with an error."""
        (answer,) = self.ask({"do": "package", "name": "app.interfaces"})
        assert answer["error"].startswith("AttributeError")

    def test_module(self, sample_package: Tree) -> None:
        """A drop-in is answered with its record."""
        sample_package.dropin("friendly")
        (answer,) = self.ask({"do": "module", "name": "app.plugins.friendly"})
        assert answer["description"] == "The drop-in friendly."
        assert [["dropin_cache", "IPlugin"], ["app.interfaces", "IGreeter"]] == answer["plugins"][
            0
        ]["provided"]

    def test_module_broken(self, sample_package: Tree) -> None:
        """One that fails is answered with the error within the limits, and the next one follows."""
        sample_package.write("app/plugins/broken.py", "raise ValueError('x' * 9000 + '\\nend')")
        sample_package.dropin("friendly")
        broken, good = self.ask(
            {"do": "module", "name": "app.plugins.broken"},
            {"do": "module", "name": "app.plugins.friendly"},
        )
        assert {"error", "traceback"} == set(broken)
        assert broken["error"].startswith("ValueError: xxx")
        assert [500, 4000] == [len(broken["error"]), len(broken["traceback"])]
        assert good["description"] == "The drop-in friendly."

    def test_module_broken_beyond_words(self, sample_package: Tree) -> None:
        """One whose error cannot be shown is answered with the error's name."""
        sample_package.write(
            "app/plugins/evil.py",
            """
            class Evil(Exception):
                __cause__ = __context__ = property(lambda self: 1 / 0)

            raise Evil
            """,
        )
        (answer,) = self.ask({"do": "module", "name": "app.plugins.evil"})
        assert answer == {"error": "Evil", "traceback": ""}

    def test_module_with_a_syntax_error(self, sample_package: Tree) -> None:
        """A syntax error is named as such."""
        sample_package.write("app/plugins/broken.py", "def\n")
        (answer,) = self.ask({"do": "module", "name": "app.plugins.broken"})
        assert answer["error"].startswith("SyntaxError: ")

    def test_module_that_forks(self, sample_package: Tree) -> None:
        """One that forks is an error, its offspring answers nothing, and the next one follows."""
        sample_package.write(
            "app/plugins/forking.py",
            """
            import os, warnings
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                child = os.fork()
            if child:
                os.waitpid(child, 0)
            """,
        )
        sample_package.dropin("friendly")
        forking, good = self.ask(
            {"do": "module", "name": "app.plugins.forking"},
            {"do": "module", "name": "app.plugins.friendly"},
        )
        assert forking["error"] == "it forks when it is imported"
        assert good["description"] == "The drop-in friendly."

    def test_unknown(self) -> None:
        """A request that nobody knows is answered with an error."""
        (answer,) = self.ask({"do": "dance"})
        assert answer["error"].startswith("AttributeError")

    def test_undecodable_texts(self, sample_package: Tree) -> None:
        """Texts that no encoding has are answered as they are."""
        sample_package.write("app/plugins/odd.py", "__doc__ = '\\udc80\\n\\N{SNOWMAN}'")
        (answer,) = self.ask({"do": "module", "name": "app.plugins.odd"})
        assert answer["description"] == "\udc80\n\N{SNOWMAN}"

    def test_replaced_functions(self, sample_package: Tree) -> None:
        """A drop-in that replaces os.write or the json module cannot speak for the child."""
        sample_package.write(
            "app/plugins/greedy.py",
            """
            import json, os
            before = os.write, json.dumps
            os.write = json.dumps = None
            """,
        )
        try:
            (answer,) = self.ask({"do": "module", "name": "app.plugins.greedy"})
        finally:
            os.write, json.dumps = sys.modules["app.plugins.greedy"].before
        assert answer["plugins"] == []


def test_stands_alone() -> None:
    """The module imports nothing but the standard library until it is asked for plugins."""
    source = (LIBRARY / "dropin_cache/_describe.py").read_text(encoding="utf-8")
    namespace = {"__name__": "not_main"}
    before = set(sys.modules)
    exec(compile(source, "child", "exec"), namespace)  # noqa: S102 - as the writer does
    assert not [name for name in set(sys.modules) - before if name.startswith("dropin_cache")]
