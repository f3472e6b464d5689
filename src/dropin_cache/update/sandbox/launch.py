"""How a child is started, and what the tiers of the sandbox have in common."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import marshal
import os
import pwd
import resource
import stat
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Protocol

from dropin_cache.errors import DirectoryError, InterpreterError, UnreadableError
from dropin_cache.update.sandbox.limits import Limits

if TYPE_CHECKING:
    from dropin_cache.update.sandbox.visible import View

SETPRIV = "/usr/bin/setpriv"
PRLIMIT = "/usr/bin/prlimit"

# Arguments that stand for the number of a descriptor, which is known when the child starts.
FILTER = "<descriptor of the filter of system calls>"
LIFELINE = "<descriptor of the lifeline>"
USER_NAMESPACE = "<descriptor of a user namespace of its own>"
PROCESS_NAMESPACE = "<descriptor of the process namespace that belongs to it>"

_MAX_SIGNALS = 128
_CAP_SETPCAP = 8

# The child needs no terminal, no home and no PATH; LC_ALL keeps its messages ASCII.
# By default each of its threads sets 128 MiB of the limited address space aside: mallopt(3).
SCRUBBED = {"LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "PATH": "/usr/bin:/bin"}


class Launch(NamedTuple):
    """What to start.

    Attributes:
        arguments: The command line, without what the child itself is given; it may contain
            `FILTER`, `LIFELINE`, `USER_NAMESPACE` and `PROCESS_NAMESPACE`.
        environment: The environment, whole.
        directory: The working directory; None for that of this process.
        tier: The sandbox that this makes; it decides how the child is ended.
        filter: What is to be read from `FILTER`.
        users: Who is in `USER_NAMESPACE`, by pairs of the numbers in there and outside.
        writable: Where the child may write.
    """

    arguments: list[str]
    environment: dict[str, str]
    directory: str | None
    tier: str = "none"
    filter: bytes = b""
    users: tuple[tuple[int, int], ...] = ()
    writable: tuple[str, ...] = ()


class Sandbox(Protocol):
    """A way to start children."""

    @property
    def tier(self) -> str:
        """Name of the tier."""

    @property
    def user(self) -> int | None:
        """Who the child has to be; None if it keeps the user of this process."""

    @property
    def apart(self) -> bool:
        """Whether several children may run at once without being in each other's way."""

    def lacks(self) -> str | None:
        """Look for what it needs; return why it cannot be used here, or None."""

    def works(self) -> str | None:
        """Try it, too; return why it cannot be used here, or None."""

    def launch(self, python: str, view: Optional[View] = None) -> Launch:  # noqa: UP045
        """Say how to start an interpreter that can read no more than a view.

        Args:
            python: Its path.
            view: What it can read; without, what any interpreter needs.
        """


class Source(NamedTuple):
    """One of our modules, for another interpreter.

    Attributes:
        name: The module's dotted name.
        file: Where it is.
        text: The source.
        code: The same compiled, for interpreters of this version.
    """

    name: str
    file: str
    text: str
    code: bytes


@functools.cache  # what is upgraded meanwhile may not fit this process
def source_of(name: str) -> Source:
    """Return the source of one of our modules, also from an archive, without importing it; PEP 302.

    Args:
        name: Its dotted name.

    Raises:
        UnreadableError: The system fails to read it.
    """
    spec: Any = find_spec(name)
    try:
        code = marshal.dumps(spec.loader.get_code(name))
        text = spec.loader.get_data(spec.origin).decode()
        return Source(name, spec.origin, text, code)
    except ImportError as error:  # what importlib makes of every failure
        if isinstance(cause := error.__cause__, OSError):
            raise UnreadableError(spec.origin, cause.errno or errno.EIO) from cause
        raise


class Account(NamedTuple):
    """The user that a child of a privileged process becomes."""

    name: str
    uid: int
    gid: int


def readable(content: bytes) -> int:
    """Return a descriptor, to be closed by the caller, from which something can be read.

    It is above those of a terminal also where these are closed, or it would become one of them.

    Args:
        content: Not more than any pipe takes, pipe(7).
    """
    # Not a memfd: containers may deny that.
    low, end = os.pipe()
    try:
        os.write(end, content)
        return fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(low)
        os.close(end)


