"""Whether caches are what readers need, found out without any import."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import no_process_left, unprivileged
from conftest import Tree
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
