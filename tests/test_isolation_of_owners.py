"""What one owner's plugin module does to another's: nothing, however the update was started.

An attacker and its victims are installed distributions, or what Debian has installed. Each attack
has been seen to work on an update that imported modules of several owners in one process, or in
processes forked from one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import Outcome, finish, no_process_left, start
from conftest import Tree, missing, run_python
from dropin_cache._cachefile import read_cache_file
from dropin_cache._encode import encode
from sandboxes import PYTHON, sandbox

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only the plugin modules of root's updates have to be confined"
)

# What a module of an attacker needs to answer for itself.
ANSWER = """
import fcntl, json, os, stat
pipes = []
for number in range(3, 256):
    try:
        pipe = stat.S_ISFIFO(os.fstat(number).st_mode)
        if pipe and fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            pipes.append(number)
    except OSError:
        pass
def answer(**what):
    what["observed"] = {"files": [], "listed": [], "paths": [], "names": []}
    line = json.dumps({"of": __name__, **what}).encode() + b"\\n"
    while line:
        line = line[os.write(pipes[-1], line):]
    os._exit(0)
"""


@pytest.fixture(params=["namespace", "landlock"])
def tier(request: pytest.FixtureRequest) -> str:
    """Each tier of the sandbox that works here."""
    return sandbox(str(request.param)).tier


@pytest.fixture(scope="module")
def own() -> Iterator[Path]:
    """An import root with what plugin modules need, which everybody can read."""
    if not os.path.exists(PYTHON):
        missing(PYTHON)
    path = Path(tempfile.mkdtemp(prefix="dropin-cache-test-"))
    path.chmod(0o755)
    ignored = shutil.ignore_patterns("tests", "__pycache__")
    for name in ("zope", "dropin_cache"):
        shutil.copytree(next(iter(__import__(name).__path__)), path / name, ignore=ignored)
    yield path
    shutil.rmtree(path)


class System:
    """A tree of installed distributions, and updates of it.

    Attributes:
        tree: The tree.
        plugins: Its directory of plugin modules.
    """

    def __init__(self, place: Path, own: Path, tier: str) -> None:
        self.tree = Tree(place / "tree")
        self.plugins = self.tree.path / "app" / "plugins"
        self.tier = tier
        self._roots = [str(self.tree.path), str(own)]
        self.tree.application()
        self.good("a_good", "z_good")

    def good(self, *names: str) -> None:
        """Add good modules, of one distribution."""
        for name in names:
            self.tree.dropin(name)
        self.install("good", *names)

    def attack(self, text: str, name: str = "m_evil") -> None:
        """Add the module of another distribution."""
        self.tree.write(f"app/plugins/{name}.py", text)
        self.install("evil", name)

    def install(self, project: str, *names: str) -> None:
        """Have modules belong to a distribution, with those that it has."""
        place = self.tree.path / f"{project}-1.dist-info"
        place.mkdir(exist_ok=True)
        (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project}\nVersion: 1\n")
        with (place / "RECORD").open("a") as record:
            record.writelines(f"app/plugins/{name}.py,,\n" for name in names)

    def arguments(self, *options: str) -> list[str]:
        """Return the command line of an update."""
        paths = [part for root in self._roots for part in ("--path", root)]
        where = ["--sandbox", self.tier, "--python", PYTHON, *paths]
        return ["update", *where, *options, "app.plugins"]

    def update(self, *options: str, **more: Any) -> Outcome:
        """Bring the cache up to date; nothing is left running."""
        with no_process_left():
            return finish(start(*self.arguments(*options), **more), timeout=120)

    def through(self, program: str, *options: str, prefix: tuple[str, ...] = ()) -> Outcome:
        """Do that from a program of Python that becomes the command."""
        command = [sys.executable, "-B", "-m", "dropin_cache", *self.arguments(*options)]
        program += "\nimport os, sys\nos.execv(sys.argv[1], sys.argv[1:])"
        with no_process_left():
            done = subprocess.run(
                [*prefix, sys.executable, "-c", program, *command],
                capture_output=True,
                check=False,
                text=True,
                timeout=120,
                start_new_session=True,
            )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def check(self) -> int:
        """Return what `check` says of the cache."""
        options = self.arguments()[1:]
        return finish(start("check", *options), timeout=60).status

    def settle(self) -> None:
        """Make all files older than what counts as just changed."""
        for path in (*self.tree.path.rglob("*"), *map(Path, self._roots)):
            os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)
        time.sleep(0.05)

    def entries(self) -> dict[str, bytes]:
        """Return what is cached of each module, as bytes."""
        cache = read_cache_file(str(self.plugins))
        return {name: encode([each]) for name, each in ((cache and cache.dropins()) or {}).items()}

    def told(self, name: str = "m_evil") -> str | None:
        """Return the description of a module."""
        cache = read_cache_file(str(self.plugins))
        assert cache is not None
        return (cache.dropins() or {})[name].description

    def interfaces(self) -> dict[str, list[str]]:
        """Return which interfaces the cached modules refer to."""
        cache = read_cache_file(str(self.plugins))
        assert cache is not None
        return {
            name: [each.dotted for plugin in entry.plugins for each in plugin.references]
            for name, entry in (cache.dropins() or {}).items()
        }


@pytest.fixture
def system(public_path: Path, own: Path, tier: str) -> System:
    """A system with an application and two good modules of one distribution."""
    return System(public_path, own, tier)


class TestInfluence:
    """What reaches from one owner to another."""

    @pytest.mark.parametrize("directory", ["evil-1.dist-info", "good-2.dist-info"])
    def test_name_of_another(self, system: System, directory: str) -> None:
        """A distribution that calls itself like another is another one all the same."""
        system.update()
        before = system.entries()
        system.tree.write(
            "app/plugins/b_evil.py",
            "import app.interfaces\napp.interfaces.IGreeter = app.interfaces.IOther\n",
        )
        place = system.tree.path / directory
        place.mkdir()
        (place / "METADATA").write_text("Metadata-Version: 2.1\nName: good\nVersion: 2\n")
        (place / "RECORD").write_text("app/plugins/b_evil.py,,\n")
        assert 0 == system.update("--force").status
        assert before == {name: system.entries()[name] for name in before}

    def test_limits_of_the_parent(self, system: System) -> None:
        """Limits that a module sets for whatever has started it hit nobody else."""
        system.tree.write("app/plugins/m_memory.py", "memory = bytearray(200 << 20)")
        system.install("good", "m_memory")
        system.update()
        before = system.entries()
        system.attack(
            """
            import os, resource
            pages = int(open("/proc/self/statm").read().split()[0])
            for process in (os.getppid(), 1):
                for limit in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU):
                    try: resource.prlimit(process, limit, (pages * 4096, pages * 4096))
                    except OSError: pass
            """,
            "aaa_evil",
        )
        outcome = system.update("--force")
        assert 0 == outcome.status
        assert before == {
            name: each for name, each in system.entries().items() if "evil" not in name
        }
        (system.plugins / "aaa_evil.py").unlink()
        assert (0, before) == (system.update().status, system.entries())
        assert 0 == system.check()

    @pytest.mark.parametrize("hostile", [False, True], ids=["alone", "attacked"])
    def test_shared_module(self, system: System, hostile: bool) -> None:
        """Whatever a module says of another that many share, a change of that is noticed."""
        shared = system.tree.write(
            "app/shared.py", "from app.interfaces import IGreeter as Chosen\n"
        )
        for name in ("m_one", "z_two"):
            text = system.tree.dropin(name).read_text()
            text = text.replace("app.interfaces import IGreeter", "app.shared import Chosen")
            (system.plugins / f"{name}.py").write_text(text.replace(", IGreeter", ", Chosen"))
        system.install("good", "m_one", "z_two")
        if hostile:
            system.attack(
                """
                import sys
                import app.shared
                app.shared.__file__ = app.shared.__spec__ = None
                for finder in sys.meta_path:
                    for notes in vars(finder).values():
                        if isinstance(notes, set): notes.clear()
                """,
                "_evil",
            )
        system.settle()
        assert 0 == system.update().status
        first = system.interfaces()
        shared.write_text("from app.interfaces import IOther as Chosen\n")
        assert 0 == system.check()  # of the plugin module itself nothing has changed
        assert 0 == system.update().status
        for name in ("m_one", "z_two"):
            assert "app.interfaces.IGreeter" in first[name]
            assert "app.interfaces.IOther" in system.interfaces()[name]
        assert 0 == system.check()

    def test_nowhere(self, system: System) -> None:
        """An interface that another process cannot reach is left out, and spoils nobody's entry."""
        system.attack(
            """
            import sys, types
            from zope.interface import Interface, directlyProvides
            from zope.interface.interface import InterfaceClass
            from app.interfaces import IGreeter
            from dropin_cache import IPlugin
            here = types.ModuleType("exists_here_only")
            sys.modules[here.__name__] = here
            here.IHere = InterfaceClass("IHere", (Interface,), {}, __module__=here.__name__)
            class P: pass
            plugin = P()
            directlyProvides(plugin, IPlugin, IGreeter, here.IHere)
            del here
            """,
            "a_evil",
        )
        outcome = system.update()
        assert 0 == outcome.status
        assert (
            "interface IHere left out: no other process finds it in exists_here_only" in outcome.err
        )
        assert ["dropin_cache.IPlugin", "app.interfaces.IGreeter"] == system.interfaces()["a_evil"]
        assert b"exists_here_only" not in (system.plugins / "dropin.cache").read_bytes()

    def test_stock_twisted(self, tier: str, public_path: Path, own: Path) -> None:
        """Stock Twisted reads a cache with such a module in it, and finds all other plugins."""
        twisted = pytest.importorskip("twisted")
        system = System(public_path, own, tier)
        system.attack(
            """
            import sys, types
            from zope.interface import Interface, directlyProvides
            from zope.interface.interface import InterfaceClass
            from dropin_cache import IPlugin
            here = types.ModuleType("exists_here_only")
            sys.modules[here.__name__] = here
            here.IHere = InterfaceClass("IHere", (Interface,), {}, __module__=here.__name__)
            class P: pass
            plugin = P()
            directlyProvides(plugin, IPlugin, here.IHere)
            del here
            """,
            "a_evil",
        )
        assert 0 == system.update().status
        code = """
        import os, pickle, sys
        from twisted.plugin import CachedDropin
        with open(os.path.join(sys.argv[1], "dropin.cache"), "rb") as file:
            print(*sorted(pickle.load(file)))
        """
        done = run_python(
            code,
            str(system.plugins),
            path=[system.tree.path, *map(Path, [str(Path(twisted.__file__).parent.parent)])],
        )
        assert ("a_evil a_good z_good\n", 0) == (done.stdout, done.returncode), done.stderr


