"""What a sandbox does not show takes nothing from a good cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import pytest

from conftest import NOBODY, Tree, run_python
from dropin_cache._cachefile import read_cache_file
from dropin_cache._encode import encode
from dropin_cache.errors import PackageBrokenError
from reader_support import LIBRARY
from updates import Done, affected, own, run

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.geteuid() != 0, reason="users have no sandbox"),
]


class Site:
    """An application whose plugin module `hello` needs something, and `loud`, which needs nothing.

    Attributes:
        tree: Its import root.
        store: A directory outside of that.
    """

    def __init__(self, path: Path) -> None:
        self.tree, self.store = Tree(path / "site"), path / "store"
        self.store.mkdir()
        self.tree.application()
        self.tree.dropin("loud", "ILoudGreeter")
        self.tree.dropin("hello")
        own(self.tree, "hello", "loud")

    def begin_hello(self, code: str) -> None:
        """Put some code at the beginning of `hello`."""
        file = self.tree.path / "app/plugins/hello.py"
        file.write_text(code + file.read_text())

    def end_hello(self, code: str) -> None:
        """Put some code at the end of `hello`."""
        file = self.tree.path / "app/plugins/hello.py"
        file.write_text(file.read_text() + code)

    def link(self, name: str) -> Path:
        """Make a module elsewhere, and a link to it in the import root."""
        kept = self.store / name
        kept.write_text("NAME = 1\n")
        (self.tree.path / name).symlink_to(kept)
        return kept

    def written_by_a_reader(self) -> None:
        """Have an application write the cache, which sees everything."""
        code = "import app.plugins, dropin_cache; dropin_cache.getCache(app.plugins)"
        done = run_python(code, path=[self.tree.path, LIBRARY])
        assert (0, "") == (done.returncode, done.stderr)
        assert ["hello", "loud"] == sorted(self.plugins())

    def plugins(self) -> dict[str, list[str]]:
        """Return the names of the plugins in the cache, by the module."""
        file = read_cache_file(str(self.tree.path / "app/plugins"))
        entries = (file.dropins() or {}) if file is not None else {}
        return {name: [each.name for each in entry.plugins] for name, entry in entries.items()}


@pytest.fixture
def site(public_path: Path) -> Site:
    """An application that everybody can read."""
    return Site(public_path)


def warnings(done: Done) -> list[str]:
    """Return the warnings of an update of one directory."""
    (directory,) = done.report.directories
    return list(directory.warnings)


def others(site: Site) -> str:
    """Have `hello` import a module by a link, which then leads to what is another user's."""
    kept = site.link("library.py")
    site.begin_hello("import library\n")
    os.chown(site.store, NOBODY, NOBODY)
    return f"ModuleNotFoundError: No module named 'library'|{site.tree.path / 'library.py'}|{kept}"


def closed(site: Site) -> str:
    """Have `hello` import a module that only root can read, as umask 077 leaves them."""
    library = site.tree.write("library.py")
    site.begin_hello("import library\n")
    library.chmod(0o600)
    return f"PermissionError: [Errno 13] Permission denied: '{library}'|{library}"


def closed_package(site: Site) -> str:
    """Have `hello` import a package in a directory that only root can enter."""
    library = site.tree.write("library/__init__.py").parent
    site.tree.write("library/inner.py")
    site.begin_hello("import library.inner\n")
    library.chmod(0o700)
    return f"ModuleNotFoundError|{library}"


def configuration(site: Site) -> str:
    """Have `hello` read a file outside of everything that is shown."""
    (site.store / "app.conf").write_text("name = 1\n")
    site.begin_hello(f"open({str(site.store / 'app.conf')!r}).read()\n")
    return f"FileNotFoundError|{site.store / 'app.conf'}"


def listing(site: Site) -> str:
    """Have `hello` list a directory outside of everything that is shown."""
    site.begin_hello(f"import os; os.listdir({str(site.store)!r})\n")
    return f"FileNotFoundError|{site.store}"


