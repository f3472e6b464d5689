"""The program of the child, in a process that can be measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commands import no_process_left
from dropin_cache.update import _program

RUN = (
    "import runpy, sys\n"
    "from dropin_cache.update import _program\n"
    "path = _program.__file__\n"
    "del sys.modules[_program.__name__]\n"
    "runpy.run_path(path, run_name='__main__')\n"
)


def talk(*requests: dict[str, Any], cwd: Path | None = None) -> list[dict[str, Any]]:
    """Run the program, send requests, and return the answers."""
    answers, back = os.pipe()
    lifeline, held = os.pipe()
    with no_process_left():
        process = subprocess.Popen(
            [sys.executable, "-B", "-c", RUN, str(back), str(lifeline)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[back, lifeline],
            cwd=cwd,
        )
        os.close(back)
        os.close(lifeline)
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        with os.fdopen(answers, "rb") as file:
            process.stdin.write(lines.encode())
            process.stdin.close()
            found = [json.loads(line) for line in file]
        errors = process.stderr.read()
        process.stderr.close()
        assert (0, b"") == (process.wait(), errors)
        os.close(held)
    return found


def imported(directory: Path, text: str, name: str = "bad", do: str = "module") -> dict[str, Any]:
    """Return the answer for a module with a text."""
    (directory / f"{name}.py").write_text(text)
    start = {"do": "start", "path": [str(directory)]}
    _, answer = talk(start, {"do": do, "name": name})
    return answer


class TestStart:
    """The request "start"."""

    def test_answer(self, tmp_path: Path) -> None:
        """It puts directories on the path and tells what the interpreter is."""
        (answer,) = talk({"do": "start", "path": [str(tmp_path)]})
        assert list(sys.version_info[:2]) == answer["version"]
        assert True is answer["zope"]
        assert str(tmp_path) == answer["path"][0]
        assert "" not in answer["path"]

    def test_without_zope_interface(self, tmp_path: Path) -> None:
        """It tells that zope.interface is missing, here because it does not import."""
        (tmp_path / "zope").mkdir()
        (tmp_path / "zope" / "__init__.py").touch()
        with_site = {"do": "start", "path": [str(tmp_path)]}
        code = RUN.replace("runpy.run_path", "sys.modules['zope.interface'] = None\nrunpy.run_path")
        answers, back = os.pipe()
        lifeline, held = os.pipe()
        done = subprocess.run(
            [sys.executable, "-B", "-c", code, str(back), str(lifeline)],
            input=json.dumps(with_site).encode() + b"\n",
            pass_fds=[back, lifeline],
            check=True,
        )
        os.close(back)
        with os.fdopen(answers, "rb") as file:
            assert False is json.loads(file.read())["zope"]
        os.close(held)
        os.close(lifeline)
        assert 0 == done.returncode


class TestPackage:
    """The request "package"."""

    def test_found(self, tmp_path: Path) -> None:
        """A package has a path, of which text counts."""
        (tmp_path / "pack").mkdir()
        (tmp_path / "pack" / "__init__.py").write_text("__path__.append(1)")
        start = {"do": "start", "path": [str(tmp_path)]}
        answer = talk(start, {"do": "package", "name": "pack"})[1]
        assert {"found": [str(tmp_path / "pack")]} == answer

    @pytest.mark.parametrize("name", ["missing", "missing.x", "os.x", "json.decoder", "", "a..b"])
    def test_not_found(self, name: str) -> None:
        """What is no package, or has no name, is not there."""
        assert [{"found": None}] == talk({"do": "package", "name": name})

    def test_imports_in_vain(self, tmp_path: Path) -> None:
        """A package that is there and lacks another is an error."""
        answer = imported(tmp_path, "import missing", do="package")
        assert "ModuleNotFoundError: No module named 'missing'" == answer["error"]


class TestModule:
    """The request "module"."""

    def test_record(self, tmp_path: Path) -> None:
        """A module is described."""
        expected = {"description": "Text.", "warnings": [], "plugins": []}
        assert expected == imported(tmp_path, "'Text.'")

    def test_failure(self, tmp_path: Path) -> None:
        """Or it fails, with the end of the traceback."""
        answer = imported(tmp_path, "raise ValueError('x' * 9999)")
        assert "ValueError: " + "x" * 488 == answer["error"]
        assert 4000 == len(answer["traceback"])

    def test_unspeakable_failure(self, tmp_path: Path) -> None:
        """Or it fails so badly that nothing more can be said."""
        text = (
            "class Error(Exception):\n"
            "    def __str__(self): raise self\n"
            "    @property\n"
            "    def __cause__(self): raise self\n"
            "raise Error\n"
        )
        assert {"error": "Error", "traceback": ""} == imported(tmp_path, text)

    @pytest.mark.parametrize("do", ["module", "package"])
    def test_forks(self, tmp_path: Path, do: str) -> None:
        """A module that forks answers once, and its offspring not at all."""
        expected = {"error": "it forks when it is imported", "traceback": ""}
        assert expected == imported(tmp_path, "import os\nos.fork()", do=do)

    def test_large(self, tmp_path: Path) -> None:
        """An answer that does not fit into a pipe is written in parts."""
        answer = imported(tmp_path, "__doc__ = 'x' * 300_000")
        assert "x" * 300_000 == answer["description"]

    def test_own_copy(self, tmp_path: Path) -> None:
        """A module gets the package's own modules, not what the child was handed."""
        text = "from dropin_cache import _describe\n__doc__ = _describe.__file__"
        assert imported(tmp_path, text)["description"].endswith("_describe.py")
        assert (
            Path(_program.__file__).parent.parent
            == Path(imported(tmp_path, text)["description"]).parent
        )