class TestReports:
    """What an owner's module can have printed, and what it costs."""

    @pytest.mark.parametrize("trigger", [False, True], ids=["update", "trigger"])
    def test_long_error(self, system: System, trigger: bool) -> None:
        """An error is a line of some hundred characters, with its origin in front."""
        text = "'nothing.' + ' ' * 40 + 'E: dpkg was interrupted; '.ljust(160) * 6000"
        system.attack(f"{ANSWER}\nanswer(error={text}, traceback='', passing=False)")
        options = ("--trigger",) if trigger else ()
        for _ in range(2):
            outcome = system.update(*options)
            assert 0 == outcome.status
            lines = [*outcome.out.splitlines(), *outcome.err.splitlines()]
            assert [] == [line for line in lines if len(line) > 700]
            told = [line.partition("nothing.")[0] for line in lines if "nothing." in line]
            assert trigger or 1 == len(told)
            assert [] == [origin for origin in told if "m_evil" not in origin]
            assert len(outcome.out) + len(outcome.err) < 4000
            options = (*options, "--force")

    def test_large_descriptions(self, system: System) -> None:
        """Descriptions that are as large as they may be fill neither memory nor the cache."""
        names = [f"m_evil{number:02}" for number in range(40)]
        for name in names:
            system.tree.write(f"app/plugins/{name}.py", "__doc__ = 'x' * 1_000_000")
        system.install("evil", *names)
        process = start(*system.arguments("--json"))
        with no_process_left():
            assert process.stdout is not None
            out = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            finish(process)
        assert 0 == process.returncode
        broken = {
            each["module"] for place in json.loads(out)["directories"] for each in place["broken"]
        }
        assert {"a_good", "z_good"} <= system.entries().keys()
        assert 33 == len(names) - len(broken)
        assert usage.ru_maxrss < 400 << 10  # KiB

    @pytest.mark.parametrize("name", ["evil", "m_broken"])
    def test_large_record(self, system: System, name: str) -> None:
        """What a RECORD holds is read once, however many modules are broken."""
        for number in range(3):
            system.attack("import nosuch", f"m_evil{number}")
        place = system.tree.path / f"{name}-1.dist-info"
        place.mkdir(exist_ok=True)
        with (place / "RECORD").open("a") as record:
            record.write("\n" * (16 << 20))
        with no_process_left():
            process = start(*system.arguments())
            assert process.stdout is not None
            process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            finish(process)
        assert 0 == process.returncode
        assert {"a_good", "z_good"} == system.entries().keys()
        assert usage.ru_utime < 10  # seconds of processor time, for each of the three it were 20


