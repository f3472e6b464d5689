"""Importing the plugin modules of owners, whatever they do to the process that imports them."""

from __future__ import annotations

import errno
import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from command_line import no_process_left, wait_for
from conftest import Tree, missing
from dropin_cache.errors import InterpreterError, NoSandboxError, PackageBrokenError
from dropin_cache.update.discovery.interpreters import Interpreter, interpreter_of
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing import importer as importing
from dropin_cache.update.importing import starting
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.importing.records import Description, Failure, Imported, Job, Outcome
from dropin_cache.update.importing.starting import Starter
from dropin_cache.update.importing.threads import Task
from dropin_cache.update.sandbox.choice import Confinement, Unconfined
from dropin_cache.update.sandbox.limits import Limits
from sandboxes import PYTHON, sandbox

OWN = "project own"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Check after each test that no process and no descriptor is left."""
    before = set(os.listdir("/proc/self/fd"))
    with no_process_left():
        yield
    assert before == set(os.listdir("/proc/self/fd"))


class ManyAtOnce(Unconfined):
    """Confines nothing, and lets children run beside each other."""

    apart = True


@contextmanager
def importer_of(sandbox: Any = Unconfined, processor: float = 60, tier: str = "none") -> Any:
    """Have an importer, by default one that confines nothing."""
    with Files(enforced=False) as files:
        confinement = Confinement(sandbox, (tier,), Limits())
        with Importer(confinement, files, None, processor) as made:
            yield made


@pytest.fixture
def importer() -> Iterator[Importer]:
    """An importer that confines nothing."""
    with importer_of() as made:
        yield made


@pytest.fixture
def this(tree: Tree) -> Interpreter:
    """The interpreter that runs the tests, importing from a tree with an application."""
    tree.application()
    return interpreter_of(sys.executable, [str(tree.path)], ())


def job(interpreter: Interpreter, *names: str, owner: str = "project other") -> Job:
    """Return the work on some modules of the application."""
    return Job(interpreter.key, "app.plugins", owner, tuple(f"app.plugins.{n}" for n in names))


def imported(importer: Importer, interpreter: Interpreter, *jobs: Job, **more: Any) -> Any:
    """Have jobs done, the package being the application's own."""
    progress = more.pop("progress", lambda *_: None)
    follow_up = more.pop("follow_up", lambda *_: [])
    owners = {interpreter.key: OWN}
    return importer.import_all([(interpreter, each) for each in jobs], owners, progress, follow_up)


def outcomes(importer: Importer, interpreter: Interpreter, *names: str) -> dict[str, Outcome]:
    """Import modules of one owner; return what became of each, by its last component."""
    only = job(interpreter, *names)
    done = imported(importer, interpreter, only)[only].outcomes
    return {name.rpartition(".")[2]: outcome for name, outcome in done.items()}


def _late(tree: Tree) -> str:
    """Return a module that notes that it has begun, and does not end."""
    noting = f"open({str(tree.path / 'begun')!r}, 'a').write(__name__ + '\\n')"
    return f"{noting}\nimport time\nwhile True: time.sleep(9)"


def begun(tree: Tree) -> list[str]:
    """Return the names of the modules that have."""
    lines = (tree.path / "begun").read_text().splitlines()
    return [line.rpartition(".")[2] for line in lines]


