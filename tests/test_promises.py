"""The promises of the documents: each names its tests, and these are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROJECT = HERE.parent
DOCUMENTS = sorted(
    [*PROJECT.glob("docs/*.md"), *(PROJECT / f"{name}.md" for name in ("SECURITY", "CONTRIBUTING"))]
)
_NAME = re.compile(r"`(tests/[\w./]*)`")


def promises() -> list[str]:
    """Return what docs/reliability.md and SECURITY.md promise, a text each."""
    reliability = (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")
    listed = reliability.partition("\nWhat is promised:\n\n- ")[2].partition("\n\n")[0]
    security = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
    table = security.partition("\n## Each promise and its tests\n")[2].strip().splitlines()[2:]
    return [*listed.split("\n- "), *table]


class TestPromises:
    """What is promised."""

    def test_found(self) -> None:
        """They are found where they stand."""
        assert len(promises()) > 20

    @pytest.mark.parametrize("promise", promises(), ids=lambda text: text[:40])
    def test_named(self, promise: str) -> None:
        """Each names a test."""
        assert _NAME.findall(promise)

    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
    def test_exists(self, document: Path) -> None:
        """Each test that a document names is there."""
        named = _NAME.findall(document.read_text(encoding="utf-8"))
        assert [] == [name for name in named if not (PROJECT / name).exists()]
