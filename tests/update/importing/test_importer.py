"""Asking an interpreter, whatever its drop-ins do to it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dropin_cache.update.importing.multiplex import OTHERS_FIRST, Turn
from dropin_cache.update.state.dependencies import Memory

from command_line import no_process_left
from conftest import Tree
from dropin_cache.errors import (
    ConfinementError,
    InterpreterError,
    NoSandboxError,
    PackageBrokenError,
    ZopeInterfaceMissingError,
)
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing import worker
from dropin_cache.update.importing.importer import Probe
from dropin_cache.update.importing.records import Description, Failure
from dropin_cache.update.sandbox.choice import Confinement, Unconfined
from dropin_cache.update.sandbox.visible import Entry, View
from dropin_cache.update.state.ledger import Ledger

# What else an answer to "start" has.
REST = '"path": [], "files": [], "packages": [], "imports": {}, "token": TOKEN}'


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process is left."""
    with no_process_left():
        yield


def probe_of(  # noqa: PLR0913 - as many as there are
    python: str,
    paths: list[str],
    timeout: float,
    *,
    more: tuple[str, ...] = (),
    ledger: Ledger | None = None,
    confinement: Confinement | None = None,
    view: View | None = None,
) -> Probe:
    """Return a probe, by default one that knows nothing yet and confines nothing."""
    memory = Memory(ledger or Ledger(None, Files(enforced=False)), python, paths)
    confinement = confinement or Confinement(Unconfined)
    return Probe(python, paths, more, timeout, confinement, memory, view)


def fake(path: Path, answer: str) -> str:
    """Write an interpreter that gives one answer, whatever the question."""
    program = f"""\
        #!{sys.executable} -B
        import json, os, sys
        arguments = sys.argv[sys.argv.index("-c") + 2:]
        sys.stdin.buffer.read(sum(map(int, arguments[2::3])))
        token = json.dumps(json.loads(sys.stdin.readline())["token"])
        answer = {answer!r}.replace("TOKEN", token)
        os.write(int(arguments[0]), answer.encode() + b"\\n")
        sys.stdin.read()
        """
    path.write_text(textwrap.dedent(program))
    path.chmod(0o755)
    return str(path)


def zope_file() -> str:
    """Return the file of zope.interface."""
    return str(importlib.import_module("zope.interface").__file__)


def nothing(*_: object) -> None:
    """Show no progress."""


@pytest.fixture
def probe(tree: Tree) -> Iterator[Probe]:
    """An interpreter that imports from the tree."""
    tree.application()
    with probe_of(sys.executable, [str(tree.path)], 60) as found:
        yield found


