"""Tests of which names are those of plugin packages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import bare_environment, no_process_left
from conftest import Tree
from dropin_cache.errors import NotAPluginPackageError
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.environments import Environments
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.orchestrator import update
from dropin_cache.update.plugin_packages import BUILT_IN_PACKAGES, containers_of, wanted_packages
from dropin_cache.update.report import Request
from dropin_cache.update.session import open_session
from dropin_cache.update.settings.configuration import PackageLine
from dropin_cache.update.targets import find_interpreters
from updates import SETTLED


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


def wanted(tree: Tree, *packages: str, configured: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """Return the names that count, the problems with configured ones, and the warnings."""
    request = Request(packages=packages, paths=(str(tree.path),))
    lines = tuple(PackageLine(name) for name in configured)
    with open_session(request) as opened:
        session = opened._replace(settings=opened.settings._replace(packages=lines))
        arguments = session.confinement, session.files, None, session.timeout
        with Importer(*arguments) as importer:
            environments = Environments(session, importer, Owners(None, session.files))
            interpreters, _ = find_interpreters(session, environments)
            names, problems = wanted_packages(session, environments, interpreters)
            return names, [str(each) for each in problems], environments.warnings


class TestContainersOf:
    """Packages that contain others."""

    def test_each(self) -> None:
        """All above a package contain it."""
        names = ["a.b.c", "a.d", "single"]
        assert {"a": "a.d", "a.b": "a.b.c"} == containers_of(names)


@pytest.mark.processes
class TestWantedPackages:
    """Names, from wherever they are."""

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("twisted", "it contains twisted.plugins, which is one"),
            ("dropin_cache", "it contains dropin_cache.plugins, which is one"),
            ("twisted.plugins.pack", "it is in twisted.plugins, which is one"),
            ("app", "it contains app.plugins, which is one"),
            ("json", "it belongs to the standard library"),
            ("xml.dom", "it belongs to the standard library"),
        ],
    )
    def test_refused(self, app: Tree, name: str, text: str) -> None:
        """One that contains a plugin package, declared or not, is refused on a command line."""
        with pytest.raises(NotAPluginPackageError) as caught:
            wanted(app, "app.plugins", name)
        assert f"{name} is no plugin package: {text}" == str(caught.value)
        assert 2 == caught.value.exit_code
        names, problems, _ = wanted(app, configured=("app.plugins", name))
        assert [f"{name} is no plugin package: {text}"] == problems
        assert [*BUILT_IN_PACKAGES, "app.plugins"] == names

    def test_told_by_its_text(self, app: Tree) -> None:
        """One is known by its text where nobody has named it."""
        with pytest.raises(NotAPluginPackageError) as caught:
            wanted(app, "app")
        assert "app.plugins" == caught.value.meant

    def test_declared(self, app: Tree) -> None:
        """A declaration of such a name does not count, and that is told once."""
        app.declare("app", "app.plugins")
        warning = "a distribution declares app, but app is no plugin package: it contains "
        names, problems, warnings = wanted(app)
        assert [*BUILT_IN_PACKAGES, "app.plugins"] == names
        assert ([], [f"{warning}app.plugins, which is one"]) == (problems, warnings)

    def test_told_once(self, app: Tree, tmp_path: Path) -> None:
        """What has been told by one run is not told by the next."""
        app.declare("app", "app.plugins", "json")
        python = bare_environment(tmp_path / "environment").python
        time.sleep(SETTLED)
        request = Request(pythons=(python,), paths=(str(app.path),))
        told = [len(update(request, lambda *_: None).warnings) for _ in range(2)]
        assert [2, 0] == told
