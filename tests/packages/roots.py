"""Systems to install packages on: trees made by mmdebstrap, each test with a copy of its own.

A tree is made once and kept in the directory that `DROPIN_CACHE_ROOTS` names. A `Root` is that tree
as a system of its own: an overlay in memory is its file system, and it has its own process and
network namespaces. All of it is gone when the process that holds it ends, which it does when the
tests end, however they do. What many tests do first, such as installing our packages, is done once:
a `Prepared` tree is another one and what that changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest

from conftest import missing

SUITE = os.environ.get("DROPIN_CACHE_SUITE") or "bookworm"
MINOR = {"bookworm": 11, "trixie": 13}.get(SUITE, 14)  # of its version of Python


def unstable(suite: str) -> tuple[str, ...]:
    """Return options for mmdebstrap: mirrors of suites that change each day may be behind."""
    return ('--aptopt=Acquire::Check-Valid-Until "false"',) if suite in {"forky", "sid"} else ()


UNSTABLE = unstable(SUITE)
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# Becomes the first process of the root. Its standard input is the life of the whole.
_HOLDER = r"""
set -eu
base=$1 place=$2 changes=$3
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$place"
mkdir "$place/root" "$place/changes"
[ -z "$changes" ] || mount --bind "$changes" "$place/changes"
cd "$place/changes"
mkdir upper work
mount -t overlay -o "lowerdir=$base,upperdir=upper,workdir=work" overlay "$place/root"
cd "$place/root"
mount -t proc proc proc
mount -t tmpfs -o mode=0755 tmpfs run
mkdir -m 1777 run/lock
# Not the machine's: package managers change owners and modes in there.
mount -t tmpfs -o mode=0755 tmpfs dev
mkdir dev/pts
mkdir -m 1777 dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    name=${device%%:*} numbers=${device#*:}
    mknod -m 0666 "dev/$name" c "${numbers%:*}" "${numbers#*:}"
done
pivot_root . mnt
exec chroot . /bin/sh -c 'umount -l /mnt && echo ready && cat'
"""


class Base(NamedTuple):
    """What a tree is made of.

    Attributes:
        name: Its name, for people.
        installed: Packages that are installed in it.
        archived: Packages that can be installed without a network, and what they depend on
            besides; those that are installed can be installed again.
        suite: The suite of Debian.
    """

    name: str
    installed: tuple[str, ...]
    archived: tuple[str, ...] = ()
    suite: str = SUITE

    def layers(self) -> list[Path]:
        """Return the directories that lie above each other, the uppermost first."""
        return [self.tree()]

    def tree(self) -> Path:
        """Return the directory of the tree; make it if it is not there."""
        if os.geteuid() != 0:
            pytest.skip("only root can make systems")
        if shutil.which("mmdebstrap") is None:
            missing("mmdebstrap")
        identity = "\n".join([self.suite, _STYLE, *self.installed, "", *self.archived])
        key = hashlib.sha256(identity.encode()).hexdigest()[:12]
        tree = cache() / f"{self.name}-{key}"
        with tree.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several processes run tests
            if not tree.exists():
                self._build(tree)
        return tree

    def _build(self, tree: Path) -> None:
        new = tree.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        command = [
            "mmdebstrap",
            "--quiet",
            "--variant=apt",
            "--skip=cleanup/apt/lists",
            *unstable(self.suite),
            f"--include={','.join(['mount', *self.installed])}",
            '--customize-hook=mkdir -p "$1/srv/archives/partial"',
        ]
        if self.archived:
            options = "-qq -y -o Dir::Cache::archives=/srv/archives --no-install-recommends"
            fetch = f"apt-get {options} install --reinstall --download-only"
            names = " ".join(self.archived)
            command.append(f'--customize-hook=chroot "$1" {fetch} {names}')
        subprocess.run([*command, self.suite, str(new)], check=True)
        # Installations need no network: what they fetch is there already.
        (new / "etc/apt/apt.conf.d/50tests").write_text(
            'Dir::Cache::archives "/srv/archives";\nAPT::Install-Recommends "false";\n'
            'APT::Sandbox::User "root";\nDpkg::Use-Pty "false";\n'
        )
        new.rename(tree)


_STYLE = "2"  # to be changed together with `_build`


class Prepared(NamedTuple):
    """A tree with changes.

    Attributes:
        below: What was changed.
        changes: Where the changes are.
    """

    below: Base | Prepared
    changes: Path

    def layers(self) -> list[Path]:
        """Return the directories that lie above each other, the uppermost first."""
        return [self.changes / "upper", *self.below.layers()]


def prepared(
    temporary: pytest.TempPathFactory,
    name: str,
    below: Base | Prepared,
    change: Callable[[Root], None],
) -> Prepared:
    """Change a system, once for all tests of this run.

    Args:
        temporary: Where the changes are kept.
        name: What it is called.
        below: What is changed.
        change: Does it.
    """
    below.layers()  # where that is not to be had, tests are skipped

    def make(place: Path) -> None:
        place.mkdir()
        root = Root(below, changes=place)
        try:
            change(root)
        finally:
            root.close()

    return Prepared(below, once(temporary, name, make))


def once(temporary: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a directory that is made once for all processes that run tests.

    Args:
        temporary: Where it is.
        name: Its name.
        make: Makes it, under another name.
    """
    place = temporary.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent  # the one that all of them share
    made, new, failed = (place / f"{name}{suffix}" for suffix in ("", ".new", ".failed"))
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            # Whoever comes next need not wait for another failure.
            assert not failed.exists(), f"{name} could not be made"
            failed.touch()
            make(new)
            new.rename(made)
    return made


def cache() -> Path:
    """Return the directory for trees, which is closed to others: the trees have setuid programs."""
    told = os.environ.get("DROPIN_CACHE_ROOTS")
    if not told:
        pytest.skip("DROPIN_CACHE_ROOTS does not name a directory for systems, as nox does")
    Path(told).mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(told)


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


SLOW = """
import ctypes, os, time
if not os.path.exists("/usr/share/go"):
    ctypes.CDLL(None).prctl(15, b"slow", 0, 0, 0)  # PR_SET_NAME: it can write nothing
    time.sleep(600)
"""
"""The beginning of a drop-in whose import takes long, and says so by the name of its process."""


class Root:
    """A running system. Close it when it is not needed any more.

    Attributes:
        path: Where its files are, as this process sees them.
    """

    def __init__(self, base: Base | Prepared, changes: Path | None = None) -> None:
        """Start it.

        Args:
            base: What it is made of.
            changes: A directory for what is changed in it, if that is to be kept.
        """
        lower = ":".join(map(str, base.layers()))
        self._place = tempfile.mkdtemp(prefix="dropin-cache-test-")
        unshare = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child"]
        self._holder = subprocess.Popen(
            [*unshare, "sh", "-c", _HOLDER, "sh", lower, self._place, str(changes or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": PATH},
        )
        try:
            assert self._holder.stdout is not None
            if self._holder.stdout.readline() != "ready\n":
                missing("the right to make a system of its own (CAP_SYS_ADMIN)")
            pid = self._holder.pid
            self._init = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
        except BaseException:
            self.close()
            raise
        self.path = Path(f"/proc/{self._init}/root")

    def close(self) -> None:
        """End all of its processes; its files go with them."""
        for stream in (self._holder.stdin, self._holder.stdout):
            assert stream is not None
            stream.close()
        self._holder.wait(30)
        os.rmdir(self._place)

    def start(self, *command: str, user: int | None = None, **options: Any) -> Any:
        """Start a command in it and return the process.

        Args:
            command: The command.
            user: Who runs it, by number, if not root.
            options: `env` for further environment variables, and what `subprocess.Popen` takes.
        """
        enter = ["nsenter", f"--target={self._init}", "--mount", "--pid", "--net", "--root", "--wd"]
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        environment = {
            "PATH": PATH,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            **options.pop("env", {}),
        }
        for stream in ("stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([*enter, *become, *command], env=environment, text=True, **options)

    def run(
        self, *command: str, status: int | None = 0, timeout: float = 300, **options: Any
    ) -> Done:
        """Run a command in it.

        Args:
            command: The command.
            status: What it has to end with; None if that does not matter.
            timeout: Seconds that it may take.
            options: As for `start`.
        """
        process = self.start(*command, **options)
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
        done = Done(process.returncode, out or "", err or "")
        assert status in {None, done.status}, f"{command}: {done.out[-2000:]}{done.err[-2000:]}"
        return done

    def commands(self) -> list[str]:
        """List the command lines of its processes, each behind the process's own name."""
        lines = []
        for entry in (self.path / "proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):  # it has ended
                    name = (entry / "comm").read_text().strip()
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    lines.append(f"{name}: {line}")
        return lines

    def interrupt(self, number: int, *command: str) -> None:
        """Run a command, end it and its group when `SLOW` is imported, and wait for what is left.

        Args:
            number: The signal to end it with.
            command: The command.
        """
        process = self.start(*command, start_new_session=True)
        try:
            self._wait_until(lambda: any(line.startswith("slow: ") for line in self.commands()))
            os.killpg(process.pid, number)
        finally:
            process.communicate(timeout=60)
        self._wait_until(lambda: not any("dropin" in line for line in self.commands()))
        self.write("/usr/share/go", "")

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def write(self, name: str, text: str | bytes, mode: int = 0o644) -> None:
        """Write a file in it, and the directories above it."""
        file = self.path / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        file.chmod(mode)

    def read(self, name: str) -> str:
        """Return the content of a file in it."""
        return (self.path / name.lstrip("/")).read_text(encoding="utf-8")

    def exists(self, name: str) -> bool:
        """Tell whether there is such a file or directory in it, links not followed."""
        return os.path.lexists(self.path / name.lstrip("/"))

    def copy(self, source: Path, name: str) -> None:
        """Copy a file or a directory of this system into it."""
        target = self.path / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy(source, target)