class TestKept:
    """What an application has written is not replaced by less."""

    @pytest.mark.parametrize("arrange", [others, closed, closed_package, configuration, listing])
    def test_failing(self, site: Site, arrange: Callable[[Site], str]) -> None:
        """A module that cannot be imported for that keeps its entry, and the reason is told."""
        error, *paths = arrange(site).split("|")
        site.written_by_a_reader()
        done = run(site.tree)
        (directory,) = done.report.directories
        assert ({"hello": ["plugin"], "loud": ["plugin"]}, ()) == (site.plugins(), directory.broken)
        (warning,) = warnings(done)
        assert "app.plugins.hello (of hello_owner): keeps what its cache says: " in warning
        assert error in warning
        assert any(f"the sandbox does not show {path}" in warning for path in paths)

        # It is no news for ever, and found out again when something is installed.
        again = run(site.tree)
        assert ([], ["unchanged"]) == (again.imported, list(again.states.values()))
        assert ["fresh"] == list(run(site.tree, write=False).states.values())
        site.tree.write("another.py")
        assert affected(site.tree, "hello") == run(site.tree).imported
        assert ["hello", "loud"] == sorted(site.plugins())

    def test_twisted(self, site: Site) -> None:
        """So does an entry of Twisted's, which has no fingerprint: the file's time tells."""
        others(site)
        site.written_by_a_reader()
        file = site.tree.path / "app/plugins/dropin.cache"
        cache = read_cache_file(str(file.parent))
        assert cache is not None
        entries = cache.dropins() or {}
        for entry in entries.values():
            entry.fingerprint = None
        file.write_bytes(encode(entries.values()))
        (warning,) = warnings(run(site.tree))
        assert "keeps what its cache says" in warning
        assert ["hello", "loud"] == sorted(site.plugins())

    def test_less(self, site: Site) -> None:
        """A module that gets by without what it cannot see keeps what it had with it."""
        kept = site.link("library.py")
        site.end_hello("try:\n import library; extra = Plugin()\nexcept ImportError: pass\n")
        os.chown(site.store, NOBODY, NOBODY)
        site.written_by_a_reader()
        (warning,) = warnings(run(site.tree))
        assert "less is found in it now; the sandbox does not show" in warning
        assert ["extra", "plugin"] == sorted(site.plugins()["hello"])

        # Once it is shown, it is as anything else: here it is gone for good.
        os.chown(site.store, 0, 0)
        kept.unlink()
        assert [] == warnings(run(site.tree, force=True))
        assert ["plugin"] == site.plugins()["hello"]

    def test_more(self, site: Site) -> None:
        """A module that finds more than it had is written as it is, whatever it cannot see."""
        configured = site.store / "app.conf"
        site.written_by_a_reader()
        site.begin_hello(f"try: open({str(configured)!r})\nexcept OSError: pass\n")
        site.end_hello("more = Plugin()\n")
        configured.touch()
        assert [] == warnings(run(site.tree))
        assert ["more", "plugin"] == sorted(site.plugins()["hello"])

    def test_another_file(self, site: Site) -> None:
        """Of another file than the cache is about, nothing is kept; what is hidden is told."""
        site.written_by_a_reader()
        others(site)
        (directory,) = run(site.tree).report.directories
        (broken,) = directory.broken
        assert "app.plugins.hello" == broken.module
        assert f"; the sandbox does not show {site.tree.path / 'library.py'}" in broken.error
        assert ["loud"] == list(site.plugins())

    def test_gone(self, site: Site) -> None:
        """What is not there at all is missing for applications, too."""
        library = site.tree.write("library.py")
        site.begin_hello("import library\n")
        site.written_by_a_reader()
        library.unlink()
        (directory,) = run(site.tree).report.directories
        assert ["ModuleNotFoundError: No module named 'library'"] == [
            each.error for each in directory.broken
        ]
        assert ["loud"] == list(site.plugins())

    @pytest.mark.parametrize("part", ["app", "app/plugins"])
    def test_package(self, site: Site, part: str) -> None:
        """A plugin package that cannot be seen is no package that is gone."""
        site.written_by_a_reader()
        (site.tree.path / part).rename(site.store / "kept")
        (site.tree.path / part).symlink_to(site.store / "kept")
        os.chown(site.store, NOBODY, NOBODY)
        done = run(site.tree)
        (problem,) = done.report.problems
        assert isinstance(problem, PackageBrokenError)
        assert f"the sandbox does not show {site.tree.path / part}" == problem.reason
        assert problem.hidden
        assert ["hello", "loud"] == sorted(site.plugins())
