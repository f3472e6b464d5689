"""What decides how an interpreter starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Callable

import pytest

from conftest import Tree
from dropin_cache.update.discovery import interpreters
from updates import affected, own, run


class TestDecisive:
    """Which files in an import root have a say."""

    def names(self, root: Path) -> list[str]:
        """List them, below the root."""
        found = filter(interpreters.is_decisive, interpreters.candidates(str(root)))
        return [os.path.relpath(file, root) for file in found]

    def test_files(self, tree: Tree) -> None:
        """What the module site reads and runs, and what declares plugin packages."""
        declaration = "[dropin_cache.packages]\napp = app.plugins\n"
        wanted = {
            "a.pth": "/opt/somewhere\n",
            "b.start": "module:function\n",
            "c-1.dist-info/entry_points.txt": declaration,
            "d-1.egg-info/entry_points.txt": declaration,
            "sitecustomize.py": "",
            "usercustomize/__init__.py": "",
        }
        others = {
            "module.py": declaration,
            "package/a.pth": "",
            "other-1.dist-info/entry_points.txt": "[console_scripts]\n",
            "other-1.dist-info/METADATA": declaration,
            "none-1.dist-info/RECORD": "",
            "old-1.egg-info": "Metadata-Version: 1.0\n",
        }
        for name, text in {**wanted, **others}.items():
            tree.write(name, text)
        expected = [name.replace("/__init__.py", "") for name in wanted]
        assert sorted(expected) == self.names(tree.path)

    def test_no_directory(self, tmp_path: Path) -> None:
        """What is no directory has none."""
        (tmp_path / "archive.zip").touch()
        assert [] == self.names(tmp_path / "archive.zip") == self.names(tmp_path / "missing")

    def test_odd_metadata(self, tree: Tree) -> None:
        """What is no text of a usual size counts, in case it is one later, and nothing hangs."""
        for name in ("fifo", "directory", "long"):
            (tree.path / f"{name}-1.dist-info").mkdir(parents=True)
        os.mkfifo(tree.path / "fifo-1.dist-info/entry_points.txt")
        (tree.path / "directory-1.dist-info/entry_points.txt").mkdir()
        tree.write("long-1.dist-info/entry_points.txt", "#" * (interpreters._MAX_SIZE + 1))
        files = self.names(tree.path)
        assert [
            f"{name}-1.dist-info/entry_points.txt" for name in ("directory", "fifo", "long")
        ] == files

    def test_unreadable(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the system fails to read counts."""
        tree.write("x-1.dist-info/entry_points.txt")

        def fail(*_: object) -> bytes:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(interpreters, "read_file", fail)
            assert ["x-1.dist-info/entry_points.txt"] == self.names(tree.path)


