"""The ledgers of a run: one for each environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dropin_cache.update.discovery.interpreters import Interpreter, interpreter_of
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.state.ledger import DirectoryRecord
from dropin_cache.update.state.ledgers import Ledgers

RECORD = DirectoryRecord("app.plugins", "/root", ["key"], None, 0, 0, {}, "")
A, B = (interpreter_of(f"/envs/{name}/bin/python", [], []) for name in "ab")


def opened(directory: Path | None, *, keeps: bool = True) -> Ledgers:
    """Begin a run whose ledgers are in a directory."""
    place = None if directory is None else str(directory)
    return Ledgers(place, Files(enforced=False), keeps=keeps)


def saved(directory: Path, path: str, *interpreters: Interpreter) -> None:
    """Have a run note that some interpreters had to do with a directory."""
    ledgers = opened(directory)
    record = RECORD._replace(pythons=[each.key for each in interpreters])
    ledgers.note(path, interpreters, record)
    ledgers.save("none")


class TestOf:
    """Which ledger is whose."""

    @pytest.mark.parametrize(
        ("python", "name"),
        [
            ("/usr/bin/python3", "usr.ledger"),
            ("/opt/app/bin/python", "opt%2Fapp.ledger"),
            ("/opt%2Fapp/bin/python", "opt%252Fapp.ledger"),
            ("/odd name/bin/python", "odd name.ledger"),
            ("/bin/python-of-no-prefix", "usr.ledger"),
            ("/none/bin/python", "none.ledger"),
        ],
    )
    def test_name(self, tmp_path: Path, python: str, name: str) -> None:
        """Its name tells which environment it is about."""
        if python.startswith("/bin/") and not os.path.islink("/bin"):
            pytest.skip("/bin is a directory of its own here")
        ledgers = opened(tmp_path)
        ledgers.of(interpreter_of(python, [], []))
        assert [str(tmp_path / name)] == list(ledgers.paths())

    def test_roots(self, tmp_path: Path) -> None:
        """Who knows nothing of an interpreter has root's, if that does."""
        saved(tmp_path / "root", "/root/app", A)
        known = opened(tmp_path / "root").of(A)
        known.interpreters[A.key] = {"python": A.python}
        beside = opened(tmp_path / "root", keeps=False)
        beside.of(A).interpreters.update(known.interpreters)
        for place in (tmp_path / "own", None):
            own = Ledgers(place and str(place), Files(enforced=False), keeps=False, beside=beside)
            assert beside.of(A) is own.of(A)
            assert beside.of(B) is not own.of(B)
            assert "/root/app" in own.written()

    def test_own(self, tmp_path: Path) -> None:
        """What a user has found out himself counts first."""
        beside = opened(tmp_path / "root")
        own = Ledgers(str(tmp_path / "own"), Files(enforced=False), keeps=True, beside=beside)
        for each in (own, beside):
            each.of(A).interpreters[A.key] = {"python": A.python}
        assert beside.of(A) is not own.of(A)

    def test_long_name(self, tmp_path: Path) -> None:
        """What is too long for a name is told apart all the same."""
        ledgers = opened(tmp_path)
        for end in ("a", "b"):
            deep = "/".join(["", *["deep"] * 60, end, "bin", "python"])
            ledgers.note(deep, [interpreter_of(deep, [], [])], RECORD)
        ledgers.save(None)
        names = sorted(os.listdir(tmp_path))
        assert ([71, 71], 2) == ([len(name) for name in names], len(set(names)))
        again = opened(tmp_path)
        again.open_all()
        assert 2 == len(again.written())

    def test_same_environment(self, tmp_path: Path) -> None:
        """Interpreters of one environment share it, whatever they are asked to import from."""
        ledgers = opened(tmp_path)
        others = (("/envs/a/bin/python3", []), ("/envs/a/bin/python", ["/more"]))
        assert {id(ledgers.of(A))} == {id(ledgers.of(interpreter_of(*x, []))) for x in others}
        assert ledgers.of(A) is not ledgers.of(B)

    def test_nowhere(self) -> None:
        """Where there is no place for any, one that is never written will do."""
        ledgers = opened(None)
        ledgers.note("/a", [A], RECORD)
        ledgers.open_all()
        ledgers.save("none")
        assert RECORD == ledgers.record("/a", [A])
        assert ([], set()) == (list(ledgers.paths()), ledgers.elsewhere())
        ledgers.forget(["/a"])
        assert None is ledgers.record("/a", [A])


class TestRecord:
    """What is known of directories."""

    def test_apart(self, tmp_path: Path) -> None:
        """What one environment has noted is nothing to another."""
        saved(tmp_path, "/a", A)
        ledgers = opened(tmp_path)
        assert None is ledgers.record("/a", [B])
        assert {} == ledgers.written()
        assert {"/a"} == ledgers.elsewhere()
        assert [A.key] == getattr(ledgers.record("/a", [A]), "pythons", None)
        assert set() == ledgers.elsewhere()

    def test_shared(self, tmp_path: Path) -> None:
        """What several have to do with is noted with each."""
        saved(tmp_path, "/a", A, B)
        for each in (A, B):
            assert [A.key, B.key] == opened(tmp_path).of(each).directories["/a"].pythons

    def test_best(self, tmp_path: Path) -> None:
        """What the same interpreters have written counts before what one of them has."""
        saved(tmp_path, "/a", A, B)
        saved(tmp_path, "/a", A)
        ledgers = opened(tmp_path)
        found = {
            name: getattr(ledgers.record("/a", of), "pythons", None)
            for name, of in {"both": [A, B], "one": [A], "other": [B]}.items()
        }
        both = [A.key, B.key]
        assert {"both": both, "one": [A.key], "other": both} == found
        assert {"/a": both} == ledgers.written()

    def test_forgotten(self, tmp_path: Path) -> None:
        """What is removed is forgotten, and a ledger that knows nothing else goes."""
        saved(tmp_path, "/a", A)
        saved(tmp_path, "/b", A)
        saved(tmp_path, "/a", B)
        ledgers = opened(tmp_path)
        ledgers.of(A)
        ledgers.forget(["/a", "/none"])
        assert {"/b"} == opened(tmp_path).of(A).directories.keys()
        ledgers.forget(["/b"])
        assert ["envs%2Fb.ledger"] == os.listdir(tmp_path)


class TestSave:
    """What is left for the next run."""

    def test_sandbox(self, tmp_path: Path) -> None:
        """The tier that plugin modules were imported in is known until there is another."""
        saved(tmp_path, "/a", A)
        ledgers = opened(tmp_path)
        assert None is ledgers.sandbox
        ledgers.of(B)
        ledgers.of(A)
        assert "none" == ledgers.sandbox
        ledgers.save(None)
        assert "none" == opened(tmp_path).of(A).sandbox

    def test_keeps_nothing(self, tmp_path: Path) -> None:
        """A run that is to leave nothing changes no ledger; what is forgotten whole goes."""
        saved(tmp_path, "/a", A)
        saved(tmp_path, "/b", A)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        ledgers = opened(tmp_path, keeps=False)
        ledgers.note("/c", [A, B], RECORD)
        ledgers.save("namespace")
        ledgers.forget(["/a"])
        assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
        ledgers.forget(["/b", "/c"])
        assert [] == list(tmp_path.iterdir()) if tmp_path.exists() else True
