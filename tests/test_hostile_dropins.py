"""What plugin modules cannot do, each attack of `hostile` in each sandbox.

Each attack does one thing when it is imported. It is shown to work without a sandbox, as far as
that can be shown; then the real command imports all of them, each as the one module of an
installed distribution, before the modules of others: witnesses, which tell what they meet, and
must tell the same as without any attack. The victims, files, listeners and processes, are the
tests' own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pickle
import re
import resource
import secrets
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from command_line import Outcome, finish, no_process_left, snapshot, start
from conftest import Tree, missing
from dropin_cache._cachefile import read_cache_file
from dropin_cache._encode import encode
from dropin_cache._model import CachedDropin, InterfaceName
from dropin_cache.errors import NoSandboxError
from dropin_cache.update.payload import confinement
from dropin_cache.update.sandbox.choice import choose
from dropin_cache.update.sandbox.launch import child_account
from dropin_cache.update.sandbox.limits import Limits

CORPUS = Path(__file__).with_name("hostile")
PYTHON = "/usr/bin/python3"
TIERS = ("namespace", "landlock")
LONG = "DROPIN_CACHE_LONG" in os.environ
STRANGER = 65532  # a user that nobody is
LEDGER = Path("/var/cache/dropin-cache")

CACHED = ""
REFUSED = (
    r"^(PermissionError|FileNotFoundError|OSError|ProcessLookupError|ConnectionRefusedError"
    r"|BlockingIOError|MemoryError)\b"
)
KILLED = r"^it ended the process with "
FORKS = r"^it forks when it is imported$"
TAMPERED = r"^it tampered with its description"
LARGE = r"^its description is larger than 1 MiB$"
LATE = r"^it took (longer than 2 s|more than 0.5 s of processor time)$"
ANY = r"."

ANSWERS = (
    "what is attacked is between update and child, and guarded in the same way without sandbox"
)
OTHERWISE = "what is attacked is the cache, which the child has no part in"
OWNERS = "what is attacked is what owners might share, and guarded against where they do not"


class Attack(NamedTuple):
    """What is to be expected of an attack.

    Attributes:
        ending: The error it is reported with, or `CACHED`; for each of `TIERS` where they differ.
        shown: How it is shown to work: as "root", as "nobody", as the user of the "peer", in
            private "mounts" or "pids", or by a test of its own, "storm"; that it "hangs", "ends"
            the process, spoils its "neighbour", or cannot be "looked" at. Else why it cannot be.
        hangs: Whether it does not end, and so has to be run with a short timeout.
    """

    ending: str | tuple[str, str] = REFUSED
    shown: str = "root"
    hangs: bool = False


ATTACKS = {
    "read_shadow": Attack(),
    "read_home": Attack(),
    "read_secret": Attack(),
    "read_foreign": Attack(),
    "read_group": Attack(),
    "read_public": Attack(),
    "read_ledger": Attack(),
    "read_environment": Attack((CACHED, REFUSED)),
    "read_memory": Attack(),
    "read_inherited": Attack(CACHED),
    "write_here": Attack(),
    "write_itself": Attack(),
    "write_neighbour": Attack(),
    "write_cache": Attack(),
    "write_etc": Attack(),
    "write_usr": Attack(),
    "write_var_tmp": Attack(),
    "write_dev_shm": Attack(),
    "write_tmp": Attack(),
    "write_locks": Attack(),
    "write_ledger": Attack(),
    "write_open": Attack(),
    "truncate": Attack(),
    "remove": Attack(),
    "send_tcp": Attack(),
    "send_udp": Attack(),
    "send_unix": Attack(),
    "send_datagram": Attack(),
    "send_abstract": Attack(),
    "send_pair": Attack(),
    "vsock": Attack(),
    # A sandbox of namespaces does not see who has started it: it means itself.
    "signal_parent": Attack((KILLED, REFUSED)),
    "signal_peer": Attack(),
    "ptrace": Attack(),
    "steal_descriptor": Attack(),
    "limit_peer": Attack(shown="peer"),
    "slow_peer": Attack(),
    "pin_peer": Attack(),
    "shared_memory": Attack(),
    "keyring": Attack(),
    "regain_user": Attack(),
    "regain_groups": Attack(),
    "run_setuid": Attack(shown="nobody"),
    "user_namespace": Attack(),
    "mount": Attack(shown="mounts"),
    "make_device": Attack(),
    "raise_priority": Attack(),
    "outlive_memory": Attack(shown="nobody"),
    "fork_many": Attack(rf"{REFUSED}|{FORKS}", shown="pids"),
    "daemonise": Attack(rf"{REFUSED}|{FORKS}"),
    "leave_program": Attack(CACHED),
    "fill_memory": Attack(),
    "fill_disk": Attack(),
    "many_files": Attack(),
    "fill_output": Attack(r"^it printed more than 1 MiB$"),
    "exhaust_descriptors": Attack(),
    "end_exit": Attack(KILLED, shown="ends"),
    "end_abort": Attack(KILLED, shown="ends"),
    "end_kill": Attack(KILLED, shown="ends"),
    "end_fault": Attack(KILLED, shown="ends"),
    "end_recursion": Attack(rf"{KILLED}|RecursionError", shown="ends"),
    "raise_exit": Attack(r"^SystemExit", shown="ends"),
    "raise_interrupt": Attack(r"^KeyboardInterrupt", shown="ends"),
    "raise_unprintable": Attack(ANY, shown="ends"),
    "raise_terminal": Attack(r"^ValueError", shown="ends"),
    "object_doc": Attack(CACHED, shown="looked"),
    "object_conform": Attack(CACHED, shown="looked"),
    "object_provided": Attack(CACHED, shown="looked"),
    "object_metaclass": Attack(CACHED, shown="looked"),
    "object_name": Attack(ANY, shown="looked"),
    "surrogates": Attack(CACHED, shown="looked"),
    "answer_size": Attack(LARGE, shown=ANSWERS),
    "answer_bytes": Attack(TAMPERED, shown=ANSWERS),
    "answer_depth": Attack(TAMPERED, shown=ANSWERS),
    "answer_before": Attack(ANY, shown=ANSWERS),
    "answer_after": Attack(CACHED, shown=ANSWERS),
    "answer_itself": Attack(CACHED, shown=ANSWERS),
    "answer_wrongly": Attack(TAMPERED, shown=ANSWERS),
    "answer_many_imports": Attack(TAMPERED, shown=ANSWERS),
    "close_answers": Attack(rf"{KILLED}|^it closed the way back", shown=ANSWERS),
    "replace_answers": Attack(rf"{KILLED}|^it closed the way back", shown=ANSWERS),
    "close_all": Attack(rf"{KILLED}|^it closed the way back", shown=ANSWERS),
    "write_all": Attack(TAMPERED, shown=ANSWERS),
    "claim_shadow": Attack(CACHED, shown=ANSWERS),
    "spin": Attack(LATE, shown="hangs", hangs=True),
    "sleep": Attack(LATE, shown="hangs", hangs=True),
    "stop": Attack(LATE, shown="hangs", hangs=True),
    "trickle": Attack(LATE, shown=ANSWERS, hangs=True),
    "read_requests": Attack(LATE, shown=ANSWERS, hangs=True),
    "fork_storm": Attack(LATE, shown="storm", hangs=True),
    "refuse_to_end": Attack(CACHED, shown="hangs"),
    "exit_later": Attack(CACHED, shown="neighbour"),
    "keep_descriptors": Attack(ANY, shown="neighbour"),
    "lower_limits": Attack(ANY, shown="neighbour"),
    "stay_json": Attack(ANY, shown="neighbour"),
    "stay_modules": Attack(ANY, shown="neighbour"),
    "stay_import": Attack(ANY, shown="neighbour"),
    "stay_statement": Attack(ANY, shown="neighbour"),
    "stay_sys_modules": Attack(CACHED, shown="neighbour"),
    "stay_program": Attack(CACHED, shown=ANSWERS),
    "stay_interface": Attack(CACHED, shown="neighbour"),
    "leave_config": Attack(CACHED, shown=OWNERS),
    "feed_input": Attack(CACHED, shown=OWNERS),
    "feed_fifo": Attack(),
    "send_view": Attack(),
    "claim_nowhere": Attack(CACHED, shown=OTHERWISE),
    "long_error": Attack(r"^nothing\. +Setting up", shown=ANSWERS),
    "limit_parent": Attack((r"^OSError: \[Errno 24\]", CACHED), shown=OWNERS),
    "limit_group": Attack(ANY, shown=OWNERS),
    "huge_text": Attack(LARGE, shown=OTHERWISE),
}

WAY_BACK = """

