"""What the ledger says of a cache that is not what was written last."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Tree, run_python
from updates import run

pytestmark = pytest.mark.processes

_HEAD = """from zope.interface import implementer
from twisted.plugin import IPlugin
@implementer(IPlugin)
class Plugin: pass
"""
# Of what an update imports, nothing sees the variables of its caller.
_MORE = "import os\nif 'MORE' in os.environ: more = Plugin()\n"
_ONLY = "import os; os.environ['MORE']\n"
_TWISTED = """
    from twisted.plugin import IPlugin, getPlugins
    import app.plugins
    list(getPlugins(IPlugin, app.plugins))
"""


@pytest.fixture
def app(tree: Tree) -> Tree:
    """A tree with an application of Twisted's and two plugin modules, both in its cache."""
    tree.application()
    for name in ("one", "two"):
        write(tree, name)
    return tree


def write(tree: Tree, name: str, more: str = "") -> None:
    """Write a plugin module as Twisted has them."""
    tree.write(f"app/plugins/{name}.py", f"{_HEAD}{more}plugin = Plugin()\n", 10**18)


def replace(tree: Tree, **env: str) -> bytes:
    """Have stock Twisted write a cache of its own in the place of ours; return ours."""
    file = cache_of(tree)
    before = file.read_bytes() if file.exists() else b""
    file.unlink(missing_ok=True)
    done = run_python(_TWISTED, path=[tree.path], env=env)
    assert ("", 0) == (done.stderr, done.returncode)
    assert before != file.read_bytes()
    return before


def cache_of(tree: Tree) -> Path:
    """Return the path of the cache."""
    return tree.path / "app/plugins/dropin.cache"


def names(tree: Tree) -> set[bytes]:
    """Return those names that tell the tests apart which are in the cache."""
    data = cache_of(tree).read_bytes()
    return {each for each in (b"one", b"two", b"more") if each in data}


class TestReplaced:
    """Twisted has written the cache since."""

    def test_same(self, app: Tree) -> None:
        """Ours is written again, and nothing is imported for that."""
        assert ["one", "two"] == run(app).imported
        ours = replace(app)
        assert ["fresh"] == list(run(app, write=False).states.values())
        done = run(app)
        assert ([], ["written"]) == (done.imported, list(done.states.values()))
        assert ours == cache_of(app).read_bytes()
        again = run(app)
        assert ([], ["unchanged"]) == (again.imported, list(again.states.values()))

    def test_another_date(self, app: Tree) -> None:
        """Also where a file has another date by now."""
        run(app)
        replace(app)
        (app.path / "app/plugins/one.py").touch()
        done = run(app)
        assert ([], ["written"]) == (done.imported, list(done.states.values()))
        found = cache_of(app).read_bytes()
        run(app, force=True)
        assert cache_of(app).read_bytes() == found

    def test_changed(self, app: Tree) -> None:
        """What has changed meanwhile is imported."""
        run(app)
        replace(app)
        write(app, "two", "more = Plugin()\n")
        assert "two" in run(app).imported
        assert {b"one", b"two", b"more"} == names(app)

    @pytest.mark.parametrize("more", [_MORE, _ONLY], ids=["a plugin", "a module"])
    def test_more(self, app: Tree, more: str) -> None:
        """Where Twisted has found more than we did, it is found out anew."""
        write(app, "two", more)
        run(app)
        replace(app, MORE="1")
        done = run(app)
        assert "two" in done.imported
        assert {"the cache is not what was written last"} <= set(done.changes.values())

    def test_all(self, app: Tree) -> None:
        """So it is where we had nothing to cache."""
        for name in ("one", "two"):
            write(app, name, _ONLY)
        run(app)
        assert not cache_of(app).exists()
        replace(app, MORE="1")
        assert ["one", "two"] == run(app).imported
