"""Whether caches are what readers need, found out without any import."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import no_process_left, unprivileged
from conftest import Tree, run_python
from dropin_cache.update.discovery.differences import BY_TWISTED
from reader_support import cache_of
from updates import ROOT, own, run, tier_for

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


class TestImports:
    """What a comparison imports."""

    @pytest.mark.parametrize("known", [False, True])
    def test_nothing(self, app: Tree, known: bool) -> None:
        """Neither the plugin package nor a plugin module, whether anything is known or not."""
        witness = f"open({str(app.path / 'witness')!r}, 'a').close()\n"
        if known:
            run(app)
        for name in ("__init__", "hello", "new"):
            file = app.path / f"app/plugins/{name}.py"
            app.write(
                f"app/plugins/{name}.py", (file.read_text() if file.exists() else "") + witness
            )
        for options in ({}, {"force": True}):
            (directory,) = run(app, write=False, **options).report.directories
            assert ("stale" if known else "missing") == directory.state
        assert not (app.path / "witness").exists()


@pytest.mark.skipif(not ROOT, reason="only root can be two users")
class TestAnotherUser:
    """A monitoring account, which looks at what root has written."""

    def test_told_what_root_was(self, public_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is told what root's update found broken, and what is stale since."""
        tree = Tree(public_path / "tree")
        tree.application()
        for name in ("good", "bad"):
            tree.dropin(name)
            own(tree, name)
        tree.write("app/plugins/bad.py", "1/0")
        with tier_for("landlock", public_path / "more", monkeypatch) as update:
            update(tree)
            with unprivileged():
                (seen,) = update(tree, write=False, sandbox="none").report.directories
            assert ("fresh", ["app.plugins.bad"]) == (
                seen.state,
                [each.module for each in seen.broken],
            )
            assert "ZeroDivisionError: division by zero" == seen.broken[0].error
            tree.write("app/plugins/bad.py", "mended = 1")
            with unprivileged():
                (seen,) = update(tree, write=False, sandbox="none").report.directories
            assert ("stale", ()) == (seen.state, seen.broken)


class TestBroken:
    """Plugin modules that an update found broken."""

    def test_entry_of_former_file(self, app: Tree) -> None:
        """If the cache still has an entry, of a former file, it is stale besides."""
        run(app)
        former = cache_of(app).read_bytes()
        app.write("app/plugins/loud.py", "1/0")
        run(app)
        cache_of(app).write_bytes(former)
        (directory,) = run(app, write=False).report.directories
        why = "its file has changed since the cache was written"
        assert ("stale", {"app.plugins.loud": why}) == (directory.state, dict(directory.changes))
        assert ["app.plugins.loud"] == [each.module for each in directory.broken]

    def test_works_for_others(self, app: Tree) -> None:
        """What a reader has imported and written since is not broken for readers."""
        app.write("app/plugins/loud.py", "import flag\n")
        run(app)
        assert ["app.plugins.loud"] == [
            each.module for each in run(app, write=False).report.directories[0].broken
        ]
        app.write("flag.py")
        reader = "import app.plugins, dropin_cache; dropin_cache.getCache(app.plugins)"
        assert 0 == run_python(reader, path=[app.path]).returncode
        (directory,) = run(app, write=False).report.directories
        assert ("fresh", ()) == (directory.state, directory.broken)

    @pytest.mark.skipif(not ROOT, reason="refusals are for root")
    def test_refused(self, app: Tree, public_path: Path) -> None:
        """A module that is a link to what others can change is told, and nothing is stale."""
        elsewhere = public_path / "loud.py"
        elsewhere.write_text("x = 1")
        elsewhere.chmod(0o666)
        (app.path / "app/plugins/loud.py").unlink()
        (app.path / "app/plugins/loud.py").symlink_to(elsewhere)
        run(app)
        (directory,) = run(app, write=False).report.directories
        assert ("fresh", ["app.plugins.loud"]) == (
            directory.state,
            [each.module for each in directory.broken],
        )


class TestRule:
    """Where the directories of plugin packages are, without asking them."""

    @pytest.mark.parametrize(
        ("application", "expected"), [(True, ["missing"]), (False, ["corrupt"])]
    )
    def test_portions(self, app: Tree, application: bool, expected: list[str]) -> None:
        """The plugin package is a namespace, as Twisted's is; so may the application be."""
        (app.path / "app/plugins/__init__.py").unlink()
        if not application:
            (app.path / "app/__init__.py").unlink()
            (app.path / "app/plugins/dropin.cache").write_bytes(b"")
        options = {"packages": ("app.plugins",), "write": False}
        assert expected == list(run(app, **options).states.values())


class TestMode:
    """The permissions of a cache."""

    def test_unreadable_for_others(self, app: Tree) -> None:
        """A cache that only its owner can read is of no use to readers, and it is said why."""
        run(app)
        cache_of(app).chmod(0o600)
        (directory,) = run(app, write=False).report.directories
        why = "its mode is 0600, so that not every user can read it"
        assert ("stale", {"app.plugins": why}) == (directory.state, dict(directory.changes))
        assert BY_TWISTED not in dict(directory.remarks).values()