class TestMoment:
    """Failures that have nothing to do with a module."""

    SLOW = """
    "A good module that needs some time and memory."
    import os, time
    time.sleep(0.3)
    memory = bytearray(200 << 20)
    """

    @pytest.mark.parametrize("why", ["time", "memory"])
    def test_tried_again(self, system: System, why: str) -> None:
        """What failed for want of time or memory is not told as fresh, and is tried again."""
        system.tree.write("app/plugins/m_slow.py", self.SLOW)
        system.install("good", "m_slow")
        system.settle()
        if why == "time":
            outcome = system.update("--timeout", "0.05")
        else:
            limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (190 << 20,) * 2)"
            outcome = system.through(limit)
        assert "m_slow" not in system.entries()
        assert outcome.err
        assert 1 == system.check()
        assert 0 == system.update().status
        assert {"a_good", "m_slow", "z_good"} == system.entries().keys()
        assert 0 == system.check()

    def test_kept(self, system: System) -> None:
        """What the cache has of a module stays when it cannot be told anew for the moment."""
        system.tree.write("app/plugins/m_slow.py", self.SLOW)
        system.install("good", "m_slow")
        system.settle()
        system.update()
        before = system.entries()
        system.update("--force", "--timeout", "0.05")
        assert before["m_slow"] == system.entries()["m_slow"]


