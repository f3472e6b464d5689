"""Finding out who imports whom."""

from __future__ import annotations

import builtins
import importlib
import sys
import traceback
import types
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import Tree
from dropin_cache.update.payload import observation
from dropin_cache.update.payload.observation import ImportGraph

STATEMENTS = builtins.__import__, importlib.import_module


@pytest.fixture
def graph(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImportGraph]:
    """A graph of what is imported from the tree during a test."""
    monkeypatch.syspath_prepend(str(tree.path))
    monkeypatch.setattr(builtins, "__import__", builtins.__import__)
    monkeypatch.setattr(importlib, "import_module", importlib.import_module)
    found = ImportGraph()
    found.install()
    yield found
    monkeypatch.undo()
    assert (builtins.__import__, importlib.import_module) == STATEMENTS


def imports(graph: ImportGraph, tree: Tree, *modules: str) -> dict[str, Any]:
    """Import modules; return what these and others of the tree import."""
    for module in modules:
        newest = next(reversed(sys.modules))
        importlib.import_module(module)
        graph.attribute(module, newest)
    told = graph.report().items()
    prefix = str(tree.path)
    return {
        name: found
        for name, (file, found) in told
        if file is False or str(file).startswith(prefix) or name in modules
    }


class TestStatements:
    """What import statements say."""

    @pytest.fixture(autouse=True)
    def _modules(self, tree: Tree) -> None:
        tree.write("pack/__init__.py", "NUMBER = 1")
        tree.write("pack/inner/__init__.py", "NUMBER = 1")
        tree.write("pack/inner/leaf.py", "NUMBER = 1")
        tree.write("pack/other.py", "NUMBER = 1")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("import pack", ["pack"]),
            ("import pack.inner.leaf", ["pack", "pack.inner", "pack.inner.leaf"]),
            ("import pack.other as name", ["pack", "pack.other"]),
            ("from pack import NUMBER", ["pack"]),
            ("from pack import other", ["pack", "pack.other"]),
            ("from pack.other import *", ["pack", "pack.other"]),
            ("from pack.inner.leaf import NUMBER", ["pack", "pack.inner", "pack.inner.leaf"]),
            ("import importlib; importlib.import_module('pack.other')", ["pack", "pack.other"]),
            ("import importlib; importlib.import_module('.other', 'pack')", ["pack", "pack.other"]),
            ("def late(): import pack.other\nlate()", ["pack", "pack.other"]),
            ("exec('import pack')", ["pack"]),
            ("__import__('pack.other')", ["pack", "pack.other"]),
        ],
    )
    def test_from_outside(
        self, graph: ImportGraph, tree: Tree, text: str, expected: list[str]
    ) -> None:
        """A module imports what its statements name, and the packages around that."""
        tree.write("one.py", text)
        found = imports(graph, tree, "one")["one"]
        assert expected == [name for name in found if name.startswith("pack")]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("from . import leaf", ["pack", "pack.inner", "pack.inner.leaf"]),
            ("from .leaf import NUMBER", ["pack", "pack.inner", "pack.inner.leaf"]),
            ("from .. import other", ["pack", "pack.other"]),
            ("from ..other import NUMBER", ["pack", "pack.other"]),
            ("from .. import NUMBER", ["pack"]),
            ("del __package__\nfrom .. import other", ["pack", "pack.other"]),
            ("__package__ = None\nfrom .leaf import NUMBER", ["pack", "pack.inner"]),
        ],
    )
    @pytest.mark.filterwarnings("ignore:.*__package__:ImportWarning")
    @pytest.mark.filterwarnings("ignore:.*__package__:DeprecationWarning")
    def test_relative(self, graph: ImportGraph, tree: Tree, text: str, expected: list[str]) -> None:
        """So it does where they are relative."""
        tree.write("pack/inner/one.py", text)
        found = imports(graph, tree, "pack.inner.one")["pack.inner.one"]
        assert set(expected) <= set(found)
        assert {"pack.other", "pack.inner.leaf"} & set(found) <= {*expected, "pack.inner.leaf"}

    @pytest.mark.parametrize("text", ["from . import leaf", "from .leaf import NUMBER"])
    @pytest.mark.filterwarnings("ignore:.*__package__:ImportWarning")
    @pytest.mark.filterwarnings("ignore:.*__package__:DeprecationWarning")
    def test_relative_in_a_package(self, graph: ImportGraph, tree: Tree, text: str) -> None:
        """A package is where its own statements start, also if it does not say what it is."""
        tree.write("pack/inner/__init__.py", f"del __package__\n{text}")
        found = imports(graph, tree, "pack.inner")["pack.inner"]
        assert "pack.inner.leaf" in found

    def test_loaded_before(self, graph: ImportGraph, tree: Tree) -> None:
        """A module that another has loaded before is imported all the same."""
        tree.write("one.py", "import pack")
        tree.write("two.py", "from pack import NUMBER")
        assert {"one": ["pack"], "two": ["pack"], "pack": []} == imports(graph, tree, "one", "two")

    @pytest.mark.parametrize("text", ["import pack", "__import__('pack')"])
    def test_loaded_long_ago(self, graph: ImportGraph, tree: Tree, text: str) -> None:
        """Also if the statement is a call that does not say on whose behalf."""
        imports(graph, tree, "pack")
        tree.write("one.py", text)
        assert {"one": ["pack"]} == imports(graph, tree, "one")

    @pytest.mark.parametrize(
        "text",
        [
            "try: import missing\nexcept ImportError: pass",
            "import importlib\ntry: importlib.import_module('missing')\nexcept ImportError: pass",
        ],
    )
    def test_missing(self, graph: ImportGraph, tree: Tree, text: str) -> None:
        """What was looked for in vain is told as missing."""
        tree.write("one.py", text)
        found = imports(graph, tree, "one")
        assert [] == found["missing"]
        assert "missing" in found["one"]

    def test_missing_in_a_package(self, graph: ImportGraph, tree: Tree) -> None:
        """So is what was looked for in a package."""
        tree.write("one.py", "try: import pack.missing\nexcept ImportError: pass")
        found = imports(graph, tree, "one")
        assert {"one": ["pack", "pack.missing"], "pack": [], "pack.missing": []} == found

    def test_missing_name_in_a_package(self, graph: ImportGraph, tree: Tree) -> None:
        """So is what could be a module in a package, and is neither that nor anything else."""
        tree.write("one.py", "try: from pack import missing\nexcept ImportError: pass")
        found = imports(graph, tree, "one")
        assert {"one": ["pack", "pack.missing"], "pack": [], "pack.missing": []} == found

    @pytest.mark.parametrize(
        "way", ["import two", "import importlib; importlib.import_module('two')"]
    )
    @pytest.mark.parametrize(
        "text", ["1/0", "def", "import missing", "from pack import NOTHING", "raise KeyError(1)"]
    )
    def test_failed(self, graph: ImportGraph, tree: Tree, way: str, text: str) -> None:
        """What fails is not missing: its file is told, and what it imports."""
        tree.write("one.py", "try: import three\nexcept BaseException: pass")
        tree.write("three.py", way)
        tree.write("two.py", text)
        importlib.import_module("one")
        told = graph.report()
        assert [str(tree.path / "three.py"), str(tree.path / "two.py")] == [
            told["three"][0],
            told["two"][0],
        ]
        assert "three" in told["one"][1]
        assert "two" in told["three"][1]
        assert ("missing" in text) == ("missing" in told["two"][1])

    def test_failed_relatively(self, graph: ImportGraph, tree: Tree) -> None:
        """Also if the name is a relative one."""
        text = "import importlib\ntry: importlib.import_module('.two', 'pack')\nexcept: pass"
        tree.write("one.py", text)
        tree.write("pack/two.py", "def")
        importlib.import_module("one")
        assert [str(tree.path / "pack" / "two.py"), []] == graph.report()["pack.two"]

    def test_failed_and_mended(self, graph: ImportGraph, tree: Tree) -> None:
        """A module that failed is told again when it does not any more."""
        tree.write("one.py", "try: import two\nexcept ImportError: pass")
        tree.write("two.py", "import missing")
        assert ["missing"] == imports(graph, tree, "one")["two"]
        tree.write("missing.py")
        importlib.invalidate_caches()
        tree.write("three.py", "import two")
        assert {"three": ["two"], "missing": []} == imports(graph, tree, "three")

    @pytest.mark.parametrize("name", ["NUMBER", "late"])
    def test_name_that_is_no_module(self, graph: ImportGraph, tree: Tree, name: str) -> None:
        """What a package has or makes when it is asked for is no module of its own."""
        tree.write("pack/__init__.py", "NUMBER = 1\ndef __getattr__(name): return name")
        tree.write("one.py", f"from pack import {name}")
        found = imports(graph, tree, "one")
        # Of what it makes, nobody can tell without asking for it twice.
        late = ["pack.late"] if name == "late" else []
        assert ["pack", *late] == found["one"]

    def test_name_in_something_odd(self, graph: ImportGraph, tree: Tree) -> None:
        """What takes the place of a package and cannot be asked is left in peace."""
        tree.write(
            "pack/__init__.py",
            """
            import sys
            class Odd:
                __slots__ = ()
                __path__ = []
                __spec__ = None
                def __getattr__(self, name):
                    if name == "__dict__":
                        raise RuntimeError
                    return name
            sys.modules[__name__] = Odd()
            """,
        )
        tree.write("one.py", "from pack import anything as __doc__")
        assert ["pack"] == imports(graph, tree, "one")["one"]
        assert "anything" == sys.modules["one"].__doc__

    def test_without_a_name(self, graph: ImportGraph, tree: Tree) -> None:
        """What code loads that does not say who it is belongs to what is being imported."""
        tree.write("one.py", "exec('import pack', {})")
        assert ["pack"] == imports(graph, tree, "one")["one"]

    def test_program(self, graph: ImportGraph) -> None:
        """What the program imports itself is nobody's: it would be told more with each drop-in."""
        code = "import importlib, pack\nimportlib.import_module('pack.other')"
        exec(code, {"__name__": "__main__", "__spec__": None})  # noqa: S102 - as python -c
        assert "__main__" not in graph.report()

    def test_nonsense(self, graph: ImportGraph, tree: Tree) -> None:
        """Whatever a module calls itself, and puts into the table of modules, does no harm."""
        tree.write(
            "one.py",
            """
            import sys
            class Odd:
                def __getattr__(self, name):
                    raise RuntimeError
            sys.modules["odd"] = Odd()
            sys.modules[1] = None
            __name__ = 7
            import pack
            try:
                import odd
            except RuntimeError:  # from Python 3.13 the import statement asks it something
                pass
            """,
        )
        try:
            found = imports(graph, tree, "one")
        finally:
            del sys.modules[1]
        assert {"odd", "pack"} <= set(found["one"])


