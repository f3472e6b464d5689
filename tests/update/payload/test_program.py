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
    nothing = {"more": [], "tier": "none", "user": None, "closed": [], "writable": []}
    return {"do": "start", "path": directories, **nothing, "asked": True}


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


def talk(*requests: dict[str, Any], cwd: Path | None = None) -> list[dict[str, Any]]:
    """Do what `exchange` does; leave out of the answers what all of them have."""
    found = exchange(*requests, cwd=cwd)
    return [{key: each[key] for key in each if key not in ("of", "observed")} for each in found]


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

    def test_about(self, tmp_path: Path) -> None:
        """Each answer says what it is about."""
        requests = [starting(), {"do": "module", "name": "os"}, {"do": "package", "name": "json"}]
        assert ["start", "os", "json"] == [answer["of"] for answer in exchange(*requests)]

    @pytest.mark.skipif(sys.version_info < (3, 15), reason="knows no lazy imports")
    def test_lazy_imports(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever its user wants of imports, modules are imported as applications do it."""
        monkeypatch.setenv("PYTHON_LAZY_IMPORTS", "all")
        (tmp_path / "helper.py").write_text("raise ValueError")
        answer = imported(tmp_path, "import helper")
        assert "ValueError" == answer["error"]

    def test_failure(self, tmp_path: Path) -> None:
        """Nothing depends on what is looked at for telling of an error."""
        told = tmp_path / "told"
        text = f"""
class Odd(Exception):
    def __str__(self):
        return open({str(told)!r}).read()
raise Odd
"""
        told.write_text("words")
        (tmp_path / "bad.py").write_text(text)
        (tmp_path / "reader.py").write_text(f"open({str(told)!r})")
        modules = [{"do": "module", "name": name} for name in ("bad", "reader")]
        _, bad, reader = exchange(starting(tmp_path), *modules)
        assert "Odd: words" == bad["error"]
        assert str(told) not in bad["observed"]["files"]
        assert str(told) in reader["observed"]["files"]

    def test_not_asked(self, tmp_path: Path) -> None:
        """It tells nothing of the interpreter where nobody has asked."""
        start = {**starting(tmp_path), "asked": False}
        (tmp_path / "good.py").write_text("'Text.'")
        (first, second) = talk(start, {"do": "module", "name": "good"})
        assert {} == first
        assert "Text." == second["description"]

    @pytest.mark.parametrize("why", ["no such tier here", "confined"])
    def test_site(self, tmp_path: Path, why: str) -> None:
        """In a sandbox, site runs when the confinement is proved; what it runs is confined."""
        (tmp_path / "usercustomize.py").write_text("")
        code = f"""
import os, site, sys
from dropin_cache.update.payload import confinement, proof

class Flags:
    no_site = 1
    def __getattr__(self, name): return getattr(real, name)

said = []
def restrict_files(*arguments):
    said.append(["confined", *arguments])
    if {why!r} != "confined": raise OSError
real, sys.flags = sys.flags, Flags()
confinement.restrict_files = restrict_files
proof.broken_promises = lambda *arguments: said.append(["proved", *arguments])
site.main = lambda: said.append(["site"])
sys.said = said
os.open("/", os.O_RDONLY)
"""
        start = {**starting(tmp_path), "tier": "namespace", "user": 7, "closed": ["/c"]}
        (tmp_path / "tells.py").write_text(
            "import os, sys\nopen = map(os.path.realpath, os.scandir('/proc/self/fd'))\n"
            "__doc__ = repr(sys.said) + ' open' * ('/' in open)\n"
        )
        _, answer = exchange(
            {**start, "writable": ["/w"]}, {"do": "module", "name": "tells"}, code=code + RUN
        )
        assert answer["description"] == (
            "[['confined', ['/'], ['/w']], ['proved', 'namespace', ['/c'], 7], ['site']]"
        )

    def test_broken_promises(self, tmp_path: Path) -> None:
        """Where the sandbox does not hold, that is all it tells, and nothing is imported."""
        request = {**starting(tmp_path), "tier": "landlock", "user": 1, "closed": [str(tmp_path)]}
        (answer,) = talk(request)
        assert ["promises"] == list(answer)
        assert f"it can write in {tmp_path}" in answer["promises"]
        assert any(line.endswith(", not 1") for line in answer["promises"])
        assert [] == os.listdir(tmp_path)

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
        assert {"found": None} == talk(starting(), {"do": "package", "name": name})[1]

    def test_without_application(self, tmp_path: Path) -> None:
        """Modules for Twisted alone are no plugin package: nobody can ask for their plugins."""
        (tmp_path / "twisted" / "plugins").mkdir(parents=True)
        (tmp_path / "twisted" / "__init__.py").touch()  # whether Twisted is here or not
        request = {"do": "package", "name": "twisted.plugins"}
        assert {"found": None} == talk(starting(tmp_path), request)[1]
        (tmp_path / "twisted" / "plugin.py").touch()
        expected = {"found": [str(tmp_path / "twisted" / "plugins")]}
        assert expected == talk(starting(tmp_path), request)[1]

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
        assert False is answer["passing"]

    @pytest.mark.parametrize(
        "text",
        [
            "raise MemoryError",
            "import errno; raise OSError(errno.ENOSPC, 'No')",
            "import errno; raise BlockingIOError(errno.EAGAIN, 'No')",
            "import errno; raise OSError(errno.EMFILE, 'No')",
        ],
    )
    def test_of_the_moment(self, tmp_path: Path, text: str) -> None:
        """Or it fails for reasons that the next time need not have."""
        assert True is imported(tmp_path, text)["passing"]

    @pytest.mark.parametrize(
        "text", ["open('/nonexistent')", "raise OSError", "raise OSError('x')"]
    )
    def test_not_of_the_moment(self, tmp_path: Path, text: str) -> None:
        """Other errors of the system's are not of that kind."""
        assert False is imported(tmp_path, text)["passing"]

    def test_begins_with_the_module(self, tmp_path: Path) -> None:
        """The traceback begins where the code of the module does, also that of its causes."""
        text = "try:\n    import gone\nexcept ImportError as e:\n    raise KeyError from e"
        lines = imported(tmp_path, text)["traceback"].splitlines()
        files = [line for line in lines if line.startswith("  File ")]
        assert 2 == len(files)
        assert all(str(tmp_path / "bad.py") in line for line in files)

    def test_too_large(self, tmp_path: Path) -> None:
        """A description that is larger than the update takes is an error of the module's."""
        answer = imported(tmp_path, "__doc__ = 'x' * (1 << 20)")
        error = "its description is larger than 1 MiB"
        assert {"error": error, "traceback": "", "passing": False} == answer

    def test_processor_time(self, tmp_path: Path) -> None:
        """Each import may take so much more processor time than has been used."""
        text = "import resource\n__doc__ = str(resource.getrlimit(resource.RLIMIT_CPU)[0])"
        (tmp_path / "one.py").write_text(text)
        request = {"do": "module", "name": "one", "processor": 100.5}
        told = int(talk(starting(tmp_path), request)[1]["description"])
        assert 101 <= told < 130
        code = "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (50, 50))\n" + RUN
        assert "50" == exchange(starting(tmp_path), request, code=code)[1]["description"]

    def test_unspeakable_failure(self, tmp_path: Path) -> None:
        """Or it fails so badly that nothing more can be said."""
        text = (
            "class Error(Exception):\n"
            "    def __str__(self): raise self\n"
            "    @property\n"
            "    def __cause__(self): raise self\n"
            "raise Error\n"
        )
        expected = {"error": "Error", "traceback": "", "passing": False}
        assert expected == imported(tmp_path, text)

    @pytest.mark.parametrize("do", ["module", "package"])
    def test_forks(self, tmp_path: Path, do: str) -> None:
        """A module that forks answers once, and its offspring not at all."""
        error = "it forks when it is imported"
        expected = {"error": error, "traceback": "", "passing": False}
        assert expected == imported(tmp_path, "import os\nos.fork()", do=do)

    def test_large(self, tmp_path: Path) -> None:
        """An answer that does not fit into a pipe is written in parts."""
        answer = imported(tmp_path, "__doc__ = 'x' * 300_000")
        assert "x" * 300_000 == answer["description"]

    def test_observed(self, tmp_path: Path) -> None:
        """Each answer tells what was looked at, as far as that has not been told."""
        for name in ("one", "two"):
            (tmp_path / f"{name}.py").write_text("import other")
        (tmp_path / "other.py").write_text("")
        names = ("one", "two", "three")
        requests = ({"do": "module", "name": name} for name in names)
        _, *answers = exchange(starting(tmp_path), *requests)
        assert [{"one", "other"}, {"two"}, {"three"}] == [
            {name for name, _ in answer["observed"]["names"] if name in (*names, "other")}
            for answer in answers
        ]
        one, two, other = (str(tmp_path / f"{name}.py") for name in ("one", "two", "other"))
        files = [{*answer["observed"]["files"]} for answer in answers]
        assert [{one, other}, {two}, set()] == [{one, two, other} & each for each in files]

    def test_own_copy(self, tmp_path: Path) -> None:
        """A module gets the package's own modules, not what the child was handed."""
        text = "from dropin_cache import _describe\n__doc__ = _describe.__file__"
        assert imported(tmp_path, text)["description"].endswith("_describe.py")
        assert (
            Path(program.__file__).parent.parent.parent
            == Path(imported(tmp_path, text)["description"]).parent
        )


class TestResolve:
    """The request "resolve"."""

    def test_names(self, tmp_path: Path) -> None:
        """Of some names those are told that are interfaces."""
        text = "from zope.interface import Interface\nclass IHere(Interface): pass\nx = 1\n"
        (tmp_path / "faces.py").write_text(text)
        request = {"do": "resolve", "name": "faces", "names": ["IHere", "x", "Interface", "gone"]}
        assert {"resolved": ["IHere", "Interface"]} == talk(starting(tmp_path), request)[1]

    def test_module_fails(self, tmp_path: Path) -> None:
        """A module that does not import has none."""
        request = {"do": "resolve", "name": "missing", "names": ["IHere"]}
        answer = talk(starting(tmp_path), request)[1]
        assert "ModuleNotFoundError: No module named 'missing'" == answer["error"]