class TestAnother:
    """The child that is started while a plugin package is looked for."""

    def test_when(
        self, importer: Importer, this: Interpreter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """There is one if a processor has no other work, and owners have children of their own."""
        started = []
        for processors, apart in (({0, 1}, True), ({0}, True), ({0, 1}, False)):
            monkeypatch.setattr(os, "sched_getaffinity", lambda _, them=processors: them)
            monkeypatch.setattr(Importer, "keeps_apart", apart)
            importer.ask(this)
            importer.locate(this, "app.plugins")
            started.append(len(importer._fresh))
            importer.restart()
        assert [1, 0, 0] == started

    def test_is_next(
        self, importer: Importer, this: Interpreter, tree: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It imports what the next owner has."""
        tree.write("app/plugins/one.py", "import os\n__doc__ = str(os.getpid())")
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
        monkeypatch.setattr(Importer, "keeps_apart", True)
        importer.locate(this, "app.plugins")
        (started,) = importer._fresh.values()
        done = outcomes(importer, this, "one")["one"]
        assert isinstance(done, Description)
        assert str(started._child._process.pid) == done.description

    def test_impossible(
        self, importer: Importer, this: Interpreter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That there can be no thread for it changes nothing."""
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
        monkeypatch.setattr(Importer, "keeps_apart", True)

        def none(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", none)
        assert importer.locate(this, "app.plugins")[0] is not None
        assert {} == importer._fresh


class TestAsk:
    """Asking an interpreter what it is."""

    def test_goes_on(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """The child that has told imports the package, and then its owner's modules."""
        tree.write("app/plugins/one.py", "import os\n__doc__ = str(os.getpid())")
        assert str(tree.path) == importer.ask(this).path[0]
        (asked,) = importer._fresh.values()
        found, _ = importer.locate(this, "app.plugins")
        assert found is not None
        assert str(tree.path / "app" / "plugins") == found[0]
        assert {this.key} == importer.warm
        own = job(this, "one", owner=OWN)
        done = imported(importer, this, own)[own].outcomes["app.plugins.one"]
        assert str(asked._child._process.pid) == done.description
        assert set() == importer.warm

    def test_another_owner(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """The modules of others are imported where the package has not been."""
        tree.write("app/plugins/one.py", "import os\n__doc__ = str(os.getpid())")
        importer.locate(this, "app.plugins")
        (warm,) = importer._warm.values()
        found = outcomes(importer, this, "one")["one"]
        assert isinstance(found, Description)
        assert str(warm._child._process.pid) != found.description
        assert {this.key} == importer.warm

    def test_restart(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """After a restart nothing is remembered."""
        importer.ask(this)
        importer.locate(this, "app.plugins")
        importer.ask(this)
        importer.restart()
        importer.restart()
        assert set() == importer.warm
        tree.write("app/plugins/__init__.py", "__path__.append('/another')")
        found, _ = importer.locate(this, "app.plugins")
        assert found is not None
        assert "/another" == found[-1]

    def test_setting(self, importer: Importer) -> None:
        """What imports are tried with is told apart from other settings."""
        assert importer.setting.startswith("none 60 ")
        with importer_of(processor=1.5) as other:
            assert other.setting.startswith("none 1.5 ")
        assert not importer.keeps_apart
        assert () == importer.left_out

    def test_nothing_to_start(self) -> None:
        """Where there is no sandbox, nothing is started."""

        def choose() -> Any:
            raise NoSandboxError((("namespace", "no"),))

        with importer_of(choose) as importer, pytest.raises(NoSandboxError):
            importer.ask(interpreter_of(sys.executable, [], ()))


class TestLocate:
    """Finding plugin packages."""

    def test_found(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """A package has a path, and what was looked at for it is told."""
        found, observed = importer.locate(this, "app.plugins")
        assert found is not None
        assert str(tree.path / "app" / "plugins") == found[0]
        assert str(tree.path / "app" / "plugins" / "__init__.py") in observed.files

    def test_namespace_package(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """One without __init__.py has one too."""
        tree.write("space/plugins/one.py")
        expected = (str(tree.path / "space" / "plugins"),)
        assert expected == importer.locate(this, "space.plugins")[0]

    @pytest.mark.parametrize(
        "package",
        [
            *("missing", "missing.plugins", "app.missing", "json.x.y"),
            *("", ".plugins", "app..plugins", "app.plugins.", "a/b"),
        ],
    )
    def test_not_installed(self, importer: Importer, this: Interpreter, package: str) -> None:
        """A package that is not there, or cannot be, is no error."""
        assert None is importer.locate(this, package)[0]
        assert set() == importer.warm

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("1/0", "ZeroDivisionError: division by zero"),
            ("import sys; sys.exit(3)", "SystemExit: 3"),
            ("import missing", "ModuleNotFoundError: No module named 'missing'"),
            ("import ap", "ModuleNotFoundError: No module named 'ap'"),
            ("def", "SyntaxError: invalid syntax (__init__.py, line 1)"),
            ("import os; os._exit(3)", "it ended the process with exit status 3"),
            ("import os; os.fork()", "it forks when it is imported"),
            (
                "import os; os.write(int(__import__('sys').argv[1]), b'{\\n')",
                "it tampered with its description: not JSON: JSONDecodeError",
            ),
        ],
    )
    def test_broken(
        self, importer: Importer, this: Interpreter, tree: Tree, text: str, reason: str
    ) -> None:
        """A package that is there and does not import is one."""
        tree.write("app/plugins/__init__.py", text)
        with pytest.raises(PackageBrokenError) as caught:
            importer.locate(this, "app.plugins")
        assert reason == caught.value.reason
        assert "app.plugins" == caught.value.package


class TestImport:
    """Importing the modules of one owner."""

    def test_together(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """They share a process, in the order of their names, and nothing more is started."""
        for name in "abc":
            tree.write(f"app/plugins/{name}.py", "import os\n__doc__ = str(os.getpid())")
        found = outcomes(importer, this, *"abc")
        assert list("abc") == list(found)
        assert 1 == len({outcome.description for outcome in found.values()})  # type: ignore[union-attr]

    def test_all(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """Each has an outcome, also after one that ended the process."""
        tree.dropin("a")
        tree.write("app/plugins/b.py", "import os; os._exit(3)")
        tree.write("app/plugins/c.py", "1/0")
        tree.dropin("d")
        found = outcomes(importer, this, *"abcd")
        assert [Description, Failure, Failure, Description] == [
            type(found[name]) for name in "abcd"
        ]
        assert "it ended the process with exit status 3" == found["b"].error  # type: ignore[union-attr]
        assert "ZeroDivisionError: division by zero" == found["c"].error  # type: ignore[union-attr]

    def test_once_more(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """One that takes a used process with it is tried again alone; what follows goes on anew."""
        pid = "import os\n__doc__ = str(os.getpid())\n"
        tree.write("app/plugins/a.py", pid + "import sys; sys.used = True")
        tree.write(
            "app/plugins/b.py", "import os, sys\nif hasattr(sys, 'used'): os._exit(3)\n" + pid
        )
        for name in "cd":
            tree.write(f"app/plugins/{name}.py", pid)
        found = outcomes(importer, this, *"abcd")
        told = [outcome.description for outcome in found.values()]  # type: ignore[union-attr]
        assert 3 == len(set(told))
        assert told[2] == told[3]

    def test_twice_only(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """One that ends its process alone as well is to blame, and is not tried for ever."""
        tree.dropin("a")
        text = f"import os\nopen({str(tree.path / 'tries')!r}, 'a').write('x')\nos._exit(3)"
        tree.write("app/plugins/b.py", text)
        assert isinstance(outcomes(importer, this, "a", "b")["b"], Failure)
        assert "xx" == (tree.path / "tries").read_text()
        assert isinstance(outcomes(importer, this, "b")["b"], Failure)
        assert "xxx" == (tree.path / "tries").read_text()

    def test_progress(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """Each import is announced, with numbers that go on over all owners."""
        for name in "abc":
            tree.dropin(name)
        calls: list[tuple[int, int, str]] = []
        jobs = job(this, "c", owner="1"), job(this, "a", "b", owner="2")
        imported(importer, this, *jobs, progress=lambda *each: calls.append(each))
        assert [(0, 3, "app.plugins.a"), (1, 3, "app.plugins.b"), (2, 3, "app.plugins.c")] == calls

    def test_follow_up(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """When an owner is done, what there is to do then is done."""
        tree.dropin("a")
        seen: list[Any] = []

        def follow_up(_: Interpreter, of: Job, done: Imported) -> list[Task]:
            return [lambda: seen.append((of.owner, list(done.outcomes)))]

        imported(importer, this, job(this, "a"), follow_up=follow_up)
        assert [("project other", ["app.plugins.a"])] == seen

    @pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
    def test_at_once(self, this: Interpreter, tree: Tree) -> None:
        """Owners are done beside each other, as many as there are processors."""
        for name, other in ("ab", "ba"):
            tree.write(
                f"app/plugins/{name}.py",
                f"""
                import os, time
                here = os.path.dirname(__file__)
                open(here + "/{name}.begun", "w").close()
                while not os.path.exists(here + "/{other}.begun"): time.sleep(0.01)
                """,
            )
        with importer_of(ManyAtOnce) as importer:
            jobs = [job(this, name, owner=name) for name in "ab"]
            done = imported(importer, this, *jobs)
        assert [Description, Description] == [
            type(done[each].outcomes[each.modules[0]]) for each in jobs
        ]

    def test_tampers(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """An answer that is none costs that module its place, and nobody else."""
        text = "import os; os.write(int(__import__('sys').argv[1]), b'boo\\n')"
        tree.write("app/plugins/a.py", text)
        tree.dropin("b")
        found = outcomes(importer, this, "a", "b")
        expected = Failure("it tampered with its description: not JSON: JSONDecodeError")
        assert expected == found["a"]
        assert isinstance(found["b"], Description)

    def test_processor_time(
        self, this: Interpreter, tree: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each import has its own processor time; too much of it may be of the moment."""
        work = "import time\nend = time.process_time() + 0.7\nwhile time.process_time() < end: pass"
        for name in "ab":
            tree.write(f"app/plugins/{name}.py", work)
        tree.write("app/plugins/d.py", "while True: pass")
        monkeypatch.setattr(starting, "_BACKSTOP", 60)  # the machine may be busy
        with importer_of(processor=1) as importer:
            found = outcomes(importer, this, *"abd")
        assert [Description] * 2 == [type(found[name]) for name in "ab"]
        assert Failure("it took more than 1 s of processor time", "", True) == found["d"]

    def test_wall_time(self, this: Interpreter, tree: Tree) -> None:
        """One that does nothing has a few times as long."""
        tree.write("app/plugins/a.py", "import time; time.sleep(999)")
        with importer_of(processor=0.1) as importer:
            found = outcomes(importer, this, "a")
        assert Failure("it took longer than 0.4 s", "", True) == found["a"]

    def test_many_late(self, this: Interpreter, tree: Tree) -> None:
        """An owner whose modules take too long, one after the other, is not waited for for ever."""
        names = [f"late{number}" for number in range(9)]
        for name in names:
            tree.write(f"app/plugins/{name}.py", _late(tree))
        with importer_of(processor=0.2) as importer:
            done = outcomes(importer, this, *names)
        failures = [outcome for outcome in done.values() if isinstance(outcome, Failure)]
        assert 9 == sum(each.passing for each in failures)
        told = [each.error for each in failures]
        assert "it took longer than 0.8 s" == told[0]
        assert "others of its owner took too long" == told[-1]
        assert set(begun(tree)) < set(names)

    def test_large(
        self, importer: Importer, this: Interpreter, tree: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What an owner's modules say of themselves is no more than so much."""
        monkeypatch.setattr(importing, "MAX_DESCRIPTIONS", 2 << 20)
        for name in "abc":
            tree.write(f"app/plugins/{name}.py", "__doc__ = 'x' * 900_000")
        tree.write("app/plugins/d.py", "1/0")
        found = outcomes(importer, this, *"abcd")
        told = Failure("with it the descriptions of its owner would exceed 2 MiB")
        assert [Description, Description] == [type(found[name]) for name in "ab"]
        assert [told, told] == [found[name] for name in "cd"]

    @pytest.mark.parametrize(
        "sabotage",
        [
            "import sys; sys.path.clear(); sys.modules.clear()",
            "import builtins; builtins.__import__ = None",
            "import sys; sys.setrecursionlimit(60)",
            "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))",
        ],
        ids=["modules", "import", "recursion", "files"],
    )
    def test_sabotage(
        self, importer: Importer, this: Interpreter, tree: Tree, sabotage: str
    ) -> None:
        """What the module of one owner does to its process is not seen by those of others."""
        tree.write("app/plugins/a.py", sabotage)
        tree.write("app/plugins/b.py", "import wave, http.client")
        jobs = job(this, "a", owner="1"), job(this, "b", owner="2")
        done = imported(importer, this, *jobs)
        assert isinstance(done[jobs[1]].outcomes["app.plugins.b"], Description)


class TestInterrupted:
    """Ctrl-C, and children that cannot be started."""

    def test_ctrl_c(self, this: Interpreter, tree: Tree) -> None:
        """Children of all threads end with an interruption, whatever they are doing."""
        for name in "ab":
            begun = f"open({str(tree.path / name)!r}, 'w').close()"
            tree.write(f"app/plugins/{name}.py", f"import time\n{begun}\ntime.sleep(999)")
        code = f"""
import signal, sys
sys.path[:0] = {sys.path!r}
import test_importer as shared
from dropin_cache.update.discovery.interpreters import interpreter_of
this = interpreter_of(sys.executable, [{str(tree.path)!r}], ())
with shared.importer_of(shared.ManyAtOnce) as importer:
    importer.locate(this, "app.plugins")  # which leaves a child for the modules of its owner
    shared.imported(importer, this, *(shared.job(this, n, owner=o) for n, o in ("a1", "b@")))
"""
        code = code.replace('("a1", "b@")', f"(('a', '1'), ('b', {OWN!r}))")
        process = subprocess.Popen(
            [sys.executable, "-B", "-c", code], stderr=subprocess.PIPE, text=True
        )
        wait_for(tree.path / "a")
        if len(os.sched_getaffinity(0)) > 1:
            wait_for(tree.path / "b")
        process.send_signal(2)
        _, errors = process.communicate(timeout=60)
        assert errors.endswith("KeyboardInterrupt\n"), errors

    def test_not_startable_now(
        self, this: Interpreter, tree: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A child that cannot be started for reasons of the moment is no fault of a module's."""
        tree.dropin("a")
        with importer_of() as importer:

            def full(*_: object) -> Any:
                cause = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
                raise InterpreterError(this.python, "no") from cause

            monkeypatch.setattr(Starter, "start", full)
            found = outcomes(importer, this, "a")["a"]
            assert isinstance(found, Failure)
            assert found.passing
            assert (set(), ()) == (importer.resolve(this, {"app": ["x"]})[0], importer.left_out)

    def test_not_startable_again(
        self, this: Interpreter, tree: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor is it for the guilty one, which is tried once more alone."""
        tree.write("app/plugins/a.py", "import os; os._exit(3)")
        tree.dropin("b")
        with importer_of() as importer:
            start, starts = Starter.start, []

            def second_fails(self: Starter, *arguments: Any) -> Any:
                starts.append(arguments)
                if len(starts) == 2:
                    cause = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
                    raise InterpreterError(this.python, "no") from cause
                return start(self, *arguments)

            monkeypatch.setattr(Starter, "start", second_fails)
            found = outcomes(importer, this, "a", "b")
        assert isinstance(found["a"], Failure)
        assert found["a"].passing
        assert isinstance(found["b"], Description)

    def test_not_startable(self, importer: Importer, this: Interpreter) -> None:
        """One that cannot be started at all is an error of the run."""
        gone = this._replace(python="/nonexistent/python")
        with pytest.raises(InterpreterError):
            outcomes(importer, gone, "a")

    @pytest.mark.parametrize("stopped", ["before", "meanwhile"])
    def test_stopped(
        self, this: Interpreter, tree: Tree, monkeypatch: pytest.MonkeyPatch, stopped: str
    ) -> None:
        """A thread that is to stop starts nothing that stays, and tries nothing again."""
        tree.write("app/plugins/a.py", "import os; os._exit(3)")
        tree.write("app/plugins/b.py", "1")
        with importer_of() as importer:
            start = Starter.start

            def stop_and_start(starter: Starter, interpreter: Interpreter) -> Any:
                if stopped == "before":
                    importer.stop()
                session = start(starter, interpreter)
                importer.stop()
                return session

            monkeypatch.setattr(Starter, "start", stop_and_start)
            found = outcomes(importer, this, "a")
            assert isinstance(found["a"], Failure)

    def test_left_behind(self, this: Interpreter, tree: Tree) -> None:
        """What still runs when this process goes on without its answer is ended."""
        with importer_of() as importer:
            importer._started(this)


class TestResolve:
    """Finding out which interfaces can be reached without any plugin module."""

    def test_found(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """Those that are in modules, and no others."""
        wanted = {"app.interfaces": ["IGreeter", "INothing"], "app.missing": ["IOther"]}
        found, undecided, observed = importer.resolve(this, wanted)
        assert ({("app.interfaces", "IGreeter")}, set()) == (found, undecided)
        assert str(tree.path / "app" / "interfaces.py") in observed.files

    def test_dies(self, importer: Importer, this: Interpreter, tree: Tree) -> None:
        """One that takes the process with it costs nobody else anything."""
        tree.write("bad.py", "import os; os._exit(3)")
        tree.write("last.py", "import os; os._exit(3)")
        wanted = {name: ["IGreeter"] for name in ("app.interfaces", "bad", "last")}
        found, undecided, observed = importer.resolve(this, wanted)
        assert ({("app.interfaces", "IGreeter")}, set()) == (found, undecided)
        assert str(tree.path / "app" / "interfaces.py") in observed.files
        assert (set(), frozenset()) == (
            importer.resolve(this, {})[0],
            importer.resolve(this, {})[2].files,
        )

    def test_of_the_moment(self, this: Interpreter, tree: Tree) -> None:
        """For want of memory, or of time, nothing is found out; few are waited for."""
        tree.write("full.py", "raise MemoryError")
        for number in range(9):
            tree.write(f"late{number}.py", _late(tree))
        modules = ["app.interfaces", "full", *(f"late{number}" for number in range(9))]
        wanted = {name: ["IGreeter"] for name in modules}
        with importer_of(processor=0.2) as importer:
            found, undecided, _ = importer.resolve(this, wanted)
        assert ({("app.interfaces", "IGreeter")}, set(modules[1:])) == (found, undecided)
        assert 0 < len(begun(tree)) < 9


@pytest.mark.parametrize("tier", ["namespace", "landlock"])
class TestConfined:
    """Owners in sandboxes."""

    @pytest.fixture
    def place(self, public_path: Path) -> Tree:
        """A tree that everybody can read."""
        tree = Tree(public_path / "tree")
        tree.application()
        return tree

    @pytest.fixture
    def confined(self, tier: str, place: Tree) -> Iterator[tuple[Importer, Interpreter]]:
        """An importer in the sandbox, and the interpreter."""
        if not os.path.exists(PYTHON):
            missing(PYTHON)
        own = place.path.parent / "own"
        own.mkdir()
        for name in ("zope", "dropin_cache"):
            source = next(iter(importlib.import_module(name).__path__))
            (own / name).mkdir()
            subprocess.run(["cp", "-r", f"{source}/.", str(own / name)], check=True)
        this = interpreter_of(PYTHON, [str(place.path), str(own)], ())
        with importer_of(lambda: sandbox(tier), tier=tier) as importer:
            assert importer.keeps_apart
            yield importer, this

    def test_threads(self, confined: tuple[Importer, Interpreter], place: Tree) -> None:
        """A module may have a pool of threads: the limit of memory is not spent on reserves."""
        place.write(
            "app/plugins/pool.py",
            """
            import threading
            end = threading.Event()
            threads = [threading.Thread(target=end.wait) for _ in range(40)]
            for thread in threads: thread.start()
            end.set()
            for thread in threads: thread.join()
            __doc__ = "all"
            """,
        )
        importer, this = confined
        assert "all" == getattr(outcomes(importer, this, "pool")["pool"], "description", None)

    def test_own_place(self, confined: tuple[Importer, Interpreter], place: Tree) -> None:
        """Each owner has a home and a place for temporary files of its own; nothing stays."""
        for name in "ab":
            place.write(
                f"app/plugins/{name}.py",
                f"""
                import os, tempfile
                there = os.listdir(tempfile.gettempdir()) + os.listdir(os.path.expanduser("~"))
                there = [each for each in there if "-test-" not in each]  # the way to the tree
                for made in (os.path.expanduser("~/{name}"), tempfile.mkdtemp()):
                    os.makedirs(made + "/" + "/".join("deep" * 50), exist_ok=True)
                assert tempfile.gettempdir() == os.path.expanduser("~")
                __doc__ = os.path.expanduser("~") + "\\n" + repr(there)
                """,
            )
        importer, this = confined
        done = imported(importer, this, *(job(this, name, owner=name) for name in "ab"))
        told = [each.outcomes[of.modules[0]] for of, each in done.items()]
        found = [str(getattr(each, "description", each)).split("\n") for each in told]
        assert ["[]", "[]"] == [there for _, there in found]
        homes = {home for home, _ in found} - {"/tmp"}  # noqa: S108 - that is the sandbox's own
        assert [] == [home for home in homes if os.path.exists(home)]
