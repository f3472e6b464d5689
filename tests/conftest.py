"""Fixtures that several test modules share: trees of drop-ins, child processes, other users."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest

import host
from dropin_cache import _plugins

NOBODY = 65534
LONG = bool(os.environ.get("DROPIN_CACHE_LONG"))
"""Whether this is `make test-long`, which runs also what is marked so."""
_STORMS = (
    "landlock-ends",
    "landlock-hangs",
    "fork_many",
    "fork_storm",
    "test_storm",
    "test_forks_on_and_on",
    "test_crowd",
    "kill_all",
)
# Tests below these names start processes, all of them. In other files they are marked.
_PROCESSES = (
    *("faults", "fuzz", "load", "packages", "races"),
    *("test_hostile_dropins.py", "test_isolation_of_owners.py", "test_many_dropins.py"),
    *("update/importing/test_child.py", "update/importing/test_importer.py"),
    *("update/importing/test_processes.py", "update/importing/test_starting.py"),
    "update/sandbox/test_user_namespaces.py",
    *(f"update/payload/test_{name}.py" for name in ("program", "proof", "supervisor")),
    *("update/payload/test_confinement.py", "update/payload/test_observation.py"),
    *(f"update/sandbox/test_{name}.py" for name in ("choice", "landlock", "launch", "namespace")),
    *(f"update/state/test_{name}.py" for name in ("ledger", "quick_list", "recorded")),
)
_MARK = "processes"
_STARTS = ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen")
_started: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Make what the tests start independent of who has started them."""
    os.environ.pop("VIRTUAL_ENV", None)  # commands tell that another Python was looked at
    config.addinivalue_line("markers", f"{_MARK}: starts processes; tried on one Python only")
    config.addinivalue_line("markers", "long: takes long; a part of `make test-long`")
    sys.addaudithook(lambda event, _: _started.append(event) if event in _STARTS else None)
    # How long something takes is no matter of these tests: other work may be done beside.
    patient = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
    if "HYPOTHESIS_STORAGE_DIRECTORY" not in os.environ:
        patient["database"] = None  # it would be in the source tree
    hypothesis.settings.register_profile("patient", **patient)
    hypothesis.settings.load_profile("patient")
    host.default_signals()
    # Who only hands tests to other processes, for xdist, starts nothing else.
    runs_tests = hasattr(config, "workerinput") or config.getoption("dist", "no") == "no"
    if os.geteuid() == 0 and runs_tests:
        host.reachable_temporary_directory()
        host.own_places()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of files whose tests all start processes; leave out what takes long."""
    here = Path(__file__).parent
    places = tuple(str(here / name) for name in _PROCESSES)
    for item in items:
        if str(item.path).startswith(places):
            item.add_marker(_MARK)
    if not LONG:
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def missing(what: str) -> NoReturn:
    """Skip a test for want of a tool; in CI that is a failure, since CI installs them all."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the process of the tests back what root's command changes in its own."""
    monkeypatch.chdir(os.getcwd())
    environment = dict(os.environ)
    mask = os.umask(0o022)
    os.umask(mask)
    yield
    os.umask(mask)
    os.environ.update(environment)


