"""Starting a child, and finding out what the interpreter is."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from command_line import no_process_left
from conftest import Tree
from dropin_cache.errors import (
    ConfinementError,
    ForeignInterpreterError,
    InterpreterError,
    NoSandboxError,
    ZopeInterfaceMissingError,
)
from dropin_cache.update.discovery.interpreters import Interpreter, Start, interpreter_of
from dropin_cache.update.files.failures import exit_code_of
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing import bootstrap, child, starting
from dropin_cache.update.importing.answers import ChildError
from dropin_cache.update.importing.records import Description, Failure
from dropin_cache.update.importing.starting import Session, Starter
from dropin_cache.update.sandbox.choice import Confinement, Unconfined
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.visible import Entry, View
from sandboxes import PYTHON, sandbox

# What else an answer to "start" has.
REST = '"path": [], "files": [], "observed": OBSERVED, "of": "start"}'

_TAMPERED = "it did not start as a Python interpreter: it tampered with its description"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process and no descriptor is left."""
    before = set(os.listdir("/proc/self/fd"))
    with no_process_left():
        yield
    assert before == set(os.listdir("/proc/self/fd"))


def confinement_of(choose: Any, *allowed: str, closed: tuple[str, ...] = ()) -> Confinement:
    """Return a confinement that chooses in some way."""
    return Confinement(choose, allowed or ("none",), Limits(), closed)


@contextmanager
def starter(confinement: Confinement | None = None) -> Iterator[Starter]:
    """Have a starter, by default one that confines nothing."""
    with Files(enforced=False) as files:
        yield Starter(confinement or confinement_of(Unconfined), files, None)


def asked(interpreter: Interpreter, confinement: Confinement | None = None) -> Start:
    """Return what an interpreter says that it is."""
    with starter(confinement) as found:
        start, session = found.ask(interpreter)
        session.close()
        return start


@contextmanager
def started(interpreter: Interpreter, confinement: Confinement | None = None) -> Iterator[Session]:
    """Have a child."""
    with starter(confinement) as found:
        session = found.start(interpreter)
        try:
            yield session
        finally:
            session.close()


def this(*paths: object, more: tuple[str, ...] = (), python: str = sys.executable) -> Interpreter:
    """Return the interpreter that runs the tests."""
    return interpreter_of(python, list(map(str, paths)), more)


def fake(path: Path, answer: str) -> Interpreter:
    """Write an interpreter that gives one answer, whatever the question."""
    program = f"""\
        #!{sys.executable} -B
        import json, os, sys
        arguments = sys.argv[sys.argv.index("-c") + 2:]
        sys.stdin.buffer.read(sum(map(int, arguments[3::4] + arguments[4::4])))
        sys.stdin.readline()
        nothing = json.dumps(dict.fromkeys(("files", "listed", "paths", "names"), []))
        answer = {answer!r}.replace("OBSERVED", nothing)
        os.write(int(arguments[0]), answer.encode() + b"\\n")
        sys.stdin.read()
        """
    path.write_text(textwrap.dedent(program))
    path.chmod(0o755)
    return this(python=str(path))


