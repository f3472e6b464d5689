"""The update as a whole."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from commands import no_process_left, snapshot
from conftest import Tree
from dropin_cache.errors import PackageNotFoundError
from dropin_cache.update import Report, Request, update


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


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
        assert "none" == report.sandbox
        assert [("other.plugins", "written"), ("app.plugins", "written")] == [
            (each.package, each.state) for each in report.directories
        ]

    def test_nothing_to_do(self, tree: Tree) -> None:
        """A package without drop-ins has no directories to report."""
        tree.application()
        request = Request(packages=("app.plugins",), paths=(str(tree.path),))
        assert Report("none", ()) == update(request, nothing)

    def test_bad_request(self, tree: Tree) -> None:
        """A request that cannot be met writes nothing at all."""
        tree.application()
        tree.dropin("one")
        before = snapshot(tree.path)
        with pytest.raises(PackageNotFoundError):
            update(Request(packages=("app.plugins", "missing"), paths=(str(tree.path),)), nothing)
        assert before == snapshot(tree.path)

    def test_two_interpreters(self, tree: Tree) -> None:
        """A directory that two interpreters share is reported for each, and written once."""
        tree.application()
        tree.dropin("one")
        request = Request(
            packages=("app.plugins",), pythons=(sys.executable,) * 2, paths=(str(tree.path),)
        )
        assert ["written", "unchanged"] == [
            each.state for each in update(request, nothing).directories
        ]