class TestStart:
    """Starting the interpreter."""

    def test_import_roots(self, probe: Probe, tree: Tree) -> None:
        """The paths given come first, and the working directory is not among them."""
        assert str(tree.path) == probe.import_roots[0]
        assert "" not in probe.import_roots
        assert set(os.path.dirname(os.__file__).splitlines()) <= set(probe.import_roots)

    def test_two_ends(self, tree: Tree) -> None:
        """Further paths come last."""
        with probe_of(sys.executable, [str(tree.path)], 60, more=("/more",)) as probe:
            assert (str(tree.path), "/more") == probe.import_roots[:: len(probe.import_roots) - 1]

    def test_late(self, probe: Probe) -> None:
        """Nothing is started before something is asked."""
        with no_process_left():
            assert not probe.running
        assert isinstance(probe.start.path, tuple)
        assert probe.running

    def test_known(self, tree: Tree, probe: Probe) -> None:
        """Nothing is started for what an earlier run has found out, either."""
        ledger = Ledger(None, Files(enforced=False))
        tree.application()
        for path in (*tree.path.rglob("*"), tree.path):
            os.utime(path, (1, 1))
        time.sleep(0.05)  # what is newer than that is looked at again
        with probe_of(sys.executable, [str(tree.path)], 60, ledger=ledger) as first:
            found = first.import_roots, first.locate("app.plugins"), first.locate("missing")
            first.memory.keep([])
        with (
            probe_of("/nonexistent", [str(tree.path)], 60, ledger=ledger) as other,
            pytest.raises(InterpreterError),
        ):
            assert other.import_roots
        with probe_of(sys.executable, [str(tree.path)], 60, ledger=ledger) as second:
            assert found == (
                second.import_roots,
                second.locate("app.plugins"),
                second.locate("missing"),
            )
            assert not second.running

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            ('{"version": [3, 8], "zope": true, ' + REST, "it is Python 3.8, older than 3.9"),
            ('{"version": [2, 7], "zope": false, ' + REST, "it is Python 2.7, older than 3.9"),
            (
                '{"token": TOKEN}',
                "it answered nonsense: version is not a list; path is not a list",
            ),
            (
                '{"version": [3, 11], "zope": true, ' + REST.replace("{}", "[]"),
                "it answered nonsense: imports is not a dict",
            ),
            ('{"token": "other"}', "it answered nonsense: not the answer to what was asked"),
            ("hello", "it answered nonsense: not JSON: JSONDecodeError"),
        ],
    )
    def test_unfit(self, tmp_path: Path, answer: str, reason: str) -> None:
        """An interpreter that is too old, or none, is refused with the reason."""
        python = fake(tmp_path / "python", answer)
        with probe_of(python, [], 60) as probe, pytest.raises(InterpreterError) as caught:
            assert probe.start
        assert caught.value.reason.startswith(reason)
        assert python == caught.value.python

    def test_without_zope_interface(self, tmp_path: Path) -> None:
        """So is one that cannot have plugins."""
        python = fake(tmp_path / "python", '{"version": [3, 9], "zope": false, ' + REST)
        with probe_of(python, [], 60) as probe, pytest.raises(ZopeInterfaceMissingError) as caught:
            assert probe.start
        assert python == caught.value.python

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
            monkeypatch.setattr(worker, "_START_TIMEOUT", 0.5)
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{program}\n")
        python.chmod(0o755)
        timeout = 0.5 if "longer" in reason else 60
        with (
            probe_of(str(python), [], timeout) as probe,
            pytest.raises(InterpreterError) as caught,
        ):
            assert probe.start
        assert f"it did not start as a Python interpreter: {reason}" == caught.value.reason

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("missing", "No such file or directory"), ("file", "Permission denied")],
    )
    def test_cannot_be_executed(self, tmp_path: Path, name: str, reason: str) -> None:
        """A program that does not even start is refused with the system's reason."""
        (tmp_path / "file").touch()
        python = str(tmp_path / name)
        with probe_of(python, [], 60) as probe, pytest.raises(InterpreterError) as caught:
            assert probe.start
        assert reason == caught.value.reason

    def test_interrupted(self, tmp_path: Path) -> None:
        """An interruption while it starts leaves no process."""
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexec sleep 999\n")
        python.chmod(0o755)
        code = (
            "import signal, sys\n"
            "from dropin_cache.update.state.ledger import Ledger\n"
            "from dropin_cache.update.state.dependencies import Memory\n"
            "from dropin_cache.update.importing.importer import Probe\n"
            "from dropin_cache.update.sandbox.choice import Confinement, Unconfined\n"
            "from dropin_cache.update.files.trusted import Files\n"
            "memory = Memory(Ledger(None, Files(enforced=False)), sys.argv[1], [])\n"
            "confinement = Confinement(Unconfined)\n"
            "signal.alarm(1)\n"
            "signal.signal(signal.SIGALRM, lambda *_: sys.exit(7))\n"
            "Probe(sys.argv[1], [], [], 60, confinement, memory, None).start\n"
        )
        done = subprocess.run([sys.executable, "-B", "-c", code, str(python)], check=False)
        assert 7 == done.returncode

    def test_short_timeout(self, tree: Tree) -> None:
        """The limit for an import does not limit the start of an interpreter."""
        tree.application()
        with probe_of(sys.executable, [str(tree.path)], 0.001) as probe:
            assert str(tree.path) == probe.import_roots[0]


