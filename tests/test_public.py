"""The public names."""

from __future__ import annotations

import pytest

import dropin_cache
from conftest import Tree, run_python


class TestNames:
    """What the package offers."""

    def test_all(self) -> None:
        """Each public name is listed, and is there."""
        assert set(dropin_cache.__all__) <= set(dir(dropin_cache))
        assert all(getattr(dropin_cache, name) is not None for name in dropin_cache.__all__)

    @pytest.mark.processes
    def test_star(self) -> None:
        """A star import brings all of them, in a process that has loaded none yet."""
        program = "from dropin_cache import *; print(getPlugins.__name__, IPlugin.__module__)"
        assert "getPlugins dropin_cache\n" == run_python(program).stdout

    def test_unknown(self) -> None:
        """Another name is an error in the words that modules have for it."""
        with pytest.raises(AttributeError, match="'dropin_cache' has no attribute 'nothing'"):
            _ = dropin_cache.nothing

    @pytest.mark.processes
    def test_nothing_loaded(self) -> None:
        """The package alone loads nothing of itself, and no zope.interface."""
        program = (
            "import sys, dropin_cache; "
            "print([name for name in sys.modules if name.startswith(('dropin_cache.', 'zope'))])"
        )
        assert "[]\n" == run_python(program).stdout

    @pytest.mark.processes
    def test_little_loaded(self, app: Tree) -> None:
        """Whoever asks for plugins loads eight modules of ours, if the cache is fresh."""
        program = """
            import sys
            import dropin_cache
            import app.plugins
            assert 2 == len(list(dropin_cache.getPlugins(dropin_cache.IPlugin, app.plugins)))
            print(*sorted(name for name in sys.modules if name.startswith("dropin_cache")))
            """
        run_python(program, path=[app.path])
        names = ("cachefile", "conform", "decode", "interfaces", "model", "plugins", "scan")
        expected = ["dropin_cache", *(f"dropin_cache._{name}" for name in names)]
        assert expected == run_python(program, path=[app.path]).stdout.split()
