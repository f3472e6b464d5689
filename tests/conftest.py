"""Fixtures that several test modules share: trees of drop-ins, child processes, other users."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from dropin_cache import _plugins

NOBODY = 65534
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
_CLONE_NEWNS = 0x20000  # unshare(2)
_MNT_DETACH = 2  # umount2(2)
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000  # mount(2)


def pytest_configure() -> None:
    """Make what the tests start independent of who has started them.

    Root gets places of its own for locks and the ledger, gone with this process: there is one of
    each for the machine. Below the ledger's place lie things that are needed, such as dpkg's
    database, so there is a layer above what the machine has.
    """
    # A shell has what it runs in the background ignore it, and so would all that is started here.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.geteuid() == 0:
        place = Path(tempfile.gettempdir()).resolve()
        # libpam-tmpdir, for one, has one below a directory that nobody else can enter.
        if not all(each.stat().st_mode & stat.S_IXOTH for each in (place, *place.parents)):
            tempfile.tempdir = os.environ["TMPDIR"] = "/tmp"  # noqa: S108 - names are random there
    libc = ctypes.CDLL(None)
    if os.geteuid() == 0 and os.path.isdir("/run/lock") and libc.unshare(_CLONE_NEWNS) == 0:
        libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None)
        libc.mount(b"tmpfs", b"/run/lock", b"tmpfs", 0, b"mode=1777")
        with tempfile.TemporaryDirectory(prefix="dropin-cache-test-") as layer:
            libc.mount(b"tmpfs", layer.encode(), b"tmpfs", 0, b"mode=0755")
            for name in ("upper", "work"):
                os.mkdir(os.path.join(layer, name), 0o755)
            options = f"lowerdir=/var/lib,upperdir={layer}/upper,workdir={layer}/work"
            libc.mount(b"overlay", b"/var/lib", b"overlay", 0, options.encode())
            libc.umount2(layer.encode(), _MNT_DETACH)  # it stays below the other
        shutil.rmtree("/var/lib/dropin-cache", ignore_errors=True)  # in that layer only


def missing(what: str) -> NoReturn:
    """Skip a test for want of a tool; in CI that is a failure, since CI installs them all."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


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
def _room_for_processes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Let tests that fork without end run while no other test does, whichever process has it."""
    alone = any(word in request.node.name for word in _STORMS)
    with room_for_processes(tmp_path_factory, alone=alone):
        yield


@contextlib.contextmanager
def room_for_processes(factory: pytest.TempPathFactory, *, alone: bool = False) -> Iterator[None]:
    """Keep those out that fork without end; or, for these, everybody else.

    All children belong to one user, and how many processes a user may have is counted for the
    system as a whole: another test might find no room for its own. Tests are in such a room by
    themselves; a fixture of a wider scope that starts processes is not.
    """
    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    with (place / "gate").open("w") as gate, (place / "room").open("w") as room:
        fcntl.flock(gate, fcntl.LOCK_EX)  # who waits for all others to end keeps more from starting
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


@pytest.fixture(autouse=True)
def _private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test a process that has imported and reported nothing, and its own lock place."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    modules, path = dict(sys.modules), list(sys.path)
    yield
    if os.geteuid() == 0:
        shutil.rmtree("/var/lib/dropin-cache", ignore_errors=True)
    for memory in (_plugins._imports, _plugins._unwritable, _plugins._reported):
        memory.clear()
    for name in set(sys.modules) - set(modules):
        if not name.startswith(("dropin_cache.", "zope.", "twisted.", "encodings.")):
            del sys.modules[name]
    sys.path[:] = path
    importlib.invalidate_caches()


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