class TestCaller:
    """Whatever has started the update."""

    LEAVES = """
    import os, time
    if os.fork() == 0:
        os.setsid()
        while True: time.sleep(1)
    time.sleep(1000)
    """

    @pytest.mark.parametrize(
        "program",
        [
            "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
            "import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 13, 15)]",
        ],
        ids=["blocked", "ignored"],
    )
    def test_signals(self, system: System, program: str) -> None:
        """Signals that it blocks or ignores: the update goes on, and nothing is left running."""
        system.attack(self.LEAVES)
        outcome = system.through(program, "--timeout", "0.5")
        assert 0 == outcome.status
        assert "m_evil" in outcome.err
        assert {"a_good", "z_good"} == system.entries().keys()

    @pytest.mark.parametrize("trigger", [False, True], ids=["update", "trigger"])
    def test_children_ignored(self, system: System, trigger: bool) -> None:
        """One that has the kernel reap its children: the update does not miss any."""
        program = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
        outcome = system.through(program, *(["--trigger"] if trigger else []))
        assert (0, "") == (outcome.status, outcome.err)
        assert {"a_good", "z_good"} == system.entries().keys()

    @pytest.mark.skipif(shutil.which("setarch") is None, reason="needs setarch")
    def test_personality(self, system: System) -> None:
        """One of another personality: the filter of system calls is there all the same."""
        system.attack(
            """
            import ctypes, os
            libc = ctypes.CDLL(None, use_errno=True)
            told = {"socket": libc.socket(38, 5, 0), "namespace": libc.unshare(0x10000000)}
            numbers = {"x86_64": {"keyctl": 250, "memfd_create": 319, "io_uring_setup": 425}}
            for name, number in numbers.get("@", {}).items():
                told[name] = libc.syscall(number, b"x", 0, 0, 0, 0)
            __doc__ = repr({name for name, result in told.items() if result >= 0})
            """.replace("@", os.uname().machine)
        )
        outcome = system.through("", prefix=("setarch", "linux32"))
        assert 0 == outcome.status, outcome.err
        assert repr(set()) == system.told()
        assert 0 == system.update().status
        assert repr(set()) == system.told()


class TestEnvironment:
    """What an environment's files make an update see."""

    @pytest.mark.parametrize("kind", ["many", "deep"])
    def test_named_directories(self, system: System, public_path: Path, kind: str) -> None:
        """A .pth file that names more than can be shown: the update does its work without."""
        place = public_path / "named"
        place.mkdir()
        if kind == "many":
            names = [
                place / f"directory-number-{number:05}-of-a-large-one" for number in range(3200)
            ]
            for name in names:
                name.mkdir()
        else:
            names = [place / ("d/" * 1500)]
            here = os.open(place, os.O_RDONLY)
            for _ in range(1500):
                os.mkdir("d", dir_fd=here)
                inner = os.open("d", os.O_RDONLY, dir_fd=here)
                os.close(here)
                here = inner
            os.close(here)
        subprocess.run(
            [PYTHON, "-I", "-m", "venv", "--without-pip", public_path / "venv"], check=True
        )
        (site,) = (public_path / "venv").glob("lib/python3*/site-packages")
        (site / "named.pth").write_text("".join(f"{name}\n" for name in names))
        outcome = system.update("--python", str(public_path / "venv" / "bin" / "python3"))
        assert 0 == outcome.status, outcome.err
        assert {"a_good", "z_good"} == system.entries().keys()
        told = re.findall(r"^dropin-cache: .*$", outcome.err, re.MULTILINE)
        assert len(told) <= 3
        if kind == "deep":
            subprocess.run(["rm", "-rf", place], check=True)
