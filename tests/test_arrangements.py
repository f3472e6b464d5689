"""The table of arrangements: each has a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "arrangements.md"


def rows() -> list[list[str]]:
    """Return the cells of all rows."""
    lines = re.findall(r"^\| (.*) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    cells = [[cell.strip() for cell in line.split(" |")] for line in lines]
    return [row for row in cells if row[0] != "arrangement"]


def names_in(node: ast.AST) -> dict[str, ast.AST]:
    """Return the classes and functions right in a module or class."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {each.name: each for each in ast.iter_child_nodes(node) if isinstance(each, kinds)}


class TestTable:
    """What it says."""

    def test_size(self) -> None:
        """It has at least forty arrangements, each once and whole."""
        found = rows()
        assert len(found) >= 40
        assert len(found) == len({row[0] for row in found})
        assert {4} == {len(row) for row in found}
        assert all(row[0] and row[1] for row in found)

    @pytest.mark.parametrize("name", sorted({row[-1] for row in rows()}))
    def test_exists(self, name: str) -> None:
        """Each test that is named is there."""
        assert re.fullmatch(r"`[\w/]+\.py(::\w+)+`", name)
        file, *parts = name.strip("`").split("::")
        node: ast.AST = ast.parse((HERE / file).read_text(encoding="utf-8"))
        for part in parts:
            assert part in names_in(node)
            node = names_in(node)[part]