class TestConfinement:
    """The sandbox of a probe."""

    def test_chosen_once(self) -> None:
        """It is chosen when it is first needed, and then kept."""
        confinement = Confinement(Unconfined)
        assert None is confinement.tier
        assert confinement.chosen() is confinement.chosen()
        assert "none" == confinement.tier

    def test_none(self) -> None:
        """Where there is none, nothing is started."""

        def choose() -> Any:
            raise NoSandboxError((("namespace", "no"),))

        with (
            probe_of(sys.executable, [], 60, confinement=Confinement(choose)) as probe,
            pytest.raises(NoSandboxError),
        ):
            assert probe.start

    def test_broken_promises(self, tmp_path: Path) -> None:
        """One that does not hold is found out before anything is imported."""

        class Pretended(Unconfined):
            tier = "namespace"

        confinement = Confinement(Pretended, [str(tmp_path)])
        with (
            probe_of(sys.executable, [], 60, confinement=confinement) as probe,
            pytest.raises(ConfinementError) as caught,
        ):
            assert probe.start
        assert "namespace" == caught.value.tier
        assert f"it can write in {tmp_path}" in caught.value.promises

    def test_other_user(self) -> None:
        """So is one that has not become the user it should be."""

        class Pretended(Unconfined):
            tier = "landlock"
            user = 54321  # nobody

        with (
            probe_of(sys.executable, [], 60, confinement=Confinement(Pretended)) as probe,
            pytest.raises(ConfinementError) as caught,
        ):
            assert probe.start
        assert any(line.endswith(", not 54321") for line in caught.value.promises)

    def test_view(self, tree: Tree) -> None:
        """What its children cannot see is nothing to import from, or to look at."""
        tree.application()
        tree.write("hidden/other.py")
        tree.write(
            "app/plugins/one.py", f"import sys; sys.path.append('{tree.path}/hidden')\nimport other"
        )
        shown = [os.path.dirname(os.__file__), str(tree.path / "app"), os.path.dirname(zope_file())]
        view = View(tuple(Entry(path, path) for path in shown), (), (), ())
        more = (str(tree.path / "hidden"),)
        with probe_of(sys.executable, [str(tree.path)], 60, more=more, view=view) as probe:
            assert shown[0] in probe.import_roots
            assert {str(tree.path), *more} & set(probe.import_roots) == set()
            assert isinstance(
                probe.describe(["app.plugins.one"], nothing)["app.plugins.one"], Description
            )
            modules = {**probe.memory._record["modules"], **probe.memory._new}
        assert str(tree.path / "app" / "plugins" / "one.py") == modules["app.plugins.one"][0]
        assert None is modules["other"][0]


class TestLocate:
    """Finding plugin packages."""

    def test_found(self, probe: Probe, tree: Tree) -> None:
        """A package has a path."""
        assert str(tree.path / "app" / "plugins") == probe.locate("app.plugins")[0]

    def test_namespace_package(self, probe: Probe, tree: Tree) -> None:
        """One without __init__.py has one too."""
        tree.write("space/plugins/one.py")
        assert (str(tree.path / "space" / "plugins"),) == probe.locate("space.plugins")

    @pytest.mark.parametrize("package", ["missing", "missing.plugins", "app.missing", "json.x.y"])
    def test_not_installed(self, probe: Probe, package: str) -> None:
        """A package that is not there is no error."""
        assert None is probe.locate(package)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("1/0", "ZeroDivisionError: division by zero"),
            ("import sys; sys.exit(3)", "SystemExit: 3"),
            ("import missing", "ModuleNotFoundError: No module named 'missing'"),
            ("import ap", "ModuleNotFoundError: No module named 'ap'"),
            ("def", "SyntaxError: invalid syntax (__init__.py, line 1)"),
            ("import os; os._exit(3)", "it ended the process with exit status 3"),
            (
                "import os; os.write(int(__import__('sys').argv[1]), b'{\\n')",
                "it tampered with its description: not JSON: JSONDecodeError",
            ),
        ],
    )
    def test_broken(self, probe: Probe, tree: Tree, text: str, reason: str) -> None:
        """A package that is there and does not import is one."""
        tree.write("app/plugins/__init__.py", text)
        with pytest.raises(PackageBrokenError) as caught:
            probe.locate("app.plugins")
        assert reason == caught.value.reason
        assert "app.plugins" == caught.value.package

    def test_forks(self, probe: Probe, tree: Tree) -> None:
        """A package that forks does not answer twice."""
        tree.write("app/plugins/__init__.py", "import os; os.fork()")
        tree.dropin("one")
        try:
            probe.locate("app.plugins")
        except PackageBrokenError as error:
            assert "it forks when it is imported" == error.reason  # noqa: PT017 - may not raise
        outcomes = probe.describe(["app.plugins.one"], nothing)
        assert isinstance(outcomes["app.plugins.one"], (Description, Failure))

    @pytest.mark.parametrize("package", ["", ".plugins", "app..plugins", "app.plugins.", "a/b"])
    def test_no_name(self, probe: Probe, package: str) -> None:
        """What cannot be the name of a package is not installed."""
        assert None is probe.locate(package)


