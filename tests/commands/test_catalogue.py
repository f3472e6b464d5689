"""How a listing of plugins looks."""

from __future__ import annotations

import pytest

from dropin_cache.commands.catalogue import groups, groups_in_full
from dropin_cache.commands.listing import Row


def row(plugin: str, *provides: str, module: str = "a.plugins.b", path: str = "/p") -> Row:
    """Return a plugin that provides interfaces, and has the marker."""
    names = ("dropin_cache.IPlugin", *provides)
    return Row("a.plugins", module, plugin, names, ("zope.interface.Interface",), None, path)


def lines(rows: list[Row], width: int | None = None) -> list[str]:
    """Return a listing."""
    return [line for module, lines in groups(rows, width) for line in (module, *lines)]


class TestGroups:
    """What is shown as a rule."""

    def test_modules(self) -> None:
        """Plugins of a module stand together; the marker, and where interfaces are from, do not."""
        rows = [row("one", "x.IA", "x.IB"), row("other", "x.IA"), row("c", module="a.plugins.c")]
        assert [
            "a.plugins.b",
            "  one    IA, IB",
            "  other  IA",
            "a.plugins.c",
            "  c      IPlugin",
        ] == lines(rows)

    def test_alike(self) -> None:
        """Interfaces of one name are told apart."""
        assert ["a.plugins.b", "  p  x.IA, y.IA, IB"] == lines([row("p", "x.IA", "y.IA", "x.IB")])

    def test_places(self) -> None:
        """Where modules have one name, it is said which is which."""
        rows = [row("p", "x.IA"), row("p", "x.IA", path="/q")]
        assert [
            *("a.plugins.b", "  in /p/dropin.cache", "  p  IA"),
            *("a.plugins.b", "  in /q/dropin.cache", "  p  IA"),
        ] == lines(rows)

    def test_folded(self) -> None:
        """What does not fit goes on in the same column, if it fits there."""
        rows = [row("plugin", *(f"x.I{letter * 6}" for letter in "ABC"))]
        assert ["a.plugins.b", "  plugin  IAAAAAA,", "          IBBBBBB,", "          ICCCCCC"] == (
            lines(rows, 20)
        )
        assert ["  plugin", "    IAAAAAA,", "    IBBBBBB,", "    ICCCCCC"] == lines(rows, 16)[1:]

    def test_long_names(self) -> None:
        """A long name has the rest below it, and does not move that of others."""
        rows = [row("p", "x.IA"), row("q" * 12, "x.IA")]
        assert ["a.plugins.b", "  p  IA", f"  {'q' * 12}", "     IA"] == lines(rows, 20)

    def test_wide_characters(self) -> None:
        """Columns are those of the terminal."""
        rows = [row("插件", "x.IA"), row("four", "x.IA"), row("e\u0301", "x.IA")]
        assert ["  插件  IA", "  four  IA", "  e\u0301     IA"] == lines(rows)[1:]

    def test_endless(self) -> None:
        """What one plugin is called does not make the lines of others endless."""
        found = lines([row("x" * 9999, "x.IA"), row("p", f"x.{'I' * 9999}")])
        assert [f"  {'x' * 200}...", "     IA", f"  p  {'I' * 200}..."] == found[1:]

    @pytest.mark.parametrize("width", [40, 80, 200])
    def test_width(self, width: int) -> None:
        """What can be folded fits the terminal."""
        rows = [
            row("p" * size, *(f"x.I{'J' * each}" for each in range(30))) for size in range(1, 38)
        ]
        assert max(map(len, lines(rows, width))) <= width


class TestGroupsInFull:
    """What is shown if somebody wants to see it all."""

    def test_all(self) -> None:
        """There is all that the caches say, and in which cache it is."""
        text = "It is good\n\n  for many things."
        rows = [row("p", "x.IA")._replace(description=text), row("q")._replace(inherits=())]
        assert [
            (
                "a.plugins.b",
                [
                    "  in /p/dropin.cache",
                    "  p",
                    "    provides  dropin_cache.IPlugin,",
                    "              x.IA",
                    "    inherits",
                    "    zope.interface.Interface",
                    "    says      It is good for many",
                    "              things.",
                    "  q",
                    "    provides  dropin_cache.IPlugin",
                ],
            )
        ] == list(groups_in_full(rows, 35))

    def test_control_characters(self) -> None:
        """Nothing in it moves the cursor."""
        rows = [row("p\x1b", "x.I\x1b", path="/\x1b")._replace(description="\x1b")]
        ((module, found),) = groups_in_full(rows, None)
        assert "a.plugins.b" == module
        assert not any("\x1b" in line for line in found)
