"""What the harnesses of faults share: a site to break things in, and how to tell what broke."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import bare_environment, strace
from conftest import Tree, missing, room_for_processes
from dropin_cache import _decode
from dropin_cache._encode import encode
from dropin_cache.update.state import ledger
from fault_points import (
    ABSENT,
    LEDGER,
    LITTER,
    NEXT,
    TORN,
    WRONG,
    Ended,
    Problem,
    left,
)
from reader_support import LONG_AGO
from updates import ledger_file

STATE = Path("/var/cache/dropin-cache")
_CACHE = "dropin.cache"
# No other will do where the interpreter lies below a private directory.
_SANDBOX = ("--sandbox", "namespace")
_MNT_DETACH = 2  # umount2(2)
_MS_SHARED = 0x100000  # mount(2)


class Site:
    """An interpreter with one plugin package, whose cache is written again and again.

    It lies in memory, and below a directory that everybody can reach.

    Attributes:
        app: The directory of the application.
        plugins: That of its plugin package.
        cache: The cache in there.
        contents: What the cache is, by the interface that the drop-in `hello` provides.
        ledger: What the ledger is after an update.
    """

    def __init__(self, path: Path, starter: subprocess.Popen[str]) -> None:
        """Make it.

        Args:
            path: Where.
            starter: A process that runs starter.py.
        """
        self._starter = starter
        environment = bare_environment(path / "environment")
        self.python, self.path = environment.python, environment.site
        self.app = self.path / "app"
        self.plugins = self.app / "plugins"
        self.cache = self.plugins / _CACHE
        self._tree = Tree(self.path)
        self._tree.declare("app.plugins")
        self.contents: dict[str, bytes] = {}
        self.install()
        for interface in ("IOther", "IGreeter"):
            self.change(interface)
            self.assert_done()
            self.contents[interface] = self.cache.read_bytes()
        self._status = self.cache.stat()
        self.ledger = ledger_file(self.python).read_bytes()

    def install(self) -> None:
        """Install the application and its drop-ins."""
        self._tree.application()
        self._tree.dropin("loud", "ILoudGreeter", mtime_ns=LONG_AGO)
        self.change("IGreeter")

    def clear(self) -> None:
        """Remove what a flawed update may have left."""
        shutil.rmtree(self.app)
        shutil.rmtree(STATE, ignore_errors=True)

    def change(self, interface: str) -> None:
        """Have the drop-in `hello` provide an interface."""
        self._tree.dropin("hello", interface, mtime_ns=LONG_AGO + len(interface) * 10**9)

    def remove_dropins(self) -> None:
        """Remove all drop-ins."""
        for name in ("hello.py", "loud.py"):
            (self.plugins / name).unlink(missing_ok=True)

    def put_cache(self, interface: str = "IGreeter") -> None:
        """Put the cache there as an update would."""
        self.plugins.mkdir(parents=True, exist_ok=True)
        self.cache.unlink(missing_ok=True)
        self.cache.write_bytes(self.contents[interface])
        self.cache.chmod(0o644)
        os.utime(self.cache, ns=(LONG_AGO, LONG_AGO + len(interface) * 10**9 + 1000))

    def put_ledger(self) -> None:
        """Put the ledger there as the last update has left it."""
        STATE.mkdir(exist_ok=True)
        ledger_file(self.python).write_bytes(self.ledger)

    def run(self, *argv: str, tracer: list[str] | None = None, **options: Any) -> Ended:
        """Run an update, or what `options` say; see starter.py for those."""
        request = dict.fromkeys(("flaw", "user", "file_size", "piece", "site"))
        request.update(what="update", argv=["update", *_SANDBOX, "--python", self.python, *argv])
        request.update(strace=tracer, **options)
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.write(json.dumps(request) + "\n")
        self._starter.stdin.flush()
        return Ended(**json.loads(self._starter.stdout.readline()))

    def read(self, **options: Any) -> Ended:
        """Ask for the names of all plugins."""
        return self.run(what="read", site=str(self.path), **options)

    def assert_done(self) -> None:
        """Run an update, which has to succeed and to leave nothing else behind."""
        problems = self.next_run()
        assert [] == problems, problems

    def next_run(self, **options: Any) -> list[Problem]:
        """Run an update to which nothing happens; return what is not as it should be."""
        ended = self.run(**options)
        found = [*left(ended), *self.litter()]
        if (0, "") != (ended.status, ended.err):
            found.append(Problem(NEXT, f"it ends with {ended.status}: {ended.err}"))
        if not ledger_file(self.python).is_file():
            found.append(Problem(LEDGER, "there is none"))
        return [*found, *self.damage()]

    def litter(self) -> list[Problem]:
        """List temporary files."""
        paths = [*self.path.rglob("*.new"), *STATE.rglob("*.new")]
        return [Problem(LITTER, str(path)) for path in paths]

    def state(self) -> tuple[Any, ...]:
        """Return everything that an update may change, but for the files of locks."""
        found = []
        for place in (self.app, STATE):
            for path in sorted(place.rglob("*")):
                status = path.lstat()
                found.append((str(path), status.st_mode, status.st_mtime_ns, status.st_ino))
        return tuple(found)

    def content(self) -> bytes | None:
        """Return the cache, or None where there is none."""
        try:
            return self.cache.read_bytes()
        except FileNotFoundError:
            return None

    def damage(self, *allowed: bytes | None) -> list[Problem]:
        """Say what is wrong with the cache and the ledger.

        Args:
            allowed: What the cache may be; anything that is whole if there are none.
        """
        found = []
        content = self.content()
        if content is not None and _decode.decode(content) is None:
            found.append(Problem(TORN, f"{len(content)} bytes"))
        elif allowed and content not in allowed:
            found.append(Problem(WRONG if content is not None else ABSENT, _described(content)))
        elif content is not None and 0o644 != stat.S_IMODE(self.cache.stat().st_mode):
            found.append(Problem(WRONG, "its permissions"))
        if ledger_file(self.python).is_file():
            heading, _, body = ledger_file(self.python).read_bytes().partition(b"\n")
            if heading != ledger._heading(body[:-1]):
                found.append(Problem(LEDGER, "it is torn"))
        return found


def without(content: bytes, *names: str) -> bytes | None:
    """Return what a cache is without some drop-ins."""
    entries = _decode.decode(content)
    assert entries is not None
    kept = [entry for key, entry in entries.items() if key not in names]
    return encode(kept) if kept else None


def _described(content: bytes | None) -> str:
    entries = content and _decode.decode(content)
    return f"the cache has {sorted(entries)}" if entries else "there is no cache"


@contextlib.contextmanager
def made_site() -> Iterator[Site]:
    """Make a site in memory, if this process may."""
    if os.geteuid() != 0:
        pytest.skip("only root writes with privilege")
    strace()
    path = Path(tempfile.mkdtemp(prefix="dropin-cache-test-"))
    libc = ctypes.CDLL(None)
    try:
        path.chmod(0o755)
        if libc.mount(b"tmpfs", bytes(path), b"tmpfs", 0, b"mode=0755") != 0:
            pytest.skip("this machine does not let root mount")
        # What is mounted here afterwards is to be seen by the process that starts others.
        for place in (bytes(path), b"/var/lib", b"/var/cache", b"/run/lock"):
            libc.mount(None, place, None, _MS_SHARED, None)
        try:
            with _started() as starter:
                with room_for_processes():
                    made = Site(path, starter)
                yield made
        finally:
            libc.umount2(bytes(path), _MNT_DETACH)
    finally:
        path.rmdir()


@contextlib.contextmanager
def _started() -> Iterator[subprocess.Popen[str]]:
    """Run starter.py."""
    if shutil.which("unshare") is None:
        missing("unshare (Debian: util-linux)")
    # In a namespace of its own there are few processes, and what is left of them is found.
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command.append("--propagation=unchanged")
    # Without a language there are no catalogues of messages to be looked for, a hundred times.
    environment = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], "COLUMNS": "300"}
    program = str(Path(__file__).with_name("starter.py"))
    with subprocess.Popen(
        [*command, sys.executable, "-I", "-B", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        yield process  # which ends when there is nothing more to read for it
