"""Noting what an import looks at."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from conftest import Tree
from dropin_cache.update.payload import observation
from dropin_cache.update.payload.observation import Observation

# An audit hook stays for as long as its process, so each test has one of its own.
RUN = """
import json, sys
from dropin_cache.update.payload.observation import Observation
sys.path[:0] = [{path!r}]
noted = Observation()
noted.install()
{code}
print(json.dumps(noted.report()))
"""


def observed(tree: Tree, code: str) -> dict[str, Any]:
    """Run code in another process; return what it has looked at, as it is reported."""
    tree.path.mkdir(exist_ok=True)
    program = RUN.format(path=str(tree.path), code=textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], cwd=tree.path, capture_output=True, check=False
    )
    assert b"" == done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def names(report: dict[str, Any]) -> set[str]:
    """Return the modules that were looked for."""
    return {name for name, _ in report["names"]}


@pytest.fixture
def modules(tree: Tree) -> Tree:
    """A tree with a package."""
    tree.write("pack/__init__.py")
    tree.write("pack/other.py")
    tree.write("one.py", "import pack.other")
    return tree


class TestModules:
    """Modules that are looked for."""

    @pytest.mark.parametrize(
        "code",
        [
            "import pack.other",
            "from pack import other",
            "from pack.other import *",
            "import importlib; importlib.import_module('pack.other')",
            "import importlib; importlib.import_module('.other', 'pack')",
            "__import__('pack.other')",
            "exec('import pack.other', {})",
            "import one",
            "def late(): import pack.other\nlate()",
        ],
    )
    def test_found(self, modules: Tree, code: str) -> None:
        """Each is noted with its files, whichever way it is imported."""
        report = observed(modules, code)
        assert {"pack", "pack.other"} <= names(report)
        for file in ("pack/__init__.py", "pack/other.py"):
            assert str(modules.path / file) in report["files"]

    @pytest.mark.parametrize(
        "code",
        [
            "try: import pack.missing\nexcept ImportError: pass",
            "try: from pack import missing\nexcept ImportError: pass",
            "import importlib.util; importlib.util.find_spec('pack.missing')",
        ],
    )
    def test_in_vain(self, modules: Tree, code: str) -> None:
        """So is what is not there: it can come."""
        assert "pack.missing" in names(observed(modules, code))

    def test_search_path(self, modules: Tree) -> None:
        """It is known where each was looked for."""
        report = observed(modules, "import pack.other")
        where = {name: report["paths"][number] for name, number in report["names"]}
        assert str(modules.path) == where["pack"][0]
        assert [str(modules.path / "pack")] == where["pack.other"]

    def test_fails(self, modules: Tree) -> None:
        """What a module looked at before it failed counts as well."""
        modules.write("bad.py", "import pack.other\n1/0")
        report = observed(modules, "try: import bad\nexcept ZeroDivisionError: pass")
        assert {"bad", "pack.other"} <= names(report)
        assert str(modules.path / "bad.py") in report["files"]

    def test_compiled(self, modules: Tree) -> None:
        """A compiled file stands for its source."""
        compiled = importlib.util.cache_from_source(str(modules.path / "pack" / "other.py"))
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(modules.path)], check=True)
        assert os.path.exists(compiled)
        report = observed(modules, "import pack.other")
        assert str(modules.path / "pack" / "other.py") in report["files"]
        assert [] == [file for file in report["files"] if "__pycache__" in file]

    def test_nothing_is_found_by_it(self) -> None:
        """It leaves finding modules to others, and changes nothing."""
        noted = Observation()
        assert None is noted.find_spec("json")
        assert [["json", 0]] == [list(each) for each in noted.report()["names"]]

    @pytest.mark.parametrize("path", [None, ["/a", 1, Path("/b")], ()])
    def test_odd_paths(self, path: Any) -> None:
        """Whatever is on a search path, what is text of it is noted."""
        noted = Observation()
        noted.find_spec("name", path)
        expected = [entry for entry in (sys.path if path is None else path) if type(entry) is str]
        assert [tuple(expected)] == noted.report()["paths"]

    @pytest.mark.parametrize("name", [1, None, type("Odd", (str,), {})("odd")])
    def test_odd_names(self, name: Any) -> None:
        """What is no text is no name."""
        noted = Observation()
        noted.find_spec(name, ["/a"])
        assert [] == noted.report()["names"]


class TestFiles:
    """Files and directories."""

    @pytest.mark.parametrize(
        "code",
        [
            "open('data.txt').close()",
            "open(b'data.txt').close()",
            "import pathlib; pathlib.Path('data.txt').read_text()",
            "import os; os.close(os.open('data.txt', os.O_RDONLY))",
            "import io; io.open_code('data.txt').close()",
            "try: open('data.txt', 'x')\nexcept OSError: pass",
        ],
    )
    def test_opened(self, tree: Tree, code: str) -> None:
        """Data files count, however they are opened, and whether that goes well or not."""
        tree.write("data.txt", "text")
        assert "data.txt" in observed(tree, code)["files"]

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("import os; os.listdir('pack')", "pack"),
            ("import os; os.listdir()", "."),
            ("import os; list(os.scandir('pack'))", "pack"),
            ("import pathlib; list(pathlib.Path('pack').iterdir())", "pack"),
            ("import glob; glob.glob('pack/*')", "pack"),
        ],
    )
    def test_listed(self, modules: Tree, code: str, expected: str) -> None:
        """So do directories that were listed."""
        assert expected in observed(modules, code)["listed"]

    def test_metadata(self, tree: Tree) -> None:
        """What asks for the metadata of distributions lists the directories they are in."""
        tree.write(
            "project-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: project\nVersion: 7\n"
        )
        report = observed(
            tree, "import importlib.metadata as m; assert m.version('project') == '7'"
        )
        assert str(tree.path) in report["listed"]
        assert str(tree.path / "project-1.dist-info" / "METADATA") in report["files"]

    def test_import_system(self, modules: Tree) -> None:
        """Directories that the import system lists for itself are no matter: names are noted."""
        assert [] == observed(modules, "import pack.other")["listed"]

    def test_descriptors(self, tree: Tree) -> None:
        """What has been opened before is not opened again."""
        tree.write("data.txt", "text")
        code = """
        import os
        descriptor = os.open("data.txt", os.O_RDONLY)
        noted.report()
        open(descriptor).close()
        place = os.open(".", os.O_RDONLY)
        os.listdir(place)
        """
        report = observed(tree, code)
        assert [] == [file for file in report["files"] if not file.startswith(("/", "."))]
        assert [] == report["listed"]

    def test_extension_module(self, tree: Tree) -> None:
        """The file of a module that is no source counts as well."""
        suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
        tree.write(f"no{suffix}", "no library")
        report = observed(tree, "try: import no\nexcept ImportError: pass")
        assert str(tree.path / f"no{suffix}") in report["files"]


class TestReport:
    """What is told, and when."""

    def test_once(self) -> None:
        """What has been told is not told again, and paths keep their numbers."""
        noted = Observation()
        noted.find_spec("a", ["/a"])
        noted._note_event("open", ("/file", "r", 0))
        noted._note_event("os.listdir", ("/list",))
        first = {"files": ["/file"], "listed": ["/list"], "paths": [("/a",)], "names": [("a", 0)]}
        assert first == noted.report()
        noted.find_spec("a", ["/a"])
        noted.find_spec("b", ["/a"])
        noted.find_spec("a", ["/b"])
        noted._note_event("open", ("/file", "r", 0))
        second = {"files": [], "listed": [], "paths": [("/b",)], "names": [("b", 0), ("a", 1)]}
        assert second == noted.report()

    @pytest.mark.parametrize(
        ("event", "arguments"),
        [
            ("open", ("", "r", 0)),
            ("open", (3, "r", 0)),
            ("open", (None, "r", 0)),
            ("open", (object(), "r", 0)),
            ("open", (type("Odd", (), {"__fspath__": lambda _: b"x"})(), "r", 0)),
            ("import", ("name", None, [], [], [])),
            ("os.scandir", (3,)),
            ("exec", ("x",)),
        ],
        ids=["empty", "descriptor", "none", "odd", "bytes", "source", "listed", "other"],
    )
    def test_nothing(self, event: str, arguments: Any) -> None:
        """What names no file is nothing to note; where that is no path, nobody can open it."""
        noted = Observation()
        noted._note_event(event, arguments)
        found = {
            file for file in noted.report()["files"] if "object" not in file and file != "None"
        }
        assert set() == found

    def test_extension(self) -> None:
        """An extension module tells its file itself."""
        noted = Observation()
        noted._note_event("import", ("name", "/x/name.so", [], [], []))
        assert ["/x/name.so"] == noted.report()["files"]

    def test_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Notes are no more than the update takes."""
        monkeypatch.setattr(observation, "_MAX_NOTES", 3)
        noted = Observation()
        for number in range(9):
            noted.find_spec(f"m{number}", ["/a"])
            noted._note_event("open", (f"/{number}", "r", 0))
            noted._note_event("os.listdir", (f"/{number}",))
        report = noted.report()
        assert [3, 3, 3] == [len(report[name]) for name in ("files", "listed", "names")]

    def test_undecodable(self) -> None:
        """A path that is no text is noted as Python writes it."""
        noted = Observation()
        noted._note_event("open", (b"/\xff", "r", 0))
        assert [os.fsdecode(b"/\xff")] == noted.report()["files"]