class TestAsk:
    """Asking an interpreter what it is."""

    def test_import_roots(self, tree: Tree) -> None:
        """The paths given come first, and the working directory is not among them."""
        start = asked(this(tree.path, more=("/more",)))
        assert sys.version_info[:2] == start.version
        assert (str(tree.path), "/more") == (start.path[0], start.path[-1])
        assert "" not in start.path
        assert os.path.dirname(os.__file__) in start.path
        assert os.__file__ in start.files

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            ('{"version": [3, 8], "zope": true, ' + REST, "it is Python 3.8, older than 3.9"),
            ('{"version": [2, 7], "zope": false, ' + REST, "it is Python 2.7, older than 3.9"),
            (
                '{"of": "start", "version": 1}',
                f"{_TAMPERED}: version is not a list; path is not a list",
            ),
            (
                '{"version": [3, 11], "zope": true, ' + REST.replace("OBSERVED", "[]"),
                f"{_TAMPERED}: observed is not a dict",
            ),
            (
                '{"of": "other"}',
                f"{_TAMPERED}: not the answer to what was asked",
            ),
            (
                "hello",
                f"{_TAMPERED}: not JSON: JSONDecodeError",
            ),
        ],
    )
    def test_unfit(self, tmp_path: Path, answer: str, reason: str) -> None:
        """An interpreter that is too old, or none, is refused with the reason."""
        python = fake(tmp_path / "python", answer)
        with pytest.raises(InterpreterError) as caught:
            asked(python)
        assert caught.value.reason.startswith(reason)
        assert python.python == caught.value.python

    def test_without_zope_interface(self, tmp_path: Path) -> None:
        """So is one that cannot have plugins."""
        python = fake(tmp_path / "python", '{"version": [3, 9], "zope": false, ' + REST)
        with pytest.raises(ZopeInterfaceMissingError) as caught:
            asked(python)
        assert python.python == caught.value.python

    def test_fails_by_itself(self, tmp_path: Path) -> None:
        """One whose own start fails, by what site runs, is refused with the error."""
        failure = '{"error": "KeyError: 1", "traceback": "", "passing": false, '
        python = fake(tmp_path / "python", failure + '"observed": OBSERVED, "of": "start"}')
        with pytest.raises(InterpreterError) as caught:
            asked(python)
        assert caught.value.reason.endswith("KeyError: 1")

    @pytest.mark.parametrize(
        ("program", "reason"),
        [
            ("", "it ended the process with exit status 0"),
            ("echo; printf 'one \\033[2J\\n'; echo two; exit 3", "one \\x1b[2J"),
            ("exec sleep 999", "it took longer than 0.5 s"),
        ],
        ids=["silent", "talks", "hangs"],
    )
    def test_no_interpreter(
        self, tmp_path: Path, program: str, reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A program that is no Python is refused with its first words."""
        if "longer" in reason:
            monkeypatch.setattr(starting, "_START_TIMEOUT", 0.5)
            program = f"head -c 150000 >/dev/null; {program}"  # it reads its program
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{program}\n")
        python.chmod(0o755)
        with pytest.raises(InterpreterError) as caught:
            asked(this(python=str(python)))
        assert f"it did not start as a Python interpreter: {reason}" == caught.value.reason

    @pytest.mark.parametrize(
        ("program", "blamed"), [("exit 9", True), ("kill -KILL $$", False)], ids=["ends", "killed"]
    )
    def test_blame(self, tmp_path: Path, program: str, blamed: bool) -> None:
        """One that is killed, as where memory runs out, may start the next time."""
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{program}\n")
        python.chmod(0o755)
        with pytest.raises(InterpreterError) as caught:
            asked(this(python=str(python)))
        assert (2 if blamed else 5) == exit_code_of(caught.value)

    def test_does_not_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """So is one that does not read its program."""
        monkeypatch.setattr(child, "_START_TIMEOUT", 0.5)
        python = tmp_path / "python"
        python.write_text("#!/bin/sh\nexec sleep 999\n")
        python.chmod(0o755)
        monkeypatch.setattr(bootstrap, "PARTS", bootstrap.PARTS * 4)  # more than a pipe holds
        with pytest.raises(InterpreterError) as caught:
            asked(this(python=str(python)))
        assert caught.value.reason.endswith(": it keeps the process from reading")

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("missing", "No such file or directory"), ("file", "Permission denied")],
    )
    def test_cannot_be_executed(self, tmp_path: Path, name: str, reason: str) -> None:
        """A program that does not even start is refused with the system's reason."""
        (tmp_path / "file").touch()
        with pytest.raises(InterpreterError) as caught:
            asked(this(python=str(tmp_path / name)))
        assert reason == caught.value.reason

    def test_another_machine(self, tmp_path: Path) -> None:
        """One that is for another kind of machine is called that, if nothing here runs it."""
        python = tmp_path / "python"
        header = bytearray(Path("/proc/self/exe").read_bytes()[:64])
        header[18:20] = (0xFEBA).to_bytes(2, sys.byteorder)  # nobody has it
        python.write_bytes(header)
        python.chmod(0o755)
        with pytest.raises(ForeignInterpreterError) as caught:
            asked(this(python=str(python)))
        assert "number 65210 of elf(5)" == caught.value.reason
        assert 5 == exit_code_of(caught.value)

    def test_interrupted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An interruption while it is asked leaves no process."""

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(child.Child, "ask", interrupted)
        with pytest.raises(KeyboardInterrupt):
            asked(this())


class TestConfinement:
    """The sandbox of a child."""

    def test_none(self) -> None:
        """Where there is none, nothing is started."""

        def choose() -> Any:
            raise NoSandboxError((("namespace", "no"),))

        with pytest.raises(NoSandboxError):
            asked(this(), confinement_of(choose))

    def test_broken_promises(self, tmp_path: Path) -> None:
        """One that does not hold is found out before anything is imported."""

        class Pretended(Unconfined):
            tier = "namespace"

        with pytest.raises(ConfinementError) as caught:
            asked(this(), confinement_of(Pretended, closed=(str(tmp_path),)))
        assert "namespace" == caught.value.tier
        assert "it is root" in caught.value.promises or os.geteuid() != 0
        assert "no filter of system calls is in place" in caught.value.promises

    def test_other_user(self) -> None:
        """So is one that has not become the user it should be."""

        class Pretended(Unconfined):
            tier = "landlock"
            user = 54321  # nobody

        with pytest.raises(ConfinementError) as caught:
            asked(this(), confinement_of(Pretended))
        assert any(line.endswith(", not 54321") for line in caught.value.promises)

    @pytest.mark.parametrize("tier", ["namespace", "landlock"])
    def test_holds(self, tier: str, public_path: Path) -> None:
        """Each of ours does, and what is tried leaves nothing behind."""
        public_path.chmod(0o777)
        zope = os.path.dirname(os.path.dirname(importlib.import_module("zope").__path__[0]))
        confinement = confinement_of(lambda: sandbox(tier), tier)
        interpreter = this(public_path, python=PYTHON, more=(zope,))
        with started(interpreter, confinement) as session:
            assert None is session.locate("nothing.of.that.name", 60)
        assert [] == os.listdir(public_path)

    def test_another_one(self) -> None:
        """Where a child does not start in one that does not work, another is taken."""

        class Broken(Unconfined):
            tier = "namespace"

            def launch(self, *_: object) -> Any:
                return Unconfined().launch("/bin/false")

            def works(self) -> str:
                return "no"

        def choose(*, try_out: bool = False) -> Unconfined:
            return Unconfined() if try_out else Broken()

        confinement = confinement_of(choose)
        assert sys.version_info[:2] == asked(this(), confinement).version
        assert "none" == confinement.tier

    def test_view(self, tree: Tree) -> None:
        """What its children cannot see is nothing to import from, or to look at."""
        zope = os.path.dirname(importlib.import_module("zope.interface").__file__ or "")
        shown = [os.path.dirname(os.__file__), str(tree.path / "app"), zope]
        view = View(tuple(Entry(path, path) for path in shown), (), (), (), ("/too/much",))
        interpreter = this(tree.path, more=(str(tree.path / "hidden"),))
        with starter(confinement_of(Unconfined, "namespace")) as found:
            assert () == found.left_out
            found._views[interpreter.key] = view
            start, session = found.ask(interpreter)
            session.close()
            assert shown[0] in start.path
            assert set() == {str(tree.path), *interpreter.more} & set(start.path)
            assert ("/usr", f"{shown[1]}/x")[1:] == found.visible(
                interpreter, ["/usr", f"{shown[1]}/x"]
            )
            assert ("/too/much",) == found.left_out

    def test_view_of_its_own(self, app: Tree) -> None:
        """What children may see is found out once for each interpreter."""
        with starter(confinement_of(Unconfined, "namespace")) as found:
            assert (str(app.path),) == found.visible(this(app.path), [str(app.path), "/root"])
            assert found._view(this(app.path)) is found._view(this(app.path))


def imported(session: Session, module: str) -> Any:
    """Have a child import a module, and return what it is."""
    session.begin_import(module, 60)
    return session.end_import(module, 60)


class TestSession:
    """Questions to a child."""

    @pytest.fixture
    def session(self, app: Tree) -> Iterator[Session]:
        """A child that imports from the tree."""
        with started(this(app.path)) as found:
            yield found

    def test_import(self, session: Session, app: Tree) -> None:
        """A module is described, and what it looked at is known."""
        found = imported(session, "app.plugins.hello")
        assert isinstance(found, Description)
        assert "The drop-in hello." == found.description
        assert str(app.path / "app" / "interfaces.py") in session.observed.files
        assert "app.plugins.hello" in {name for name, _ in session.observed.names}

    def test_ahead(self, session: Session) -> None:
        """Several imports may be on their way; answers come in order, each complete."""
        modules = ["app.plugins.hello", "app.plugins.missing", "app.plugins.loud"]
        for module in modules:
            session.begin_import(module, 60)
        kinds = [type(session.end_import(module, 60)) for module in modules]
        assert [Description, Failure, Description] == kinds

    def test_output_of_a_failure(self, session: Session, app: Tree) -> None:
        """A failure without a traceback comes with what was printed."""
        app.write("app/plugins/bad.py", "import os\nprint('words', flush=True)\nos.fork()\n")
        found = imported(session, "app.plugins.bad")
        assert Failure("it forks when it is imported", "words\n") == found

    def test_tampers(self, session: Session, app: Tree) -> None:
        """A wrong answer ends the child: it may be out of step."""
        text = "import os, sys\nos.write(int(sys.argv[1]), b'{}\\n')\n"
        app.write("app/plugins/bad.py", text)
        with pytest.raises(ChildError) as caught:
            imported(session, "app.plugins.bad")
        reason = "it tampered with its description: not the answer to what was asked"
        assert (reason, False) == (caught.value.reason, caught.value.passing)

    def test_resolve(self, session: Session, app: Tree) -> None:
        """Of some names, those are told that are interfaces."""
        names = ["IGreeter", "Interface", "missing", "__name__"]
        assert ("IGreeter", "Interface") == session.resolve("app.interfaces", names, 60)
        assert () == session.resolve("app.missing", ["IGreeter"], 60)
        assert str(app.path / "app" / "interfaces.py") in session.observed.files

    def test_kill(self, session: Session, app: Tree) -> None:
        """It can be ended by another thread, at any time."""
        session.kill()
        with pytest.raises(ChildError):
            imported(session, "app.plugins.hello")
        session.kill()
