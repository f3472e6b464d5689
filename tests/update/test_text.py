"""Text of unknown origin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropin_cache.update.text import one_line


class TestOneLine:
    """Text that is safe to print within a line."""

    @given(st.text())
    def test_printable(self, text: str) -> None:
        """Nothing that moves the cursor or ends the line is left."""
        assert one_line(text).isprintable()

    @given(st.text().filter(str.isprintable))
    def test_printable_stays(self, text: str) -> None:
        """What can be printed stays as it is."""
        assert text == one_line(text)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a\nb\r", "a\\nb\\r"),
            ("\x1b[2J", "\\x1b[2J"),
            ("\u202e", "\\u202e"),
            ("\udcff", "\\udcff"),
            ("größer, 大きい", "größer, 大きい"),
        ],
        ids=["lines", "escape", "direction", "byte", "letters"],
    )
    def test_escapes(self, text: str, expected: str) -> None:
        """Everything else is written as in source code."""
        assert expected == one_line(text)