class Tree:
    """A directory of import roots with plugin packages in them.

    Attributes:
        path: The directory itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str = "", mtime_ns: int | None = None) -> Path:
        """Write a file below the tree, its directories too; optionally set its time."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        if mtime_ns is not None:
            os.utime(path, ns=(mtime_ns, mtime_ns))
        return path

    def application(self, name: str = "app") -> None:
        """Write an application `name` with an interface IGreeter and a plugin package."""
        self.write(f"{name}/__init__.py")
        self.write(
            f"{name}/interfaces.py",
            """
            from zope.interface import Interface

            class IGreeter(Interface):
                "Greets."

            class ILoudGreeter(IGreeter):
                "Greets loudly."

            class IOther(Interface):
                "Does something else."
            """,
        )
        self.write(
            f"{name}/plugins/__init__.py",
            """
            from dropin_cache import pluginPackagePaths

            __path__.extend(pluginPackagePaths(__name__))
            """,
        )

    def declare(self, *packages: str, name: str = "app", root: str = "") -> Path:
        """Write the metadata of a distribution that has installed packages and declares them."""
        metadata = f"{root}/{name}-1.dist-info".lstrip("/")
        lines = [f"{number} = {package}\n" for number, package in enumerate(packages)]
        self.write(f"{metadata}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        parts = [package.split(".") for package in packages]
        files = {
            "/".join([*each[:length], "__init__.py"])
            for each in parts
            for length in range(1, len(each) + 1)
        }
        record = [*sorted(files), f"{name}-1.dist-info/entry_points.txt"]
        self.write(f"{metadata}/RECORD", "".join(f"{file},,\n" for file in record))
        text = "".join(["[dropin_cache.packages]\n", *lines])
        return self.write(f"{metadata}/entry_points.txt", text)

    def dropin(
        self,
        name: str,
        interface: str = "IGreeter",
        package: str = "app",
        root: str = "",
        mtime_ns: int | None = None,
    ) -> Path:
        """Write a drop-in with one plugin, called `plugin`, that provides an interface."""
        return self.write(
            f"{root}/{package}/plugins/{name}.py".lstrip("/"),
            f"""
            "The drop-in {name}."
            from zope.interface import implementer
            from dropin_cache import IPlugin
            from {package}.interfaces import {interface}

            @implementer(IPlugin, {interface})
            class Plugin:
                "The plugin of {name}."
                name = {name!r}

            plugin = Plugin()
            """,
            mtime_ns,
        )


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An empty tree."""
    return Tree(tmp_path / "tree")


@pytest.fixture
def app(tree: Tree) -> Tree:
    """A tree with the application `app` and two drop-ins, one for each kind of greeter."""
    tree.application()
    tree.dropin("hello")
    tree.dropin("loud", "ILoudGreeter")
    return tree


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A temporary directory that other users can reach, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="dropin-cache-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def _room_for_processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let tests that fork without end run while no other test does, whichever process has it.

    Tests that start nothing need no room, and prove here that they start nothing.
    """
    if request.node.get_closest_marker(_MARK) is None:
        _started.clear()
        yield
        assert not _started, f"it starts processes; mark it: @pytest.mark.{_MARK}"
        return
    alone = any(word in request.node.name for word in _STORMS)
    with room_for_processes(alone=alone):
        yield


@contextlib.contextmanager
def room_for_processes(*, alone: bool = False) -> Iterator[None]:
    """Keep those out that fork without end; or, for these, everybody else.

    All children belong to one user, and how many processes a user may have is counted for the
    system as a whole: another test might find no room for its own. So the locks are the machine's,
    on directories, which leaves nothing behind: another tree's tests may run as well. Tests are in
    such a room by themselves; a fixture of a wider scope that starts processes is not.
    """
    gate, room = (os.open(place, os.O_RDONLY | os.O_CLOEXEC) for place in ("/", "/usr"))
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)  # who waits for all others to end keeps more from starting
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
    finally:
        os.close(gate)
        os.close(room)


@pytest.fixture(autouse=True)
def _private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test a process that has imported and reported nothing, and its own lock place."""
    # Beside it: where a user's locks are here, what a test makes is alone in its directory.
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}-xdg-cache")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    modules, path = dict(sys.modules), list(sys.path)
    yield
    if os.geteuid() == 0:
        host.forget_states()
    for memory in (_plugins._imports, _plugins._unwritable, _plugins._reported):
        memory.clear()
    for name in set(sys.modules) - set(modules):
        if _is_of_a_test(sys.modules[name], str(tmp_path.parent)):
            del sys.modules[name]
    sys.path[:] = path
    importlib.invalidate_caches()


def _is_of_a_test(module: Any, temporary: str) -> bool:
    """Tell whether a module is gone with a test: what is installed may load its parts late."""
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    if origin is None:  # a namespace package, or made by the test itself
        return True
    # An environment may be made where temporary files are, too.
    lasting = (sys.prefix, sys.base_prefix, str(Path(__file__).parent.parent))
    return origin.startswith((temporary, tempfile.gettempdir())) and not origin.startswith(lasting)


def run_python(
    code: str,
    *arguments: str,
    python: str = sys.executable,
    path: list[Path] | None = None,
    unprivileged: bool = False,
    env: dict[str, str] | None = None,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter.

    Args:
        code: The program; it is dedented.
        arguments: Its arguments.
        python: The interpreter.
        path: PYTHONPATH.
        unprivileged: Whether to run it as nobody, where this process is root.
        env: Further environment variables.
        options: For `subprocess.run`.
    """
    environment = {**os.environ, **(env or {})}
    if path is not None:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
    if unprivileged and os.geteuid() == 0:
        options.update(user=NOBODY, group=NOBODY, extra_groups=[])
    return subprocess.run(
        [python, "-B", "-c", textwrap.dedent(code), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=options.pop("timeout", 120),
        **options,
    )
