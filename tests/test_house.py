"""The check of what each room of the house may do; ruff and import-linter are not tested here."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

CHECK = runpy.run_path(str(Path(__file__).resolve().parents[1] / "tools" / "check_house.py"))


def problems(name: str, text: str) -> list[str]:
    """Return what is wrong with a module of that name and content."""
    return [problem for _, problem in CHECK["problems"](name, text)]


class TestOpening:
    """Who opens files."""

    @pytest.mark.parametrize(
        "call",
        [
            "os.open(name, os.O_WRONLY | os.O_CREAT)",
            "os.open(name, flags=os.O_RDWR)",
            "open(name, 'w')",
            "open(name, mode='rb+')",
            "io.open(name, 'x')",
            "io.FileIO(name, 'a')",
        ],
    )
    def test_writing(self, call: str) -> None:
        """Only the room for files opens any for writing."""
        assert ["this room does not open files for writing"] == problems(
            "update/discovery/new.py", call
        )
        assert [] == problems("update/files/new.py", call)

    @pytest.mark.parametrize("call", ["os.open(name, os.O_RDONLY)", "open(name)", "open(n, 'rb')"])
    def test_reading(self, call: str) -> None:
        """Those who decide do not open any, those who look do."""
        assert ["this room does not open files"] == problems("update/new.py", call)
        assert [] == problems("update/discovery/new.py", call)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="3.9 does not know what is standard")
class TestAlone:
    """What is on the standard library alone."""

    @pytest.mark.parametrize("name", ["_caller.py", "_quick.py", "installers/pip_hook.py"])
    @pytest.mark.parametrize(
        ("statement", "module"),
        [
            ("from dropin_cache import errors", "dropin_cache"),
            ("import filelock", "filelock"),
            ("def f():\n    from . import errors", "."),
        ],
    )
    def test_refused(self, name: str, statement: str, module: str) -> None:
        """Nothing else is imported, late or not."""
        assert [f"stands alone, and imports {module}"] == problems(name, statement)
        assert [] == problems("update/new.py", statement)

    def test_standard(self) -> None:
        """The standard library is."""
        assert [] == problems("_quick.py", "import os, sys\nfrom os import path")

    def test_payload(self) -> None:
        """What runs inside of a sandbox has what is sent with it."""
        parts = (
            "from dropin_cache.update.payload.proof import x\nfrom dropin_cache._describe import y"
        )
        assert [] == problems("update/payload/new.py", parts)
        other = "from dropin_cache.update.text import one_line"
        assert 1 == len(problems("update/payload/new.py", other))


class TestTree:
    """The project."""

    def test_house(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It is as it should be."""
        assert 0 == CHECK["main"]()
        assert "The house: 0 problems.\n" == capsys.readouterr().out
