"""What the tests of the writer share: commands, other users, mounts, and who is left alive."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conftest import NOBODY, missing
from environments import Environment, environment

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
_PATIENCE = 30.0  # seconds until a process that was killed has to be gone, on a busy machine

SANDBOX = "namespace" if os.geteuid() == 0 else "none"
"""The tier of the sandbox that the user of the tests gets, who has all that CI has."""

IN_SANDBOX = "plugin modules are imported in the sandbox namespace\n" if os.geteuid() == 0 else ""
"""What a report ends with, for that user."""


class Outcome(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


def start(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
    """Start `dropin-cache`.

    Args:
        arguments: Its command line.
        options: `python` for another interpreter, `env` for further environment variables, and
            what `subprocess.Popen` takes.
    """
    python = options.pop("python", sys.executable)
    plain = {"COLUMNS": "300", "NO_COLOR": "1", "PYTHONUNBUFFERED": ""}
    options["env"] = {**os.environ, **plain, **options.pop("env", {})}
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    command = [python, "-B", "-m", "dropin_cache", *map(str, arguments)]
    return subprocess.Popen(command, text=True, **options)


def finish(process: subprocess.Popen[str], timeout: float = 300) -> Outcome:
    """Wait for a command that has been started."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    if "--json" in process.args and process.returncode >= 0 and out:
        require_valid(json.loads(out))
    return Outcome(process.returncode, out or "", err or "")


@functools.lru_cache
def schema() -> dict[str, Any]:
    """Return the schema of what is printed as JSON, such that it allows nothing else."""
    text = files("dropin_cache").joinpath("schema.json").read_text(encoding="utf-8")

    def closed(value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "additionalProperties": False} if "properties" in value else value

    return dict(json.loads(text, object_hook=closed))


def require_valid(printed: object) -> None:
    """Fail if something is not what the schema says of what is printed as JSON."""
    import jsonschema  # noqa: PLC0415 - of the newest Python, there is none yet

    validator = jsonschema.Draft202012Validator(schema())
    assert [] == [each.message for each in validator.iter_errors(printed)]


def run(*arguments: Any, **options: Any) -> Outcome:
    """Run `dropin-cache`; see `start`."""
    return finish(start(*arguments, **options))


@contextlib.contextmanager
def no_process_left() -> Iterator[None]:
    """Fail if a process started inside, or any of its descendants, is alive at the end.

    Orphans come to this process, wherever they have gone to: it is made the subreaper.
    """
    libc = ctypes.CDLL(None)
    before = set(living_children())
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
        left = _children_after(before)
        assert not left, f"still alive: {left}"
    finally:
        for pid in set(living_children()) - before:
            os.kill(pid, signal.SIGKILL)
        _children_after(before)
        libc.prctl(_SUBREAPER, 0, 0, 0, 0)


def _children_after(before: set[int]) -> dict[int, str]:
    """Wait for new children to end; return the command lines of those that do not."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        children = living_children(zombies=True)
        new = {pid: line for pid, line in children.items() if pid not in before}
        for pid in new:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        alive = {pid: line for pid, line in living_children().items() if pid not in before}
        left = deadline - time.monotonic()
        if not alive or left < 0:
            return alive
        _wait_for_one(alive, left)


def _wait_for_one(pids: Iterable[int], seconds: float) -> None:
    """Wait until one of some children ends; others may come to this process then."""
    poll = select.poll()
    with contextlib.ExitStack() as stack:
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                return
            stack.callback(os.close, descriptor)
            poll.register(descriptor, select.POLLIN)
        poll.poll(1000 * seconds)


def living_children(*, zombies: bool = False) -> dict[int, str]:
    """Return the command lines of the children of this process, by their numbers."""
    found = {}
    pids: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the thread has ended
            pids += (task / "children").read_text().split()
    for pid in pids:
        with contextlib.suppress(OSError):
            entry = Path("/proc", pid)
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if zombies or state != "Z":
                line = (entry / "cmdline").read_bytes()
                found[int(pid)] = line.replace(b"\0", b" ").decode(errors="replace")
    return found


def opened_by_reader(path: Path) -> int:
    """Wait until somebody opens a FIFO for reading; return a descriptor to write to.

    That is how a drop-in tells that it is being imported: in a sandbox it can write nothing. It
    goes on when the descriptor is closed.
    """
    deadline = time.monotonic() + 60
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # that there is no reader
                raise
        assert time.monotonic() < deadline, f"nobody opens {path}"
        time.sleep(0.02)


def wait_for_reader(path: Path) -> None:
    """Wait until somebody opens a FIFO for reading, and let him go on."""
    os.close(opened_by_reader(path))


def wait_for(path: Path) -> None:
    """Wait until a file exists."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.02)


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Be an ordinary user for a while, if this process is root."""
    if os.geteuid() != 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def give_away(path: Path) -> Path:
    """Make a directory belong to the user that `unprivileged` becomes."""
    path.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    return path


class Account(NamedTuple):
    """An ordinary user who can run `dropin-cache`.

    Attributes:
        python: An interpreter for it.
        site: The directory that has the project and what it needs.
        options: For `run` and `start`.
    """

    python: str
    site: Path
    options: dict[str, Any]

    def run(self, *arguments: Any, env: dict[str, str] | None = None) -> Outcome:
        """Run `dropin-cache` as this user."""
        return finish(self.start(*arguments, env=env))

    def start(self, *arguments: Any, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `dropin-cache` as this user."""
        options = {**self.options, "env": {**self.options["env"], **(env or {})}}
        return start(*arguments, python=self.python, **options)