import fcntl, os, stat


def way_back():
    found = []
    for descriptor in range(3, 256):
        try:
            pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
            mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        except OSError:
            continue
        if pipe and mode == os.O_WRONLY:
            found.append(descriptor)
    return found[-1]
"""
"""For attacks: finds the pipe for answers, as any drop-in can."""

ELSEWHERE = {
    "kill_all",
    "answer_many_values",
    "poison_imports",
    "cut_lifeline",
    *("site_read", "site_write", "site_exit", "site_sleep", "site_path"),
}
"""Attacks with tests of their own, further down."""

WITNESSES = {
    # What is left in homes and places for temporary files, and whether there is room.
    "config": """
        import configparser, os
        read = configparser.ConfigParser()
        read.read(os.path.expanduser("~/.config/app.ini"))
        __doc__ = read.get("app", "name", fallback="default")
        """,
    "program": """
        import subprocess, sys
        line = [sys.executable, "-c", "print('version 1')"]
        __doc__ = subprocess.run(line, capture_output=True, text=True).stdout
        """,
    "temporary": """
        import os, tempfile
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * 1_000_000)
        __doc__ = repr(sorted(os.listdir(tempfile.gettempdir())))
        """,
    "input": """
        import os, subprocess
        cat = subprocess.run(["/usr/bin/cat"], capture_output=True, text=True).stdout
        __doc__ = f"{cat!r} {os.read(0, 100)!r}"
        """,
    # What it may use, and how it is treated. How many processes is another number each time.
    "limits": """
        import os, resource, signal, time
        names = ("AS", "CORE", "DATA", "FSIZE", "NOFILE", "STACK", "MEMLOCK", "SIGPENDING")
        told = [resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names]
        told += [os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)]
        told += [sorted(os.sched_getaffinity(0)), oct(os.umask(0)), os.getgroups()]
        told += [sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))]
        told += [repr(signal.getsignal(number)) for number in (2, 13, 15, 17)]
        __doc__ = repr([*told, sorted(os.environ)])
        """,
    "resources": """
        import os, subprocess
        memory = bytearray(300 << 20)
        del memory
        pipes = [os.pipe() for _ in range(50)]
        cats = [subprocess.Popen("/usr/bin/cat", stdin=subprocess.PIPE) for _ in range(40)]
        for cat in cats: cat.communicate()
        __doc__ = repr([cat.returncode for cat in cats])
        for pair in pipes: os.close(pair[0]), os.close(pair[1])
        del pipes, cats
        """,
    # What it has to do with, and is told by, others.
    "modules": """
        import builtins, importlib, json, os, sys, zope.interface
        import app.interfaces, app.plugins, app.victims
        told = [sorted(n for n in sys.modules if n.startswith(("app", "dropin"))), sys.path]
        told += [app.interfaces.__file__, app.plugins.__path__, repr(builtins.__import__)]
        told += [json.dumps.__module__, importlib.import_module.__module__, sys.getrecursionlimit()]
        __doc__ = repr(told)
        """,
}
"""Modules of others, which tell what they meet."""

PLACES = {
    "write_etc": "/etc",
    "write_usr": "/usr",
    "write_var_tmp": "/var/tmp",  # noqa: S108
    "write_dev_shm": "/dev/shm",  # noqa: S108
    "write_tmp": "/tmp",  # noqa: S108
    "write_locks": "/run/lock/dropin-cache",
    "write_ledger": "/var/cache/dropin-cache",
}

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root's drop-ins have to be confined"),
]


class Victims(contextlib.AbstractContextManager["Victims"]):
    """What there is to attack.

    Attributes:
        path: A directory that everybody can reach.
        site: Import root with the project and what it needs.
        messages: Names of the attacks that got through to a listener.
    """

    def __init__(self, site: Path) -> None:
        self.site = site
        self.path = Path(tempfile.mkdtemp(prefix="dropin-cache-test-"))
        self.path.chmod(0o755)
        self.word = secrets.token_hex(16)
        self.tag = f"dropin-cache-hostile-{secrets.token_hex(8)}"
        self.key = secrets.randbelow(1 << 30) + 1
        self.open = self.path / "open"
        self.view = self.path / "view"
        self.messages: set[str] = set()
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(self._remove)
        for place in ("/run/lock/dropin-cache", "/var/cache/dropin-cache"):
            os.makedirs(place, mode=0o700, exist_ok=True)
        self._make_files()
        self._listen()
        environment = {"DROPIN_CACHE_VICTIM": self.word}
        user = child_account().uid
        self.peer = subprocess.Popen(
            ["/usr/bin/sleep", "1000"], env=environment, user=user, group=user, extra_groups=[]
        )
        self._cleanup.callback(self.peer.wait)
        self._cleanup.callback(self.peer.kill)
        self._trees = 0

    def __exit__(self, *_: object) -> None:
        """Take all of it away."""
        self._cleanup.close()

    def _make_files(self) -> None:
        files = {"secret": 0o600, "foreign": 0o600, "group": 0o640, "public": 0o644}
        for name, mode in files.items():
            (self.path / name).write_text(self.word)
            (self.path / name).chmod(mode)
        os.chown(self.path / "foreign", STRANGER, STRANGER)
        self.open.mkdir()
        self.open.chmod(0o777)
        self.view.mkdir()
        os.mkfifo(self.view / "fifo")
        (self.view / "fifo").chmod(0o666)
        self._fifo = os.open(self.view / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        self._cleanup.callback(os.close, self._fifo)
        for name in ("writable", "removable"):
            (self.open / name).write_text("text")
            (self.open / name).chmod(0o666)
        (LEDGER / f"{self.tag}.ledger").write_text(self.word)
        self._cleanup.callback((LEDGER / f"{self.tag}.ledger").unlink, missing_ok=True)
        program = self.path / "setuid"
        program.mkdir()
        shutil.copy("/usr/bin/id", program / "id")
        (program / "id").chmod(0o4755)

    def _listen(self) -> None:
        self.abstract = f"\0{self.tag}"
        addresses: list[tuple[int, int, Any]] = [
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            (socket.AF_UNIX, socket.SOCK_STREAM, str(self.path / "stream")),
            (socket.AF_UNIX, socket.SOCK_DGRAM, str(self.path / "datagram")),
            (socket.AF_UNIX, socket.SOCK_STREAM, self.abstract),
            (socket.AF_UNIX, socket.SOCK_STREAM, str(self.view / "stream")),
        ]
        selector = self._cleanup.enter_context(selectors.DefaultSelector())
        bound = []
        for family, kind, address in addresses:
            listener = self._cleanup.enter_context(socket.socket(family, kind))
            listener.bind(address)
            bound.append(listener.getsockname())
            if kind == socket.SOCK_STREAM:
                listener.listen()
            selector.register(listener, selectors.EVENT_READ)
        self.tcp, self.udp = bound[0][1], bound[1][1]
        for socket_file in (self.path / "stream", self.path / "datagram", self.view / "stream"):
            socket_file.chmod(0o777)
        ending, ends = socket.socketpair()
        selector.register(ends, selectors.EVENT_READ)
        thread = threading.Thread(target=self._hear, args=(selector, ends))
        thread.start()
        self._cleanup.callback(ends.close)
        self._cleanup.callback(thread.join)
        self._cleanup.callback(ending.close)

    def _hear(self, selector: selectors.BaseSelector, ends: socket.socket) -> None:
        while True:
            for key, _ in selector.select():
                ready: Any = key.fileobj
                if ready is ends:
                    return
                if ready.type == socket.SOCK_STREAM:
                    connection, _ = ready.accept()
                    with connection:
                        connection.settimeout(5)
                        self.messages.add(connection.recv(100).decode())
                else:
                    self.messages.add(ready.recv(100).decode())

    def tree(self) -> Tree:
        """Return a new tree with an application, whose attacks know of these victims."""
        self._trees += 1
        tree = Tree(self.path / f"tree{self._trees}")
        tree.application()
        shutil.copytree(self.path / "setuid", tree.path / "setuid")
        values = {
            "SECRET": str(self.path / "secret"),
            "FOREIGN": str(self.path / "foreign"),
            "GROUP": str(self.path / "group"),
            "PUBLIC": str(self.path / "public"),
            "OPEN": str(self.open),
            "WRITABLE": str(self.open / "writable"),
            "REMOVABLE": str(self.open / "removable"),
            "SETUID": str(tree.path / "setuid" / "id"),
            "STREAM": str(self.path / "stream"),
            "DATAGRAM": str(self.path / "datagram"),
            "ABSTRACT": self.abstract,
            "VIEW": str(self.view),
            "TCP": self.tcp,
            "UDP": self.udp,
            "PEER": self.peer.pid,
            "TAG": self.tag,
            "NAME": self.tag[-15:],
            "KEY": self.key,
        }
        lines = (f"{name} = {value!r}\n" for name, value in values.items())
        tree.write("app/victims.py", "".join(lines) + WAY_BACK)
        tree.write("app/shared.py", "from app.interfaces import IGreeter as Chosen\n")
        for name in ("a_good", "z_good"):
            tree.dropin(name)
        return tree

    def attack(self, tree: Tree, name: str) -> None:
        """Put an attack into a tree."""
        source = (CORPUS / f"{name}.py").read_text(encoding="utf-8")
        (tree.path / "app" / "plugins" / f"{name}.py").write_text(source, encoding="utf-8")

    def _catch_up(self) -> None:
        """Wait until all that has been sent was heard: the second time, nothing is on its way."""
        for _ in range(2):
            text = f"heard {os.urandom(8).hex()}"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(text.encode(), str(self.path / "datagram"))
            deadline = time.monotonic() + 30
            while text not in self.messages and time.monotonic() < deadline:
                time.sleep(0.001)

    def happened(self, tree: Tree, name: str, loot: str) -> bool:
        """Tell whether an attack did what it wants to do.

        Args:
            tree: Where it is.
            name: Which.
            loot: What it told about itself: the documentation of the module.
        """
        self._catch_up()
        plugins = tree.path / "app" / "plugins"
        signs = {
            "read_shadow": lambda: "root:" in loot,
            "write_here": (plugins / self.tag).exists,
            "write_itself": lambda: (plugins / f"{name}.py").read_text().endswith("\n# changed\n"),
            "write_neighbour": lambda: "# changed" in (plugins / "a_good.py").read_text(),
            "write_cache": lambda: (plugins / "dropin.cache").read_bytes() == b"forged",
            "truncate": lambda: (self.open / "writable").read_text() == "",
            "remove": lambda: not (self.open / "removable").exists(),
            "signal_peer": self.peer_is_dead,
            "limit_peer": lambda: " 99 " in Path(f"/proc/{self.peer.pid}/limits").read_text(),
            "slow_peer": lambda: os.getpriority(os.PRIO_PROCESS, self.peer.pid) == 19,
            "pin_peer": lambda: os.sched_getscheduler(self.peer.pid) == os.SCHED_IDLE,
            "shared_memory": lambda: self.key in _shared_memory(),
            "fill_output": lambda: loot.rstrip().endswith("done"),
            "many_files": lambda: os.path.exists(f"{PLACES['write_tmp']}/{self.tag}-many"),
            "feed_fifo": lambda: b"" != os.read(self._fifo, 100),
        }
        if name in signs:
            return signs[name]()
        if name in PLACES:
            return os.path.lexists(os.path.join(PLACES[name], self.tag))
        return (
            self.word in loot
            or loot.startswith("done")
            or name in self.messages
            or os.path.lexists(self.open / name)
        )

    def peer_is_dead(self) -> bool:
        """Tell whether the process that is attacked has ended; a signal takes a moment."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.peer.wait(0.2)
        return self.peer.returncode is not None

    def left_on_disk(self) -> list[str]:
        """List the files of attacks that are somewhere."""
        places = [*PLACES.values(), str(self.open)]
        found = [
            os.path.join(place, name)
            for place in places
            if os.path.isdir(place)
            for name in os.listdir(place)
            if name.startswith(self.tag) or place == str(self.open)
        ]
        expected = {f"{LEDGER}/{self.tag}.ledger"}
        expected |= {str(self.open / name) for name in ("writable", "removable")}
        return sorted(set(found) ^ expected)

    def _remove(self) -> None:
        for place in PLACES.values():
            for path in Path(place).glob(f"{self.tag}*"):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        while os.path.ismount(self.open):
            subprocess.run(["umount", str(self.open)], check=True)
        shutil.rmtree(self.path)
        identifier = _shared_memory().get(self.key)
        if identifier is not None:
            subprocess.run(["/usr/bin/ipcrm", "-m", str(identifier)], check=True)