class TestAttribute:
    """What is loaded without a statement."""

    def test_other_ways(self, graph: ImportGraph, tree: Tree) -> None:
        """A module that another loads in some other way is its own doing."""
        tree.write("loaded.py")
        tree.write(
            "one.py",
            """
            import sys
            from importlib import util
            spec = util.find_spec("loaded")
            sys.modules["loaded"] = util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules["loaded"])
            """,
        )
        assert "loaded" in imports(graph, tree, "one")["one"]

    def test_by_somebody_else(self, graph: ImportGraph, tree: Tree) -> None:
        """What a statement elsewhere has loaded is not."""
        tree.write("one.py", "import two")
        tree.write("two.py", "import three")
        tree.write("three.py")
        found = imports(graph, tree, "one")
        assert {"one": ["two"], "two": ["three"], "three": []} == found


class TestReport:
    """What is told, and when."""

    def test_once(self, graph: ImportGraph, tree: Tree) -> None:
        """What has been told is not told again."""
        tree.write("one.py", "import two")
        tree.write("two.py")
        imports(graph, tree, "one")
        assert {} == imports(graph, tree, "one")

    def test_more(self, graph: ImportGraph, tree: Tree) -> None:
        """A module that imports more later is told again, whole."""
        tree.write("one.py", "import two\ndef more(): import three")
        tree.write("two.py")
        tree.write("three.py")
        imports(graph, tree, "one")
        sys.modules["one"].more()
        assert {"one": ["three", "two"], "three": []} == imports(graph, tree)

    def test_appears(self, graph: ImportGraph, tree: Tree) -> None:
        """So is one that was missing, once it is there."""
        tree.write("one.py", "try: import two\nexcept ImportError: pass")
        tree.write("three.py", "import two")
        assert [] == imports(graph, tree, "one")["two"]
        tree.write("two.py", "import four")
        tree.write("four.py")
        importlib.invalidate_caches()
        assert {"three": ["two"], "two": ["four"], "four": []} == imports(graph, tree, "three")

    def test_files(self, graph: ImportGraph, tree: Tree) -> None:
        """A module has a file, or an archive, or none, or is missing."""
        with zipfile.ZipFile(tree.write("archive.zip"), "w") as archive:
            archive.writestr("packed.py", "")
        (tree.path / "space").mkdir()
        relative = types.ModuleType("relative")
        relative.__file__ = "relative.py"
        sys.modules["relative"] = relative
        sys.path.insert(0, str(tree.path / "archive.zip"))
        tree.write("one.py", "import sys, packed, space, relative")
        importlib.import_module("one")
        told = graph.report()
        assert {
            "one": str(tree.path / "one.py"),
            "packed": str(tree.path / "archive.zip"),
            "space": None,
            "relative": None,
            "sys": None,
        } == {name: told[name][0] for name in ("one", "packed", "space", "relative", "sys")}


