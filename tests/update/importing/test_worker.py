"""Several children that import drop-ins at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from command_line import no_process_left
from conftest import Tree
from dropin_cache.update.importing import child, importer
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Request
from updates import Done, run

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="without a sandbox all drop-ins share a child"
)

MANY = 2 * importer._WORTH_A_LANE


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[child.Child]:
    """Grow by each child that is started, on a machine with two processors."""
    started: list[child.Child] = []

    class Counted(child.Child):
        def __init__(self, *arguments: Any) -> None:
            started.append(self)
            super().__init__(*arguments)

    monkeypatch.setattr(child, "Child", Counted)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    return started


@pytest.fixture
def app(tree: Tree) -> Tree:
    """A tree with enough drop-ins for two children."""
    tree.application()
    for number in range(MANY):
        tree.dropin(f"many_{number:03}", ["IGreeter", "IOther"][number % 2])
    return tree


def cache_of(tree: Tree) -> bytes:
    """Read the cache."""
    return (tree.path / "app/plugins/dropin.cache").read_bytes()


def failed(done: Done) -> dict[str, str]:
    """Return the errors of what is broken, by the last components of the names."""
    return {
        each.module.rpartition(".")[2]: each.error
        for directory in done.report.directories
        for each in directory.broken
    }


class TestLanes:
    """What several of them make of many drop-ins."""

    def test_same_result(
        self, app: Tree, children: list[child.Child], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The cache is the one that a single child leads to, byte by byte."""
        run(app)
        assert 2 == len(children)
        together = cache_of(app)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
        run(app, force=True)
        assert 3 == len(children)
        assert together == cache_of(app)

    def test_few(self, app: Tree, children: list[child.Child]) -> None:
        """A few drop-ins are not worth another child."""
        run(app)
        children.clear()
        for number in range(3):
            app.dropin(f"few_{number}")
        assert ["few_0", "few_1", "few_2"] == run(app).imported
        assert 1 == len(children)

    def test_failures(self, app: Tree, children: list[child.Child]) -> None:
        """What fails in company is tried once more, and costs nobody else anything."""
        app.write("app/plugins/bad_end.py", "import os; os._exit(3)")
        app.write("app/plugins/bad_kill.py", "import os, signal; os.kill(os.getppid(), 9)")
        app.write("app/plugins/bad_raise.py", "1/0")
        app.write("app/plugins/bad_time.py", "import time; time.sleep(600)")
        done = run(app, timeout=5)
        assert ["bad_end", "bad_kill", "bad_raise", "bad_time"] == sorted(failed(done))
        assert {2} == {done.imported.count(name) for name in failed(done)}
        assert {1} == {done.imported.count(f"many_{number:03}") for number in range(MANY)}
        assert MANY == done.report.directories[0].modules

    def test_interrupted(self, app: Tree, children: list[child.Child]) -> None:
        """Ctrl-C ends all of them."""
        with pytest.raises(KeyboardInterrupt):
            run_interrupted(app)
        assert 2 == len(children)


def run_interrupted(app: Tree) -> None:
    """Run an update that is interrupted after some imports."""

    def progress(number: int, _count: int, _module: str) -> None:
        if number == MANY // 2:
            raise KeyboardInterrupt

    update(Request(packages=("app.plugins",), paths=(str(app.path),)), progress)
