"""The update as a whole."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import pytest

from command_line import no_process_left, snapshot
from conftest import Tree
from dropin_cache.errors import PackageNotFoundError
from dropin_cache.update.orchestrator import update
from dropin_cache.update.report import Report, Request
from environments import environment

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


SANDBOXES = ("namespace", "landlock") if os.geteuid() == 0 else ("none",)


def nothing(*_: object) -> None:
    """Show no progress."""


class TestUpdate:
    """From a request to a report."""

    def test_all_targets(self, tree: Tree) -> None:
        """Each package has its caches brought up to date, in the order of the request."""
        for name in ("app", "other"):
            tree.application(name)
            tree.dropin("one", package=name)
        request = Request(packages=("other.plugins", "app.plugins"), paths=(str(tree.path),))
        report = update(request, nothing)
        assert report.sandbox in SANDBOXES
        assert [("other.plugins", "written"), ("app.plugins", "written")] == [
            (each.package, each.state) for each in report.directories
        ]

    def test_nothing_to_do(self, tree: Tree) -> None:
        """A package without drop-ins has no directories to report."""
        tree.application()
        request = Request(packages=("app.plugins",), paths=(str(tree.path),))
        report = update(request, nothing)
        assert Report(report.sandbox, ()) == report

    def test_bad_request(self, tree: Tree) -> None:
        """A request that cannot be met writes nothing at all."""
        tree.application()
        tree.dropin("one")
        before = snapshot(tree.path)
        with pytest.raises(PackageNotFoundError):
            update(Request(packages=("app.plugins", "missing"), paths=(str(tree.path),)), nothing)
        assert before == snapshot(tree.path)

    def test_two_interpreters(self, tree: Tree) -> None:
        """A directory that two interpreters share is reported and written once."""
        tree.application()
        tree.dropin("one")
        pythons = (sys.executable, environment(tree.path / "other").python)
        request = Request(packages=("app.plugins",), pythons=pythons, paths=(str(tree.path),))
        imported: list[str] = []
        report = update(request, lambda *each: imported.append(each[2]))
        assert [("written", sys.executable)] == [
            (each.state, each.python) for each in report.directories
        ]
        assert ["app.plugins.one"] * 2 == imported

    def test_broken_package(self, tree: Tree) -> None:
        """A package that does not import is a problem, and the others go on."""
        tree.application()
        tree.dropin("one")
        tree.write("bad/__init__.py", "1/0")
        request = Request(packages=("bad", "app.plugins"), paths=(str(tree.path),))
        report = update(request, nothing)
        assert [("app.plugins", "written")] == [
            (each.package, each.state) for each in report.directories
        ]
        assert ["bad"] == [problem.package for problem in report.problems]

    def test_sandbox_of_an_earlier_run(self, tree: Tree) -> None:
        """Where nothing has to be imported, the sandbox is the one in which it was."""
        tree.application()
        tree.dropin("one")
        request = Request(packages=("app.plugins",), paths=(str(tree.path),))
        time.sleep(0.05)  # what is newer than that is imported again
        first = update(request, nothing)
        second = update(request, nothing)
        assert first.sandbox == second.sandbox
        assert ["unchanged"] == [each.state for each in second.directories]
