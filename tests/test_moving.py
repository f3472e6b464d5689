"""Moving from twisted.plugin: what docs/plugins.md says of each step is what happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("twisted")
pytestmark = pytest.mark.processes

INTERFACES = """
    from zope.interface import Interface
    class IMaterial(Interface): "A material."
"""
PLUGIN = """
    from zope.interface import implementer
    from {library} import IPlugin
    from matsim.interfaces import IMaterial
    @implementer(IPlugin, IMaterial)
    class {name}: pass
    plate = {name}()
"""
OWN_PACKAGE = """
    from dropin_cache import pluginPackagePaths
    __path__.extend(pluginPackagePaths(__name__))
"""
ASK = """
import sys
from {library} import getPlugins
from matsim.interfaces import IMaterial
{preparation}
print(*sorted(type(each).__name__ for each in getPlugins(IMaterial{package})))
print("twisted" in sys.modules)
"""
IN_TWISTED = {"preparation": "import twisted.plugins", "package": ", twisted.plugins"}


@pytest.fixture
def application(tree):
    """An application, and a plugin for it in twisted/plugins."""
    tree.write("matsim/__init__.py", "")
    tree.write("matsim/interfaces.py", INTERFACES)
    tree.write("twisted/plugins/steel.py", PLUGIN.format(library="twisted.plugin", name="Steel"))
    return tree


def ask(tree, library, preparation="", package=""):
    """Return the names of the plugins that an application finds, and whether it loads Twisted."""
    code = ASK.format(library=library, preparation=preparation, package=package)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tree.path), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "" == done.stderr
    names, loaded = done.stdout.splitlines()
    return names.split(), loaded == "True"


class TestApplication:
    """The application moves."""

    def test_import_only(self, application):
        """With another import alone it finds nothing, and no error says so."""
        assert (["Steel"], True) == ask(application, "twisted.plugin")
        assert ([], False) == ask(application, "dropin_cache")

    def test_package_named(self, application):
        """With the package's name it finds the same with the same cache, and loads Twisted."""
        ask(application, "twisted.plugin")
        cache = Path(application.path, "twisted/plugins/dropin.cache")
        before = cache.read_bytes()

        assert (["Steel"], True) == ask(application, "dropin_cache", **IN_TWISTED)
        assert before == cache.read_bytes()

    def test_package_of_its_own(self, application):
        """With a package of its own it needs no Twisted, and finds nothing in Twisted's."""
        application.write("matsim/plugins/__init__.py", OWN_PACKAGE)
        moved = PLUGIN.format(library="dropin_cache", name="Brass")
        application.write("matsim/plugins/brass.py", moved)
        own = {"preparation": "from matsim import plugins", "package": ", plugins"}

        assert (["Brass"], False) == ask(application, "dropin_cache", **own)


class TestPlugin:
    """The plugin module moves first."""

    def test_marker(self, application):
        """Twisted finds the plugin only until it writes the cache itself."""
        moved = PLUGIN.format(library="dropin_cache", name="Brass")
        file = application.write("twisted/plugins/brass.py", moved)

        assert ["Brass", "Steel"] == ask(application, "dropin_cache", **IN_TWISTED)[0]
        assert ["Brass", "Steel"] == ask(application, "twisted.plugin")[0]
        file.touch()
        assert ["Steel"] == ask(application, "twisted.plugin")[0]

    def test_both_markers(self, application):
        """With both markers everybody finds it."""
        both = PLUGIN.format(library="dropin_cache", name="Brass").replace(
            "@implementer(IPlugin,",
            "import twisted.plugin\n    @implementer(IPlugin, twisted.plugin.IPlugin,",
        )
        application.write("twisted/plugins/brass.py", both)

        assert ["Brass", "Steel"] == ask(application, "twisted.plugin")[0]
        assert ["Brass", "Steel"] == ask(application, "dropin_cache", **IN_TWISTED)[0]