def account(directory: Path) -> Account:
    """Set up an ordinary user below a directory that everybody can reach."""
    home = give_away(directory / "home")
    site = directory / "site"
    site.mkdir()
    for name in ("zope", "filelock", "dropin_cache"):
        shutil.copytree(_top_level(name), site / name, ignore=shutil.ignore_patterns("tests"))
    information = Path(str(metadata.distribution("dropin-cache")._path))
    shutil.copytree(information, site / information.name)
    env = {"PYTHONPATH": str(site), "HOME": str(home)}
    env.update(XDG_CACHE_HOME=str(home / "cache"))
    options: dict[str, Any] = {"env": env, "cwd": home}
    if os.geteuid() == 0:
        options.update(user=NOBODY, group=NOBODY, extra_groups=[])
        # Nobody can write where the measurements of coverage go.
        env.update({name: "" for name in os.environ if name.startswith("COVERAGE")})
    for python in (sys.executable, "/usr/bin/python3"):
        program = "import sys; assert sys.version_info >= (3, 9); import dropin_cache.cli"
        try:
            done = subprocess.run(
                [python, "-B", "-c", program],
                check=False,
                capture_output=True,
                **{**options, "env": {**os.environ, **env}},
            )
        except OSError:
            continue
        if done.returncode == 0:
            return Account(python, site, options)
    pytest.skip("no interpreter that other users can run")


def _top_level(name: str) -> Path:
    module = __import__(name)
    return Path(next(iter(module.__path__)))


def bare_environment(path: Path) -> Environment:
    """Make an environment that has this library and what it needs, and no plugins at all."""
    made = environment(path)
    (made.site / "project.pth").unlink()
    ignored = shutil.ignore_patterns("tests", "dropin.cache", "__pycache__")
    for name in ("zope", "dropin_cache"):
        shutil.copytree(_top_level(name), made.site / name, ignore=ignored)
    return made


def in_mount_namespace(script: str, *arguments: Any, **options: Any) -> Outcome:
    """Run a shell script whose mounts nobody else sees and which vanish with it."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-eu", "-c"]
    try:
        probe = subprocess.run(
            [*command, "mount -t tmpfs none /mnt"], check=False, capture_output=True
        )
    except FileNotFoundError:
        missing("unshare")
    if probe.returncode != 0:
        pytest.skip("this machine does not let root mount")
    done = subprocess.run(
        [*command, script, "sh", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **options.pop("env", {})},
        **options,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def mounted_image(path: Path) -> Iterator[Path]:
    """Make the image of a system that has this one's programs, if this process may mount."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    (path / "usr").mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        if os.path.islink(f"/{name}"):
            (path / name).symlink_to(os.readlink(f"/{name}"))
    # Not the thing itself: plugin packages that this machine has are none of the tests' business.
    above = [Path(tempfile.mkdtemp(dir=path.parent)) for _ in range(2)]
    options = f"lowerdir=/usr,upperdir={above[0]},workdir={above[1]}"
    above[0].chmod(0o755)
    command = ["mount", "-t", "overlay", "-o", options, "overlay", path / "usr"]
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        pytest.skip("this machine does not let root mount")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path / "usr"], check=True)


def strace(*options: str) -> list[str]:
    """Return the start of a command line that runs under strace."""
    if shutil.which("strace") is None:
        missing("strace")
    works = subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True)
    if works.returncode != 0:
        pytest.skip("this machine does not let processes be traced")
    return ["strace", "-qq", "-f", *options]


def snapshot(directory: Path) -> dict[str, tuple[Any, ...]]:
    """Return everything below a directory: kind and mode, time, and content of files."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(directory.rglob("*")):
        if "__pycache__" not in path.parts:
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            time_ns = None if path.is_dir() else status.st_mtime_ns
            found[str(path.relative_to(directory))] = (status.st_mode, time_ns, content)
    return found