class TestDescribe:
    """Importing drop-ins."""

    def test_all(self, probe: Probe, tree: Tree) -> None:
        """Each drop-in has an outcome, also after one that ended the child."""
        tree.dropin("a")
        tree.write("app/plugins/b.py", "import os; os._exit(3)")
        tree.write("app/plugins/c.py", "1/0")
        tree.dropin("d")
        names = [f"app.plugins.{name}" for name in "abcd"]
        outcomes = probe.describe(names, nothing)
        assert names == list(outcomes)
        assert [Description, Failure, Failure, Description] == [
            type(outcomes[name]) for name in names
        ]
        assert "it ended the process with exit status 3" == outcomes["app.plugins.b"].error
        assert "ZeroDivisionError: division by zero" == outcomes["app.plugins.c"].error

    def test_progress(self, probe: Probe, tree: Tree) -> None:
        """Each import is announced."""
        tree.dropin("a")
        tree.dropin("b")
        calls: list[tuple[int, int, str]] = []
        probe.describe(["app.plugins.a", "app.plugins.b"], lambda *each: calls.append(each))
        assert [(0, 2, "app.plugins.a"), (1, 2, "app.plugins.b")] == calls

    def test_meanwhile(self, probe: Probe, tree: Tree) -> None:
        """There is something else to do while a drop-in is imported."""
        flag = tree.path / "flag"
        waiting = f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)"
        tree.write("app/plugins/one.py", waiting)

        def meanwhile() -> Turn[None]:
            yield OTHERS_FIRST
            flag.touch()

        outcomes = probe.describe(["app.plugins.one"], nothing, [meanwhile()])
        assert isinstance(outcomes["app.plugins.one"], Description)

    def test_tampers(self, probe: Probe, tree: Tree) -> None:
        """An answer that is none costs that drop-in its place, and nobody else."""
        text = "import os; os.write(int(__import__('sys').argv[1]), b'boo\\n')"
        tree.write("app/plugins/a.py", text)
        tree.dropin("b")
        outcomes = probe.describe(["app.plugins.a", "app.plugins.b"], nothing)
        expected = Failure("it tampered with its description: not JSON: JSONDecodeError")
        assert expected == outcomes["app.plugins.a"]
        assert isinstance(outcomes["app.plugins.b"], Description)

    @pytest.mark.parametrize(
        "sabotage",
        [
            "import sys; sys.path.clear(); sys.modules.clear()",
            "import builtins; builtins.__import__ = None",
            "import sys; sys.setrecursionlimit(60)",
            "import sys; sys.meta_path.clear()",
            "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))",
            "import os, threading; threading.Timer(0.2, os._exit, [9]).start()",
        ],
        ids=["modules", "import", "recursion", "finders", "files", "delayed exit"],
    )
    def test_sabotage(self, probe: Probe, tree: Tree, sabotage: str) -> None:
        """What one drop-in does to the interpreter is not held against the next."""
        tree.write("app/plugins/a.py", sabotage)
        tree.write("app/plugins/b.py", "import time; time.sleep(0.5)\nimport wave, http.client")
        outcomes = probe.describe(["app.plugins.a", "app.plugins.b"], nothing)
        assert isinstance(outcomes["app.plugins.b"], Description), outcomes

    def test_restart(self, probe: Probe, tree: Tree) -> None:
        """After a restart nothing is remembered."""
        file = tree.write("app/plugins/a.py", "'One.'")
        assert "One." == probe.describe(["app.plugins.a"], nothing)["app.plugins.a"].description
        file.write_text("'Another.'")
        assert "One." == probe.describe(["app.plugins.a"], nothing)["app.plugins.a"].description
        probe.restart()
        probe.restart()
        assert "Another." == probe.describe(["app.plugins.a"], nothing)["app.plugins.a"].description