class TestFilesOfLoadedModules:
    """The files of everything in this process."""

    def test_sorted(self) -> None:
        """They are absolute paths, each once."""
        files = observation.files_of_loaded_modules()
        assert sorted(set(files)) == files
        assert __file__ in files
        assert {"/"} == {file[0] for file in files}


class TestWithoutFramesOfOurs:
    """Tracebacks of drop-ins."""

    def frames(self, error: BaseException) -> list[str]:
        """Return the files in a traceback, also of the errors that led to it."""
        report: Any = traceback.TracebackException.from_exception(error)
        observation.without_frames_of_ours(report)
        text = "".join(report.format())
        return [line.split('"')[1] for line in text.splitlines() if line.startswith("  File")]

    @pytest.mark.parametrize(
        "text",
        [
            "import missing",
            "try: 1/0\nexcept ZeroDivisionError: import missing",
            "try: import missing\nexcept ImportError as error: raise ValueError from error",
        ],
        ids=["alone", "context", "cause"],
    )
    def test_left_out(self, graph: ImportGraph, tree: Tree, text: str) -> None:
        """Nobody is shown the machinery that looks on."""
        file = tree.write("one.py", text)
        with pytest.raises((ImportError, ValueError)) as caught:
            importlib.import_module("one")
        frames = self.frames(caught.value)
        assert observation.__file__ not in frames
        assert str(file) in frames
