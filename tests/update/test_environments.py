"""What a run knows of its interpreters: from the ledger where that holds, else by asking them."""

from __future__ import annotations

import contextlib
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import no_process_left
from conftest import Tree
from dropin_cache.errors import InterpreterError, PackageBrokenError
from dropin_cache.update.discovery.interpreters import interpreter_of
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.environments import Environments
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.report import Request
from dropin_cache.update.session import open_session
from updates import SETTLED

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


@contextlib.contextmanager
def opened() -> Iterator[tuple[Environments, Importer]]:
    """Begin a run, which is not saved by itself."""
    time.sleep(SETTLED)
    with open_session(Request()) as session:
        arguments = session.confinement, session.files, None, session.timeout
        with Importer(*arguments) as importer:
            yield Environments(session, importer, Owners(None, session.files)), importer


class TestStart:
    """What an interpreter is."""

    def test_asked_once(self, tree: Tree) -> None:
        """It is asked once in a run, and in the next one not at all."""
        tree.application()
        interpreter = interpreter_of(sys.executable, [str(tree.path)], [])
        with opened() as (environments, importer):
            start = environments.start(interpreter)
            assert sys.version_info[:2] == start.version
            assert str(tree.path) == start.path[0]
            child = importer._fresh[interpreter.key]
            assert start is environments.start(interpreter)
            assert child is importer._fresh[interpreter.key]
            environments.save(None)
        with opened() as (environments, importer):
            again = environments.start(interpreter)
            assert (start.path, start.packages, start.version) == (
                again.path,
                again.packages,
                again.version,
            )
            assert {} == importer._fresh
            assert set(start.path) <= set(environments.paths())

    def test_no_interpreter(self, tmp_path: Path) -> None:
        """What does not start is an error each time, and nothing is kept of it."""
        interpreter = interpreter_of(str(tmp_path / "python"), [], [])
        with opened() as (environments, _):
            for _number in range(2):
                with pytest.raises(InterpreterError):
                    environments.start(interpreter)
            environments.save(None)


class TestImage:
    """The interpreter of another system."""

    def test_nothing_of_this_one(self, public_path: Path) -> None:
        """Its paths are looked for neither here nor, for links would lead out, there."""
        with open_session(Request(root=str(public_path))) as session:
            arguments = session.confinement, session.files, session.request.root, session.timeout
            with Importer(*arguments) as importer:
                environments = Environments(session, importer, Owners(session.request.root))
                interpreter = interpreter_of("/usr/bin/python3", [], [])
                assert None is environments._cannot_be_there(interpreter, "nowhere.plugins")
                assert None is environments._recorded(interpreter)._look


class TestLocate:
    """Where plugin packages are."""

    def test_found(self, tree: Tree) -> None:
        """One is imported to find out, and the next run knows."""
        tree.application()
        interpreter = interpreter_of(sys.executable, [str(tree.path)], [])
        expected = (str(tree.path / "app" / "plugins"),)
        with opened() as (environments, importer):
            assert expected == environments.locate(interpreter, "app.plugins")[:1]
            assert {interpreter.key} == importer.warm
            assert expected == environments.locate(interpreter, "app.plugins")[:1]
            environments.save(None)
        with opened() as (environments, importer):
            assert expected == environments.locate(interpreter, "app.plugins")[:1]
            assert set() == importer.warm
        tree.write("app/__init__.py", "# changed")
        with opened() as (environments, importer):
            assert expected == environments.locate(interpreter, "app.plugins")[:1]
            assert {interpreter.key} == importer.warm

    def test_nowhere(self, tree: Tree) -> None:
        """For one whose topmost package is in no directory nothing is imported, until it is."""
        tree.path.mkdir()
        interpreter = interpreter_of(sys.executable, [str(tree.path)], [])
        for _ in range(2):
            with opened() as (environments, importer):
                environments.start(interpreter)
                children = dict(importer._fresh)
                assert None is environments.locate(interpreter, "nowhere.plugins")
                assert children == importer._fresh
                environments.save(None)
        tree.write("nowhere/plugins/one.py")
        with opened() as (environments, _):
            expected = (str(tree.path / "nowhere" / "plugins"),)
            assert expected == environments.locate(interpreter, "nowhere.plugins")

    def test_in_an_archive(self, tree: Tree) -> None:
        """One in an archive on the path is found by importing it."""
        archive = tree.path / "lib.zip"
        tree.path.mkdir()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("zipped/__init__.py", "")
            file.writestr("zipped/plugins/__init__.py", "")
        interpreter = interpreter_of(sys.executable, [str(archive)], [])
        with opened() as (environments, _):
            expected = (f"{archive}/zipped/plugins",)
            assert expected == environments.locate(interpreter, "zipped.plugins")
            assert None is environments.locate(interpreter, "nowhere.plugins")
            environments.save(None)
        with opened() as (environments, importer):
            assert expected == environments.locate(interpreter, "zipped.plugins")
            assert (set(), {}) == (importer.warm, importer._fresh)

    def test_broken(self, tree: Tree) -> None:
        """One that cannot be imported is an error, until it is mended."""
        tree.application()
        interpreter = interpreter_of(sys.executable, [str(tree.path)], [])
        with opened() as (environments, _):
            environments.locate(interpreter, "app.plugins")
            environments.save(None)
        tree.write("app/plugins/__init__.py", "1/0")
        for _ in range(2):
            with opened() as (environments, _), pytest.raises(PackageBrokenError):
                environments.locate(interpreter, "app.plugins")
        tree.write("app/plugins/__init__.py", "")
        with opened() as (environments, _):
            expected = (str(tree.path / "app" / "plugins"),)
            assert expected == environments.locate(interpreter, "app.plugins")[:1]