@pytest.mark.processes
class TestRun:
    """What an update makes of it."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda tree: tree.write("other.py"),
            lambda tree: tree.write("other-1.dist-info/entry_points.txt", "[console_scripts]\n"),
            lambda tree: (tree.path / "former.py").unlink(),
        ],
        ids=["module", "distribution", "gone"],
    )
    def test_nothing_starts(self, app: Tree, change: Callable[[Tree], object]) -> None:
        """What is installed or removed, and has no say, starts no process."""
        app.write("former.py")
        run(app)
        change(app)
        for _ in range(2):
            assert ([], True) == run(app)[1:]

    @pytest.mark.parametrize(
        "name", ["new.pth", "sitecustomize.py", "x.dist-info/entry_points.txt"]
    )
    def test_asked_again(self, app: Tree, name: str) -> None:
        """The interpreter is asked again where the answer may be another, and that once."""
        run(app)
        app.write(name, "# dropin_cache.packages\n")
        assert not run(app).alone
        assert run(app).alone

    def test_changed_in_place(self, app: Tree) -> None:
        """A declaration that is edited is noticed, though its directories keep their dates."""
        file = app.write("x.dist-info/entry_points.txt", "[dropin_cache.packages]\n")
        run(app)
        file.write_text("# dropin_cache.packages\n")
        assert not run(app).alone

    def test_broken_before(self, app: Tree) -> None:
        """What failed is tried again whatever was installed."""
        app.write("app/plugins/bad.py", "import missing\n")
        own(app, "bad")
        run(app)
        app.write("missing.py")
        assert affected(app, "bad") == run(app).imported

    def test_found_elsewhere(self, app: Tree, tmp_path: Path) -> None:
        """A module that comes to lie in front of one that was imported is noticed."""
        first = tmp_path / "first"
        first.mkdir()
        app.write("dependency.py")
        with (app.path / "app/plugins/hello.py").open("a") as file:
            file.write("import dependency\n")
        own(app, "hello", "loud")
        run(app, first)
        (first / "dependency.py").touch()
        assert affected(app, "hello") == run(app, first).imported
        assert [] == run(app, first).imported


class TestChain:
    """Which files an interpreter is."""

    def test_links(self, tmp_path: Path) -> None:
        """Each step of a chain of links, and where each may have its configuration."""
        program = tmp_path / "a/bin/python"
        program.parent.mkdir(parents=True)
        program.symlink_to(sys.executable)
        found = interpreters.chain(str(program))
        own = [str(tmp_path / "a/bin/pyvenv.cfg"), str(tmp_path / "a/pyvenv.cfg")]
        assert [str(program), *own, sys.executable] == found[:4]

    def test_loop(self, tmp_path: Path) -> None:
        """A loop of links has an end."""
        (tmp_path / "loop").symlink_to("loop")
        own = {str(place / "pyvenv.cfg") for place in (tmp_path, tmp_path.parent)}
        assert {str(tmp_path / "loop"), *own} == set(interpreters.chain(str(tmp_path / "loop")))


class TestKeyOf:
    """What tells interpreters apart."""

    @pytest.mark.parametrize(
        ("variable", "value", "apart"),
        [
            ("PYTHONPATH", ".", True),
            ("PYTHONPATH", "/a:lib", True),
            ("PYTHONPATH", "/a:", True),
            ("PYTHONPATH", "/a:/b", False),
            ("PYTHONPATH", "", False),
            ("PYTHONUSERBASE", ".local", True),
            ("HOME", "..", True),
            ("PYTHONHASHSEED", "1", False),
        ],
    )
    def test_working_directory(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        value: str,
        apart: bool,
    ) -> None:
        """Where it is started counts for users whose environment has relative paths."""
        monkeypatch.setattr(os, "geteuid", lambda: 1)
        for name in ("PYTHONPATH", "PYTHONUSERBASE", "PYTHONHOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", "/home/it")
        monkeypatch.setenv(variable, value)
        keys = set()
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            monkeypatch.chdir(tmp_path / name)
            keys.add(interpreters.key_of("/usr/bin/python3", []))
        assert (2 if apart else 1) == len(keys)

    def test_root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Root's interpreters do not look at it."""
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("PYTHONPATH", ".")
        before = interpreters.key_of("/usr/bin/python3", [])
        monkeypatch.chdir(tmp_path)
        assert before == interpreters.key_of("/usr/bin/python3", [])


class TestEnvironmentOf:
    """Which environment an interpreter belongs to."""

    def test_linked(self, tmp_path: Path) -> None:
        """Its path tells, if a virtual environment is there; else what it leads to does."""
        base, made, plain = (tmp_path / name for name in ("base", "made", "plain"))
        for place in (base, made, plain):
            (place / "bin").mkdir(parents=True)
        (base / "bin/python3").touch()
        for place in (made, plain):
            (place / "bin/python").symlink_to(base / "bin/python3")
        (made / "pyvenv.cfg").touch()
        (tmp_path / "current").symlink_to("made")
        found = {
            name: interpreters.environment_of(str(tmp_path / name / "bin/python"))
            for name in ("made", "current", "plain")
        }
        assert {"made": str(made), "current": str(made), "plain": str(base)} == found

    def test_beside(self, tmp_path: Path) -> None:
        """The configuration may lie beside the program."""
        (tmp_path / "pyvenv.cfg").touch()
        assert str(tmp_path) == interpreters.environment_of(str(tmp_path / "python"))
