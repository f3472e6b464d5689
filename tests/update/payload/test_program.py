"""The program of the child, in a process that can be measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from command_line import no_process_left
from dropin_cache.update.payload import program

RUN = (
    "import runpy, sys\n"
    "from dropin_cache.update.payload import program\n"
    "path = program.__file__\n"
    "del sys.modules[program.__name__]\n"
    "runpy.run_path(path, run_name='__main__')\n"
)


def starting(*path: Path) -> dict[str, Any]:
    """Return the request "start" for a child that may do what this process may."""
    directories = [str(each) for each in path]
    nothing = {"more": [], "tier": "none", "user": None, "closed": []}
    return {"do": "start", "path": directories, **nothing}


def exchange(
    *requests: dict[str, Any], cwd: Path | None = None, code: str = RUN
) -> list[dict[str, Any]]:
    """Run the program, send requests, and return the answers as they are."""
    answers, back = os.pipe()
    lifeline, held = os.pipe()
    with no_process_left():
        process = subprocess.Popen(
            [sys.executable, "-B", "-c", code, str(back), str(lifeline)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[back, lifeline],
            cwd=cwd,
        )
        os.close(back)
        os.close(lifeline)
        lines = "".join(json.dumps({"token": "t", **request}) + "\n" for request in requests)
        with os.fdopen(answers, "rb") as file:
            process.stdin.write(lines.encode())
            process.stdin.close()
            found = [json.loads(line) for line in file]
        errors = process.stderr.read()
        process.stderr.close()
        assert (0, b"") == (process.wait(), errors)
        os.close(held)
    return found


def talk(*requests: dict[str, Any], cwd: Path | None = None) -> list[dict[str, Any]]:
    """Do what `exchange` does; leave out of the answers what all of them have."""
    found = exchange(*requests, cwd=cwd)
    return [{key: each[key] for key in each if key not in ("token", "imports")} for each in found]


def imported(directory: Path, text: str, name: str = "bad", do: str = "module") -> dict[str, Any]:
    """Return the answer for a module with a text."""
    (directory / f"{name}.py").write_text(text)
    _, answer = talk(starting(directory), {"do": do, "name": name})
    return answer


class TestStart:
    """The request "start"."""

    def test_answer(self, tmp_path: Path) -> None:
        """It puts directories on the path and tells what the interpreter is."""
        (answer,) = talk(starting(tmp_path))
        assert list(sys.version_info[:2]) == answer["version"]
        assert True is answer["zope"]
        assert str(tmp_path) == answer["path"][0]
        assert "" not in answer["path"]

    def test_two_ends(self, tmp_path: Path) -> None:
        """Some directories come in front of the interpreter's own, others behind them."""
        (answer,) = talk({**starting(tmp_path), "more": ["/more"]})
        assert str(tmp_path) == answer["path"][0]
        assert "/more" == answer["path"][-1]
        assert os.path.dirname(os.__file__) in answer["path"][1:-1]

    def test_files(self) -> None:
        """It tells what the interpreter has loaded by itself, from files only."""
        (answer,) = talk(starting())
        assert os.__file__ in answer["files"]
        assert [os.path.abspath(file) for file in answer["files"]] == answer["files"]

    def test_token(self, tmp_path: Path) -> None:
        """Each answer repeats what its request says."""
        requests = [{**starting(), "token": "one"}, {"do": "module", "name": "os", "token": "two"}]
        assert ["one", "two"] == [answer["token"] for answer in exchange(*requests)]

    def test_broken_promises(self, tmp_path: Path) -> None:
        """Where the sandbox does not hold, that is all it tells, and nothing is imported."""
        request = {**starting(tmp_path), "tier": "namespace", "user": 1, "closed": [str(tmp_path)]}
        (answer,) = talk(request)
        assert ["promises"] == list(answer)
        assert f"it can write in {tmp_path}" in answer["promises"]
        assert any(line.endswith(", not 1") for line in answer["promises"])
        assert [] == os.listdir(tmp_path)

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("[dropin_cache.packages]\none = a.b\ntwo=c.d", ["a.b", "c.d"]),
            ("[dropin_cache.packages]\none = a.b:name [extra]\ntwo = a.b", ["a.b"]),
            ("[console_scripts]\na = b\n[dropin_cache.packages]\n%(x)s = c\n", ["c"]),
            ("[dropin_cache.packages]\n", []),
            ("[console_scripts]\ndropin_cache.packages = b", []),
            ("[dropin_cache.packages]\nnonsense", []),
            ("[dropin_cache.packages]\na = b\na = c", []),
            ("dropin_cache.packages", []),
            ("\udcff[dropin_cache.packages]", []),
            ("[other]\na = b", []),
            ("[dropin_cache.packages]\nx = a\n" + "#" * (1 << 20), []),
        ],
        ids=[
            *("two", "object", "other groups", "none", "other group", "no value", "twice"),
            *("no group", "no text", "without", "huge"),
        ],
    )
    @pytest.mark.parametrize("kind", ["dist-info", "egg-info"])
    def test_declared_packages(
        self, tmp_path: Path, text: str, names: list[str], kind: str
    ) -> None:
        """Plugin packages are declared by entry points; nothing of them is imported."""
        metadata = tmp_path / f"project-1.{kind}"
        metadata.mkdir()
        (metadata / "entry_points.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
        (tmp_path / "empty-1.dist-info").mkdir()
        (tmp_path / "old-1.egg-info").touch()
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "__init__.py").write_text("1/0")
        (answer,) = talk(starting(tmp_path, tmp_path / "missing"))
        assert names == answer["packages"]

    @pytest.mark.parametrize("others", [0, 1], ids=["no writer", "writer"])
    def test_declared_by_a_fifo(self, tmp_path: Path, others: int) -> None:
        """A FIFO where entry points should be declares nothing, and nobody waits for it."""
        metadata = tmp_path / "project-1.dist-info"
        metadata.mkdir()
        os.mkfifo(metadata / "entry_points.txt")
        held = [os.open(metadata / "entry_points.txt", os.O_RDWR) for _ in range(others)]
        (answer,) = talk(starting(tmp_path))
        assert [] == answer["packages"]
        for descriptor in held:
            os.close(descriptor)

    def test_without_zope_interface(self, tmp_path: Path) -> None:
        """It tells that zope.interface is missing, here because it does not import."""
        (tmp_path / "zope").mkdir()
        (tmp_path / "zope" / "__init__.py").touch()
        with_site = {**starting(tmp_path), "token": "t"}
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
        answer = talk(starting(tmp_path), {"do": "package", "name": "pack"})[1]
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

    def test_imports(self, tmp_path: Path) -> None:
        """Each answer tells who imports whom, as far as that has not been told."""
        (tmp_path / "one.py").write_text("import other")
        (tmp_path / "two.py").write_text("import other")
        (tmp_path / "other.py").write_text("")
        names = ("one", "two", "three")
        known = (*names, "other")
        _, *answers = exchange(
            starting(tmp_path), *({"do": "module", "name": name} for name in names)
        )
        one, two, other = (str(tmp_path / f"{name}.py") for name in ("one", "two", "other"))
        assert [
            {"one": [one, ["other"]], "other": [other, []]},
            {"two": [two, ["other"]]},
            {"three": [False, []]},
        ] == [
            {name: answer["imports"][name] for name in answer["imports"] if name in known}
            for answer in answers
        ]

    def test_own_copy(self, tmp_path: Path) -> None:
        """A module gets the package's own modules, not what the child was handed."""
        text = "from dropin_cache import _describe\n__doc__ = _describe.__file__"
        assert imported(tmp_path, text)["description"].endswith("_describe.py")
        assert (
            Path(program.__file__).parent.parent
            == Path(imported(tmp_path, text)["description"]).parent
        )


class TestApart:
    """Drop-ins in a sandbox, here without one."""

    TRUSTING = (
        "from dropin_cache.update.payload import proof\nproof.broken_promises = lambda *_: []\n"
    )

    def test_on_its_own(self, tmp_path: Path) -> None:
        """What one does to its process, or to the package, another does not see."""
        package = tmp_path / "some"
        package.mkdir()
        (package / "__init__.py").write_text("met = []\n")
        good = "import some\n__doc__ = str(some.met)\nsome.met.append(1)\n"
        (package / "one.py").write_text(good)
        (package / "end.py").write_text("import os\nos._exit(3)\n")
        (package / "two.py").write_text(good)
        start = {**starting(tmp_path), "tier": "namespace", "alone": False}
        modules = [{"do": "module", "name": f"some.{name}"} for name in ("one", "end", "two")]
        warm = [{"do": "warm", "name": name} for name in ("some", "missing")]
        found = exchange(start, *warm, *modules, code=self.TRUSTING + RUN)
        assert ["t"] * 6 == [each["token"] for each in found]
        assert ["[]", "[]"] == [found[3]["description"], found[5]["description"]]
        assert "it ended the process with exit status 3" == found[4]["error"]
