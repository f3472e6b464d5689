"""The check of links inside the documentation site; `make docs` builds it and runs this on it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

TOOL = runpy.run_path(str(Path(__file__).resolve().parents[1] / "tools" / "check_links.py"))


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("other.html", []),
        ("other.html#here", []),
        ("#top", []),
        ("below/", []),
        ("picture%20one.svg", []),
        ("https://example.org/nothing#x", []),
        ("mailto:somebody@example.org", []),
        ("another.html", ["index.html: no such file: another.html"]),
        ("other.html#there", ["index.html: no such place: other.html#there"]),
        ("#here", ["index.html: no such place: #here"]),
        ("picture.svg", ["index.html: no such file: picture.svg"]),
    ],
)
def test_links(tmp_path, link, expected):
    """A link needs a file, and in a page a place."""
    (tmp_path / "below").mkdir()
    for name, text in {
        "index.html": f'<p id="top"><a href="{link}">words</a></p>',
        "other.html": '<a name="here"></a>',
        "below/index.html": '<a href="../index.html">up</a>',
        "picture one.svg": "",
    }.items():
        (tmp_path / name).write_text(text)

    assert expected == TOOL["problems"](tmp_path)