def child_account() -> Account:
    """Return the user of our own, or nobody where it has not been created."""
    for name in ("_dropin-cache", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(name, entry.pw_uid, entry.pw_gid)
    return Account("nobody", 65534, 65534)  # the overflow user, proc_sys_fs(5)


def without_privilege(account: Account) -> list[str]:
    """Return the start of a command line that gives up root for good, setpriv(1)."""
    return [
        SETPRIV,
        f"--reuid={account.uid}",
        f"--regid={account.gid}",
        "--clear-groups",
        "--no-new-privs",
        # Good for nothing without new privileges; services often lack what it takes to empty it.
        *(["--bounding-set=-all"] if _may_give_up_capabilities() else []),
        "--inh-caps=-all",
        "--ambient-caps=-all",
        "--",
    ]


def within(limits: Limits, uid: int, *, apart: bool) -> list[str]:
    """Return the start of a command line that sets limits, prlimit(1).

    The limit of processes is one for all threads of a user, setrlimit(2). Where others are not
    counted apart, those that run now are added. Too much processor time first brings a signal,
    which tells the reason; a second later comes one that cannot be ignored.

    Args:
        limits: What the child may use.
        uid: The number of its user.
        apart: Whether its processes are counted by themselves.
    """
    processes = limits.processes + (0 if apart else _threads(uid))
    wanted = {
        "core": (resource.RLIMIT_CORE, 0, 0),
        "cpu": (resource.RLIMIT_CPU, limits.cpu, limits.cpu + 1),
        "as": (resource.RLIMIT_AS, limits.memory, limits.memory),
        "nproc": (resource.RLIMIT_NPROC, processes, processes),
        "nofile": (resource.RLIMIT_NOFILE, limits.descriptors, limits.descriptors),
        "fsize": (resource.RLIMIT_FSIZE, limits.file_size, limits.file_size),
        # Timers among them. The kernel counts them for each user: what one child takes, others
        # and who has started it have not.
        "sigpending": (resource.RLIMIT_SIGPENDING, _MAX_SIGNALS, _MAX_SIGNALS),
    }
    arguments = [PRLIMIT]
    for name, (number, soft, hard) in wanted.items():
        # A limit of this process that is lower stays: only some may raise it.
        most = _most(number)
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)  # noqa: PLW2901
        arguments.append(f"--{name}={soft}:{hard}")
    return [*arguments, "--"]


def unusable(tool: str, *, privileged: bool) -> str | None:
    """Say why a program cannot or must not be run; None if it can.

    A privileged process runs it as root: nobody else may be able to change what it is. Tools are
    absolute paths and never looked up in PATH, which is the caller's.
    """
    canonical = os.path.realpath(tool)
    if not os.access(canonical, os.X_OK):
        return f"{tool} is not there"
    if privileged:
        for path in (canonical, *_above(canonical)):
            status = os.lstat(path)
            if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return f"{tool} is not only root's to change, because of {path}"
    return None


def require_reachable(
    view: View, python: str, account: Account, *, on_the_way: bool, advice: str = ""
) -> None:
    """Require that a user can read what a child needs.

    Args:
        view: What that is.
        python: The interpreter, as it was given.
        account: The user.
        on_the_way: Whether the directories above count, too.
        advice: To follow what is wrong.

    Raises:
        InterpreterError: Not the interpreter.
        DirectoryError: Not one of the view's roots.
    """
    for path in view.interpreter:
        problem = obstacle(path, account, on_the_way=on_the_way)
        if problem is not None:
            raise InterpreterError(python, problem + advice)
    for given, path in view.roots:
        problem = obstacle(path, account, on_the_way=on_the_way)
        if problem is not None:
            raise DirectoryError(given, problem + advice)


def obstacle(path: str, account: Account, *, on_the_way: bool) -> str | None:
    """Say what keeps a user from reading a file or directory; None if nothing does.

    Args:
        path: Its canonical path.
        account: The user.
        on_the_way: Whether the directories above it count, too.
    """
    wanted = 0o5 if os.path.isdir(path) else 0o4
    for component in (path, *(_above(path) if on_the_way else ())):
        status = os.stat(component)
        if not _allows(status, account, wanted):
            mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
            return f"user {account.name} cannot reach it because of {component} ({mode})"
        wanted = 0o1
    return None


def _allows(status: os.stat_result, account: Account, wanted: int) -> bool:
    """Apply the rule of path_resolution(7); access control lists are not looked at."""
    if status.st_uid == account.uid:
        wanted <<= 6
    elif status.st_gid == account.gid:
        wanted <<= 3
    return status.st_mode & wanted == wanted


def _above(path: str) -> Iterator[str]:
    while path != "/":
        path = os.path.dirname(path)
        yield path


def _may_give_up_capabilities() -> bool:
    """Tell whether this process has CAP_SETPCAP, capabilities(7)."""
    with open("/proc/self/status", "rb") as file:
        fields = dict(line.partition(b":")[::2] for line in file)
    return bool(int(fields[b"CapEff"], 16) >> _CAP_SETPCAP & 1)


def _most(number: int) -> int:
    """Return the highest limit of a kind that this process can set."""
    try:
        return resource.getrlimit(number)[1]
    except OSError as error:
        reason = f"no limits can be set here (prlimit64: {error.strerror})"
        raise OSError(error.errno, reason) from error


def _threads(uid: int) -> int:
    """Count the threads of a user, as the limit of processes does."""
    count = 0
    for process in os.listdir("/proc"):
        # Other entries of /proc are no processes, and processes end.
        with contextlib.suppress(OSError), open(f"/proc/{process}/status", "rb") as file:
            fields = dict(line.partition(b":")[::2] for line in file)
            if int(fields[b"Uid"].split()[0]) == uid:
                count += int(fields[b"Threads"])
    return count
