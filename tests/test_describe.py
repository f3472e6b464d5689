"""Tests of describing the plugins of a module, as far as that happens in one process."""

from __future__ import annotations

import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from zope.interface import Interface, directlyProvides, implementer
from zope.interface.interface import InterfaceClass

from conftest import run_python
from dropin_cache import IPlugin
from dropin_cache._describe import (
    attribute,
    describe,
    docstring,
    find_plugins,
    names_of,
    references_to,
)
from reader_support import LIBRARY


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

    def test_passed_on(self) -> None:
        """What is no error of the object is raised."""

        def interrupt(*_: Any) -> Any:
            raise KeyboardInterrupt

        bad = type("Bad", (), {"__conform__": interrupt})()
        with pytest.raises(KeyboardInterrupt):
            list(find_plugins(module_of(bad=bad), silent, KeyboardInterrupt))

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

    @pytest.mark.processes
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


class Later:
    """Stands for what is imported lazily, where Python does not know that yet."""

    def __init__(self, resolve: Any) -> None:
        self.resolve = resolve


def lazily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statements: str) -> types.ModuleType:
    """Return a module that imports lazily from another one, which has a plugin."""
    text = "from test_describe import Plugin\nthing = Plugin()\nbad = 3\n"
    (tmp_path / "lazy_helper.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    if sys.version_info >= (3, 15):
        (tmp_path / "lazy_sample.py").write_text(statements)
        return importlib.import_module("lazy_sample")
    monkeypatch.setattr(types, "LazyImportType", Later, raising=False)
    module = types.ModuleType("lazy_sample")
    for line in statements.splitlines():
        _, _, source, _, name = line.split()
        resolve = f"lambda: getattr(__import__({source!r}), {name!r})"
        setattr(module, name, Later(eval(resolve)))  # noqa: S307 - of the lines below
    return module


class TestLazyImports:
    """PEP 810: names of a module that stand for something not imported yet."""

    def test_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A plugin that is imported lazily is one like any other; the module keeps its names."""
        statements = "lazy from lazy_helper import bad\nlazy from lazy_helper import thing\n"
        module = lazily(tmp_path, monkeypatch, statements)
        assert "lazy_helper" not in sys.modules
        names = list(vars(module))
        assert ["thing"] == found(module)
        assert names == list(vars(module))

    def test_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What cannot be imported is told, and hides no other."""
        statements = "lazy from no_such import none\nlazy from lazy_helper import thing\n"
        module = lazily(tmp_path, monkeypatch, statements)
        warnings: list[str] = []
        names = [name for name, _, _ in find_plugins(module, warnings.append)]
        assert ["thing"] == names
        (warning,) = warnings
        assert warning.startswith("lazy_sample.none left out: ")
        assert "no_such" in warning


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

    def test_in_a_class(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An attribute of a class in the module is named by its qualified name."""
        module = types.ModuleType("sample")
        monkeypatch.setitem(sys.modules, "sample", module)
        code = """
from zope.interface import Interface
class Host:
    class Inner:
        class IDeep(Interface): pass
    class IExt(Interface): pass
    Inner.above = property
class Renamed:
    class IOld(Interface): pass
    IRenewed = IOld
    del IOld
Alias = Host
"""
        exec(code, vars(module))  # noqa: S102 - a module without a file
        wanted = [module.Host.IExt, module.Host.Inner.IDeep, module.Renamed.IRenewed]
        names = ["Host.IExt", "Host.Inner.IDeep", "Renamed.IRenewed"]
        references = references_to(wanted, "plugin", silent)
        assert [("sample", name) for name in names] == references
        assert wanted == [attribute(module, name) for _, name in references]
        del module.Host, module.Alias
        assert [] == references_to(wanted[:2], "plugin", lambda _: None)

    def test_module_that_interrupts(self) -> None:
        """Ctrl-C while a module is asked says nothing about it."""

        def interrupt(name: str) -> Any:
            raise KeyboardInterrupt

        module = module_of(__getattr__=interrupt)
        with pytest.raises(KeyboardInterrupt):
            attribute(module, "IAny")

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


def test_stands_alone() -> None:
    """The module imports nothing but the standard library until it is asked for plugins."""
    source = (LIBRARY / "dropin_cache/_describe.py").read_text(encoding="utf-8")
    namespace = {"__name__": "not_main"}
    before = set(sys.modules)
    exec(compile(source, "child", "exec"), namespace)  # noqa: S102 - as the writer does
    assert not [name for name in set(sys.modules) - before if name.startswith("dropin_cache")]
