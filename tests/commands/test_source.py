"""What the text of a plugin module shows of its plugins."""

from __future__ import annotations

import pytest

from dropin_cache.commands.source import why_no_plugin

NEEDED = "IPlugin, which makes a plugin of an object"
MARKED = """
@implementer(plugin.IPlugin,
             IFoo)  # both
@another
class Maker:
    pass
"""
UNMARKED = """
@zope.interface.implementer(interfaces.IFoo)
class Maker(Base): pass
"""
NO_OBJECT = (
    "Maker is a class, and the module has no object of it: maker = Maker(...) at its top level "
    "would be one"
)


class TestModule:
    """A module in which no plugin was found."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", f"nothing at the top level of the module provides {NEEDED}"),
            ("import x\nx = 1\n", f"nothing at the top level of the module provides {NEEDED}"),
            (MARKED, NO_OBJECT),
            (MARKED + "def make():\n    maker = Maker()\n", NO_OBJECT),
            (UNMARKED + "maker = Maker()", f"maker provides IFoo, and not {NEEDED}"),
            (
                "@implementer()\nclass A: pass\na: A = A()",
                f"a provides nothing, and not {NEEDED}",
            ),
            (
                MARKED + "maker = Maker()",
                f"nothing at the top level of the module provides {NEEDED}",
            ),
            (
                "@implementer(IPlugin)\nclass a: pass\n",
                (
                    "a is a class, and the module has no object of it: a_object = a(...) at its "
                    "top level would be one"
                ),
            ),
        ],
    )
    def test_reason(self, text: str, expected: str) -> None:
        """It is said what is missing."""
        assert expected == why_no_plugin(text)


class TestPlugin:
    """One plugin that was not found in a module."""

    @pytest.mark.parametrize(
        ("text", "name", "expected"),
        [
            (MARKED, "Maker", NO_OBJECT),
            (
                MARKED + "maker = Maker()",
                "Maker",
                "Maker is a class; maker is the object of it, and the plugin",
            ),
            (UNMARKED + "maker = Maker()", "maker", f"maker provides IFoo, and not {NEEDED}"),
            ("maker = 3", "maker", f"maker does not provide {NEEDED}"),
            ("def maker(): pass", "maker", f"maker does not provide {NEEDED}"),
            ("async def maker(): pass", "maker", f"maker does not provide {NEEDED}"),
            (MARKED + "maker = Maker()", "maker", f"maker does not provide {NEEDED}"),
            ("maker == 3", "maker", None),
            ("    maker = 3", "maker", None),
            ("", "maker", None),
        ],
    )
    def test_reason(self, text: str, name: str, expected: str | None) -> None:
        """It is said what it is; nothing if there is nothing of its name."""
        assert expected == why_no_plugin(text, name)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "@implementer()\n",
            "@implementer(",
            "@a.",
            "a.",
            "x = a.",
            "x",
            "x:",
            "x =",
            " ",
            "(",
            "\n",
        ),
        *("class ", "class x\n", "x = (", "x = x(\n", "async "),
    ],
)
def test_hostile(line: str) -> None:
    """Whatever is in a module, its text is searched in no time that matters."""
    text = line * ((1 << 20) // len(line))
    for plugin in (None, "y"):
        for end in ("", "\n", "("):
            why_no_plugin(text + end, plugin)