class Result(NamedTuple):
    """What became of a run.

    Attributes:
        names: The attacks.
        outcome: Its exit status, and what it printed.
        broken: The modules it reported as broken, with the error.
        cached: What is in the cache, as `_facts` has it.
        entries: The entries of the modules of others, as bytes.
        expected: The same from a run without any attack.
        data: The cache.
        happened: The attacks that succeeded.
        changed: The files below the tree that are not what they were, without the cache.
        left: Files of attacks that are left.
        alive: Processes that are left; empty if none is.
    """

    names: tuple[str, ...]
    outcome: Outcome
    broken: dict[str, str]
    cached: dict[str, Any]
    entries: dict[str, bytes]
    expected: dict[str, bytes]
    data: bytes
    happened: set[str]
    changed: list[str]
    left: list[str]
    alive: str


class World:
    """A sandbox, and the runs in it; each is made when it is first asked for."""

    def __init__(self, tier: str, site: Path, shared: Path) -> None:
        self.tier = tier
        self.site = site
        self._shared = shared
        self._results: dict[bool, Result] = {}

    def result(self, *, hangs: bool) -> Result:
        """Return the result of the run with all attacks that end, or that do not."""
        if not self._results:
            path = self._shared / self.tier
            # Other workers want it, too, and it takes its time.
            with open(f"{path}.lock", "w", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not path.exists():
                    with Victims(self.site) as victims:
                        path.write_bytes(pickle.dumps(self._runs(victims)))
                self._results = pickle.loads(path.read_bytes())
        return self._results[hangs]

    def _runs(self, victims: Victims) -> dict[bool, Result]:
        """Have an update without attacks, one with all that end, and one with the others."""
        tree = victims.tree()
        for name, text in WITNESSES.items():
            tree.write(f"app/plugins/z_{name}.py", text)  # behind all attacks
        distribute(tree)
        outcome = finish(self.start(tree), timeout=100)
        assert {} == broken_in(outcome.out), outcome.err
        expected = entries_in(tree)
        assert {"a_good", "z_good", *(f"z_{name}" for name in WITNESSES)} == set(expected)
        results = {}
        for hangs in (False, True):
            names = tuple(name for name in ATTACKS if ATTACKS[name].hangs == hangs)
            for name in names:
                victims.attack(tree, name)
            distribute(tree)
            results[hangs] = self._run(victims, tree, names, expected, "0.5" if hangs else "20")
            for name in names:
                (tree.path / "app" / "plugins" / f"{name}.py").unlink()
        return results

    def _run(
        self,
        victims: Victims,
        tree: Tree,
        names: tuple[str, ...],
        expected: dict[str, bytes],
        timeout: str,
    ) -> Result:
        before = snapshot(tree.path)
        secret = os.open(victims.path / "secret", os.O_RDONLY)
        alive = ""
        try:
            with no_process_left():
                process = self.start(tree, "--force", "--timeout", timeout, pass_fds=[secret])
                outcome = finish(process, timeout=200)
        except AssertionError as error:
            alive = str(error)
        finally:
            os.close(secret)
        assert outcome.out, outcome.err
        cached, broken = cached_in(tree), broken_in(outcome.out)
        happened = {
            name
            for name in names
            if victims.happened(tree, name, told(name, cached, broken))
            or victims.word in outcome.out + outcome.err
        }
        changed = {str(path) for path, _ in set(before.items()) ^ set(snapshot(tree.path).items())}
        return Result(
            names=names,
            outcome=outcome,
            broken=broken,
            cached=cached,
            entries={name: each for name, each in entries_in(tree).items() if name not in names},
            expected=expected,
            data=(tree.path / "app" / "plugins" / "dropin.cache").read_bytes(),
            happened=happened,
            changed=sorted(changed - {"app/plugins", "app/plugins/dropin.cache"}),
            left=victims.left_on_disk(),
            alive=alive,
        )

    def command(self, tree: Tree, *options: str, python: str = PYTHON) -> list[str]:
        """Return the command line of an update of a tree, without the command."""
        paths = ["--path", str(tree.path), "--path", str(self.site)]
        if (view := tree.path.parent / "view").exists():
            paths += ["--path", str(view)]
        where = ["--sandbox", self.tier, "--python", python, *paths]
        return ["update", "--json", *where, *options, "app.plugins"]

    def start(self, tree: Tree, *options: str, **more: Any) -> subprocess.Popen[str]:
        """Start an update of a tree."""
        python = more.pop("interpreter", PYTHON)
        return start(*self.command(tree, *options, python=python), **more)


def broken_in(report: str) -> dict[str, str]:
    """Return the broken drop-ins that a report in JSON names: name -> error."""
    assert report, "no report"
    broken = [each for place in json.loads(report)["directories"] for each in place["broken"]]
    return {each["module"].rpartition(".")[2]: each["error"] for each in broken}


def distribute(tree: Tree) -> None:
    """Have each plugin module of a tree, and what it is for, installed by a distribution."""
    files = sorted(path.relative_to(tree.path) for path in (tree.path / "app").rglob("*.py"))
    for file in files:
        single = file.parent.name == "plugins" and file.name != "__init__.py"
        name = f"project-{file.stem}" if single else "application"
        place = tree.path / f"{name}-1.dist-info"
        if not place.exists():
            place.mkdir()
            (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        rows = (
            [file] if single else [each for each in files if each.parent != file.parent / "plugins"]
        )
        (place / "RECORD").write_text("".join(f"{row},,\n" for row in rows))


def _dropins_in(tree: Tree) -> dict[str, CachedDropin]:
    cache = read_cache_file(str(tree.path / "app" / "plugins"))
    return (cache and cache.dropins()) or {}


def cached_in(tree: Tree) -> dict[str, Any]:
    """Return what is in the cache of a tree."""
    return {name: _facts(entry) for name, entry in _dropins_in(tree).items()}


def entries_in(tree: Tree) -> dict[str, bytes]:
    """Return the entries of the cache of a tree, each as bytes."""
    return {name: encode([entry]) for name, entry in _dropins_in(tree).items()}


def told(name: str, cached: dict[str, Any], broken: dict[str, str]) -> str:
    """Return what a drop-in has told about itself."""
    return (cached[name][1] or "") if name in cached else broken.get(name, "")


def _facts(entry: CachedDropin) -> Any:
    return (
        entry.moduleName,
        entry.description,
        [(each.name, each.description, each.references, each.interfaces) for each in entry.plugins],
    )


def _good_facts(name: str) -> Any:
    references = (
        InterfaceName("dropin_cache", "IPlugin"),
        InterfaceName("app.interfaces", "IGreeter"),
    )
    interfaces = ("app.interfaces.IGreeter", "dropin_cache.IPlugin", "zope.interface.Interface")
    plugin = ("plugin", f"The plugin of {name}.", references, interfaces)
    return f"app.plugins.{name}", f"The drop-in {name}.", [plugin]


def _shared_memory() -> dict[int, int]:
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {int(line.split()[0]): int(line.split()[1]) for line in lines}


@pytest.fixture(scope="module")
def site() -> Iterator[Path]:
    """An import root with what drop-ins need, for an interpreter that everybody can run."""
    program = "import sys; sys.exit(sys.version_info < (3, 9))"
    if (
        not os.path.exists(PYTHON)
        or subprocess.run([PYTHON, "-c", program], check=False).returncode
    ):
        missing(f"Python 3.9 or newer as {PYTHON}")
    path = Path(tempfile.mkdtemp(prefix="dropin-cache-test-"))
    path.chmod(0o755)
    ignored = shutil.ignore_patterns("tests", "__pycache__")
    for name in ("zope", "dropin_cache"):
        source = next(iter(__import__(name).__path__))
        shutil.copytree(source, path / name, ignore=ignored)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def worlds(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    """Make the sandboxes that work here."""
    made = {}
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    for tier in TIERS:
        with contextlib.suppress(NoSandboxError):
            choose([tier], privileged=True, limits=Limits())
            made[tier] = World(tier, site, shared)
    return made


@pytest.fixture(scope="module", params=TIERS)
def world(request: pytest.FixtureRequest, worlds: dict[str, World]) -> World:
    """Each sandbox."""
    if request.param not in worlds:
        missing(f"the sandbox {request.param}")
    return worlds[request.param]


@pytest.fixture
def victims(site: Path) -> Iterator[Victims]:
    """Victims of one test's own."""
    with Victims(site) as made:
        yield made


def test_whole_corpus() -> None:
    """Each file of the corpus has a test, and says in one sentence what it tries."""
    files = {path.stem: path.read_text(encoding="utf-8") for path in CORPUS.glob("*.py")}
    assert sorted({*ATTACKS, *ELSEWHERE}) == sorted(files)
    sentence = re.compile(r'"""[A-Z][^\n]+\."""\n')
    assert [] == [name for name, text in files.items() if not sentence.match(text)]


PLAIN = """
import importlib, os, sys
name, *sys.path[:0] = sys.argv[3:]  # the first is where the child has the answers
module = importlib.import_module("app.plugins." + name)
print(module.__doc__)
"""
LOOKED = """
import importlib, sys
name, *sys.path[:0] = sys.argv[3:]
module = importlib.import_module("app.plugins." + name)
from app.interfaces import IGreeter
for thing in vars(module).values():
    if type(thing).__module__ == module.__name__:
        IGreeter(thing, None), thing.__doc__, type(thing).__name__
print(module.__doc__, list(vars(module)), flush=True)
print("looked at")
"""
NEIGHBOUR = """
import importlib, json, os, sys, time
name, *sys.path[:0] = sys.argv[3:]
import zope.interface, app.plugins
importlib.import_module("app.plugins." + name)
time.sleep(0.2)
import importlib, json, os
module = importlib.import_module("app.plugins.z_good")
facts = [module.__doc__, [each.__name__ for each in zope.interface.providedBy(module.plugin)]]
os.write(1, json.dumps(facts).encode())
"""
# The shell is the parent that an attack may kill, and the first to go where memory runs out, as a
# child of the update is. A storm is counted from outside of it.
SHELL = 'echo 1000 >/proc/self/oom_score_adj; "$@"; exit $?'
STORM = '"$@" & for i in 1 2 3 4 5; do sleep 0.1; done; ls -d /proc/[0-9]* | wc -l'


class TestWithoutSandbox:
    """What the attacks do where nothing confines them."""

    def plain(
        self, victims: Victims, name: str, program: str, *prefix: str, **options: Any
    ) -> tuple[Tree, int | None, str]:
        """Import an attack; return its tree, its exit status if it ends, and what it printed."""
        tree = victims.tree()
        victims.attack(tree, name)
        null = os.open(os.devnull, os.O_WRONLY)
        secret = os.open(victims.path / "secret", os.O_RDONLY)
        arguments = [str(null), "", name, str(tree.path), str(victims.site)]
        shell = ["/bin/sh", "-c", options.pop("shell", SHELL), "sh"]
        shell += options.pop("inner", [])
        command = [*prefix, *shell, PYTHON, "-I", "-B", "-c", program, *arguments]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[null, secret],
            start_new_session=True,
            **options,
        )
        os.close(null)
        os.close(secret)
        hangs = ATTACKS[name].shown == "hangs"
        try:
            out, _ = process.communicate(timeout=0.7 if hangs else 60)
        except subprocess.TimeoutExpired:
            return tree, None, ""
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        return tree, process.returncode, out.decode("utf-8", "replace")

    @pytest.mark.parametrize(
        "name",
        [name for name, attack in ATTACKS.items() if attack.shown in ("root", "nobody", "peer")],
    )
    def test_works(self, victims: Victims, name: str) -> None:
        """The attack does what it says."""
        options: dict[str, Any] = {}
        if ATTACKS[name].shown != "root":
            user = STRANGER if ATTACKS[name].shown == "nobody" else child_account().uid
            options.update(user=user, group=user, extra_groups=[])
        if name == "exhaust_descriptors":
            resource.prlimit(0, resource.RLIMIT_NOFILE, (4096, 4096))
        tree, _, out = self.plain(victims, name, PLAIN, **options)
        happened = victims.happened(tree, name, out)
        deadline = time.monotonic() + 5
        while (
            not happened
            and name in ("daemonise", "leave_program", "send_pair")
            and (time.monotonic() < deadline)
        ):
            time.sleep(0.05)
            happened = victims.happened(tree, name, out)
        _kill_leftovers(victims)
        if not happened and name in (
            "vsock",
            "user_namespace",
            "run_setuid",
            "keyring",
            "write_usr",
        ):
            pytest.skip(f"this machine prevents it anyway: {out}")
        assert happened, out

    @pytest.mark.parametrize(
        "name", [name for name, attack in ATTACKS.items() if attack.shown in ("mounts", "pids")]
    )
    def test_works_in_private(self, victims: Victims, name: str) -> None:
        """The attack does what it says, in a namespace that keeps the damage from the machine."""
        private = {"mounts": ["--mount"], "pids": ["--pid", "--fork", "--kill-child"]}
        prefix = ["unshare", *private[ATTACKS[name].shown]]
        _require_unshare(*prefix[1:])
        tree, _, out = self.plain(victims, name, PLAIN, *prefix)
        assert victims.happened(tree, name, out), out

    def test_storm(self, victims: Victims) -> None:
        """Processes that start processes are as many as they may be."""
        private = ["--pid", "--fork", "--kill-child", "--mount-proc"]
        _require_unshare(*private)
        user = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
        inner = ["prlimit", "--nproc=150", *user]
        _, _, out = self.plain(
            victims, "fork_storm", PLAIN, "unshare", *private, inner=inner, shell=STORM
        )
        assert int(out.split()[-1]) > 100, out

    @pytest.mark.parametrize(
        "name", [name for name, attack in ATTACKS.items() if attack.shown == "hangs"]
    )
    def test_hangs(self, victims: Victims, name: str) -> None:
        """The attack does not end."""
        _, status, out = self.plain(victims, name, PLAIN)
        assert (None, "") == (status, out)

    @pytest.mark.parametrize(
        "name", [name for name, attack in ATTACKS.items() if attack.shown == "ends"]
    )
    def test_ends(self, victims: Victims, name: str) -> None:
        """The attack ends the process that imports it."""
        _, _, out = self.plain(victims, name, PLAIN + "\nprint('imported')")
        assert "imported" not in out.splitlines()

    @pytest.mark.parametrize(
        "name", [name for name, attack in ATTACKS.items() if attack.shown == "looked"]
    )
    def test_looked_at(self, victims: Victims, name: str) -> None:
        """Who looks at what is in the module is hit."""
        _, _, out = self.plain(victims, name, LOOKED)
        assert "looked at" not in out.splitlines()

    @pytest.mark.parametrize(
        "name", [name for name, attack in ATTACKS.items() if attack.shown == "neighbour"]
    )
    def test_neighbour(self, victims: Victims, name: str) -> None:
        """In the same process, the drop-in behind it is not what it should be."""
        limit = [shutil.which("prlimit") or missing("prlimit"), "--nofile=256"]
        _, _, out = self.plain(victims, name, NEIGHBOUR, *limit)
        assert json.dumps(["The drop-in z_good.", ["IPlugin", "IGreeter"]]) != out


def _kill_leftovers(victims: Victims) -> None:
    """End what attacks have left: it has the name of its tree in its command line."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if str(victims.path).encode() in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)


def _require_unshare(*options: str) -> None:
    if shutil.which("unshare") is None:
        missing("unshare")
    if subprocess.run(["unshare", *options, "true"], check=False).returncode != 0:
        pytest.skip("this machine does not let root make namespaces")


@pytest.mark.parametrize("hangs", [False, True], ids=["ends", "hangs"])
class TestCorpus:
    """All attacks in each sandbox, each of an owner of its own, beside the modules of others."""

    @pytest.fixture
    def result(self, world: World, hangs: bool) -> Result:
        """What became of the run."""
        return world.result(hangs=hangs)

    def test_corpus_has_no_success(self, world: World, result: Result) -> None:
        """No attack does what it wants to do, and each is told of, or cached, as it should be."""
        happened = set(result.happened)
        if world.tier == "landlock" and confinement.abi() < 6:
            happened -= {"signal_peer"}  # Landlock knows nothing of signals on this kernel
        assert set() == happened
        wrong = {
            name: result.broken.get(name, "it is not broken")
            for name in result.names
            if not _as_expected(name, world.tier, result)
        }
        assert {} == wrong

    def test_corpus_changes_nothing(self, result: Result) -> None:
        """What is recorded of the modules of others is the same bytes as without any attack."""
        assert 0 == result.outcome.status
        assert {} == {
            name: error for name, error in result.broken.items() if name in result.expected
        }
        told = {name: result.cached[name][1] for name in result.expected}
        changed = [
            name for name in result.expected if result.expected[name] != result.entries[name]
        ]
        assert [] == changed, {name: told[name] for name in changed}
        assert result.expected.keys() == result.entries.keys()

    def test_corpus_leaves_nothing(self, result: Result) -> None:
        """Nothing is left: no process, no file, nothing changed."""
        assert ("", [], []) == (result.alive, result.left, result.changed)

    def test_corpus_is_told(self, result: Result) -> None:
        """What is printed, and what is cached, is about the modules that are there; it is text."""
        lines = result.outcome.err.splitlines()
        start = ("dropin-cache: warning: ", "  ")
        assert [] == [line for line in lines if not line.startswith(start)]
        assert [] == [line for line in lines if len(line) > 700]
        assert result.outcome.err.isascii()
        assert [] == [
            each for each in result.outcome.err if not each.isprintable() and each != "\n"
        ]
        assert {*result.names, *result.expected} == {*result.cached, *result.broken}

    def test_corpus_refers_to_nothing(self, result: Result) -> None:
        """What only a module's own process can reach is not in the cache: it would spoil it."""
        for name in (b"exists_here_only", b"forged"):
            assert (name in result.data) == (name == b"forged" and "answer_itself" in result.names)
        references = {
            reference.module
            for _, _, plugins in result.cached.values()
            for _, _, referred, _ in plugins
            for reference in referred
        }
        assert references == {"app.interfaces", "dropin_cache"}


def _as_expected(name: str, tier: str, result: Result) -> bool:
    """Tell whether an attack is reported as broken, or cached under its own name, as it should."""
    ending = ATTACKS[name].ending
    if not isinstance(ending, str):
        ending = ending[TIERS.index(tier)]
    entry, error = result.cached.get(name), result.broken.get(name)
    if error is None:
        own = entry is not None and entry[0] == f"app.plugins.{name}"
        return own and ending in (CACHED, ANY)
    return entry is None and ending != CACHED and re.search(ending, error) is not None


class TestOthers:
    """Attacks that are over when the update is, or that need a place of their own."""

    @pytest.fixture
    def tree(self, victims: Victims) -> Tree:
        """A tree with good plugin modules."""
        return victims.tree()

    def test_kill_all(self, world: World, victims: Victims, tree: Tree) -> None:
        """Who kills all it may kill hits nobody of the same user."""
        if world.tier == "landlock" and confinement.abi() < 6:
            pytest.skip("Landlock knows nothing of signals on this kernel")
        private = ["--pid", "--fork", "--kill-child", "--mount-proc"]
        _require_unshare(*private)
        victims.attack(tree, "kill_all")
        user = child_account().uid
        # Should it work, it must not hit what others run as this user.
        script = f"""
        setpriv --reuid={user} --regid={user} --clear-groups sleep 1000 &
        until grep -q '^sleep' /proc/$!/comm; do :; done
        "$@"
        status=$?
        case "$(cat /proc/$!/stat)" in *') S '*) ;; *) echo killed >&2;; esac
        exit $status
        """
        roots = [str(tree.path), str(victims.site)]
        plain = [PYTHON, "-I", "-B", "-c", PLAIN, "", "", "kill_all", *roots]
        command = [sys.executable, "-B", "-m", "dropin_cache", *world.command(tree)]
        ends = {}
        for key, arguments in (("plain", plain), ("confined", command)):
            # Those that fork without end elsewhere may leave no room for this user's processes.
            for _ in range(20):
                ends[key] = subprocess.run(
                    ["unshare", *private, "sh", "-c", script, "sh", *arguments],
                    capture_output=True,
                    check=False,
                    text=True,
                    timeout=60,
                )
                if ends[key].stdout or "killed" in ends[key].stderr.split():
                    break
        assert "killed" in ends["plain"].stderr.split()
        assert "killed" not in ends["confined"].stderr.split()
        ending = broken_in(ends["confined"].stdout).get("kill_all", "")
        assert re.search(rf"{REFUSED}|{KILLED}|^$", ending), ending

    @pytest.mark.parametrize("name", ["cut_lifeline", "fork_storm"])
    def test_update_is_killed(self, world: World, victims: Victims, tree: Tree, name: str) -> None:
        """If the update is killed, the child and its home go, whatever it has done about that."""
        victims.attack(tree, name)
        source = tree.path / "app" / "plugins" / f"{name}.py"
        named = "from app import victims\nimport ctypes\n"
        named += "ctypes.CDLL(None).prctl(15, victims.NAME.encode())\n"
        source.write_text(source.read_text().replace("import os\n", f"import os\n{named}", 1))
        with no_process_left():
            process = world.start(tree, "--timeout", "60")
            deadline = time.monotonic() + 30
            while (found := _running(victims.tag[-15:])) is None:
                assert time.monotonic() < deadline, "it was never imported"
                time.sleep(0.02)
            values = (found / "environ").read_bytes().split(b"\0")
            home = next(each for each in values if each.startswith(b"HOME="))[5:].decode()
            process.kill()
            finish(process)
        assert world.tier == "namespace" or not os.path.exists(home)

    def test_memory(self, world: World, victims: Victims, tree: Tree) -> None:
        """An answer does not take many times its size in the memory of the update."""
        victims.attack(tree, "answer_many_values")
        process = world.start(tree)
        out, err = process.stdout.read(), process.stderr.read()  # type: ignore[union-attr]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        finish(process)
        assert re.search(LARGE, broken_in(out)["answer_many_values"]), err
        # KiB; the line has fifteen MiB. A new process begins with the peak of who has started it.
        inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert usage.ru_maxrss < max(250 << 10, inherited + 1)

    @pytest.mark.parametrize("hostile", [False, True], ids=["alone", "poisoned"])
    def test_imports_of_others(
        self, world: World, victims: Victims, tree: Tree, hostile: bool
    ) -> None:
        """What others import is not for a drop-in to say: a change there is noticed."""
        shared = tree.path / "app" / "shared.py"
        for name in ("a_good", "z_good"):
            source = tree.path / "app" / "plugins" / f"{name}.py"
            text = source.read_text()
            source.write_text(
                text.replace("app.interfaces import IGreeter", "app.shared import Chosen").replace(
                    "IPlugin, IGreeter", "IPlugin, Chosen"
                )
            )
        if hostile:
            victims.attack(tree, "poison_imports")
        distribute(tree)
        old = time.time() - 1000  # what has just been written counts as changed
        for path in [*tree.path.rglob("*"), *victims.site.rglob("*.py")]:
            os.utime(path, (old, old))
        time.sleep(0.05)
        seen = []
        for interface in ("IGreeter", "IOther"):
            shared.write_text(f"from app.interfaces import {interface} as Chosen\n")
            time.sleep(0.05)
            outcome = finish(world.start(tree))
            assert (0, {}) == (outcome.status, broken_in(outcome.out))
            cached = cached_in(tree)
            seen.append([cached[name][2][0][2][1].name for name in ("a_good", "z_good")])
        assert [["IGreeter"] * 2, ["IOther"] * 2] == seen

    def test_names_of_files(self, world: World, victims: Victims, tree: Tree) -> None:
        """What a drop-in says it was loaded from is not even looked at where it is not shown."""
        victims.attack(tree, "claim_shadow")
        victims.attack(tree, "answer_itself")
        finish(world.start(tree))
        ledger = next(LEDGER.glob("*.ledger")).read_text()
        assert "app/interfaces" not in ledger or "a_good" in ledger
        assert [] == [name for name in ("/etc/shadow", "/root/", "/proc/") if name in ledger]


def environment(victims: Victims, name: str, way: str) -> str:
    """Make a virtual environment that runs an attack; return its interpreter."""
    path = victims.path / "venv"
    subprocess.run([PYTHON, "-I", "-m", "venv", "--without-pip", path], check=True)
    (site,) = path.glob("lib/python3*/site-packages")
    first = path / "lib" / "first"  # where it is found before that of the system
    first.mkdir()
    source = (CORPUS / f"{name}.py").read_text().replace("@OPEN@", str(victims.open))
    (first / ("sitecustomize.py" if way == "sitecustomize" else f"{name}.py")).write_text(source)
    lines = f"import sys; sys.path.insert(0, {str(first)!r})\n"
    lines += "" if way == "sitecustomize" else f"import {name}\n"
    (site / "first.pth").write_text(lines)
    return str(path / "bin" / "python3")


def _running(name: str) -> Path | None:
    """Return the place in /proc of a process with a name."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (entry / "comm").read_text().strip() == name:
                return entry
    return None


class TestInterpreter:
    """What runs before any drop-in: `.pth` files and sitecustomize of a virtual environment."""

    @pytest.fixture(params=["pth", "sitecustomize"])
    def way(self, request: pytest.FixtureRequest) -> str:
        """Each way in."""
        return str(request.param)

    def tree(self, victims: Victims) -> Tree:
        """Make a tree with good drop-ins, and one that tells what the attack has found."""
        tree = victims.tree()
        tree.write("app/plugins/tells.py", "import os\n__doc__ = os.environ.get('LOOT')\n")
        return tree

    @pytest.mark.parametrize("name", ["site_read", "site_write"])
    def test_contained(self, world: World, victims: Victims, name: str, way: str) -> None:
        """It is in the same sandbox."""
        python, tree = environment(victims, name, way), self.tree(victims)
        program = "import os; print(os.environ.get('LOOT'))"
        plain = subprocess.run([python, "-I", "-c", program], check=True, capture_output=True)
        if name == "site_read":
            assert b"root:" in plain.stdout
        else:
            (victims.open / "site_write").unlink()
        with no_process_left():
            outcome = finish(world.start(tree, interpreter=python), timeout=60)
        cached = cached_in(tree)
        assert (0, {}) == (outcome.status, broken_in(outcome.out))
        assert _good_facts("a_good") == cached["a_good"]
        assert None is cached["tells"][1]
        assert [] == victims.left_on_disk()

    def test_exit(self, world: World, victims: Victims, way: str) -> None:
        """An interpreter that ends by itself is one that cannot be used."""
        python, tree = environment(victims, "site_exit", way), self.tree(victims)
        plain = subprocess.run([python, "-I", "-c", "print(1)"], check=True, capture_output=True)
        assert b"" == plain.stdout
        with no_process_left():
            outcome = finish(world.start(tree, interpreter=python), timeout=60)
        assert 2 == outcome.status
        assert "it did not start as a Python interpreter" in outcome.err
        assert [] == victims.left_on_disk()

    def test_path(self, world: World, victims: Victims) -> None:
        """One that imports from everywhere is refused: each entry would be looked at."""
        python, tree = environment(victims, "site_path", "pth"), self.tree(victims)
        program = "import sys; print(len(sys.path) > 20_000)"
        plain = subprocess.run([python, "-I", "-c", program], check=True, capture_output=True)
        assert b"True\n" == plain.stdout
        with no_process_left():
            outcome = finish(world.start(tree, interpreter=python), timeout=60)
        assert 2 == outcome.status
        assert "path holds more than 20000 values" in outcome.err

    @pytest.mark.skipif(not LONG, reason="part of the longer tests: make test-long")
    def test_sleep(self, world: World, victims: Victims) -> None:
        """An interpreter that never starts is given up."""
        python, tree = environment(victims, "site_sleep", "pth"), self.tree(victims)
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run([python, "-I", "-c", ""], check=True, timeout=0.5)
        with no_process_left():
            outcome = finish(world.start(tree, interpreter=python))
        assert 2 == outcome.status
        assert "it took longer than 120 s" in outcome.err
