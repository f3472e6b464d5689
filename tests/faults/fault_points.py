"""Where a run can be struck, and what is to be counted of what becomes of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tally import tally

# The errors that a call can meet with; Linux's manual pages have them, and those of network file
# systems come on top.
_OF_PATHS = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EMFILE", "ENOMEM", "EINTR", "EACCES", "ESTALE")
_OF_FILES = ("EIO", "ENOSPC", "EDQUOT", "ENOMEM", "EINTR", "ESTALE")
_OF_DESCRIPTORS = ("EMFILE", "ENFILE", "ENOMEM")
_ERRORS = {
    "open": _OF_PATHS,
    "openat": _OF_PATHS,
    "mkdir": _OF_PATHS,
    "mkdirat": _OF_PATHS,
    "rename": _OF_PATHS,
    "renameat": _OF_PATHS,
    "renameat2": _OF_PATHS,
    "rmdir": _OF_PATHS,
    "unlink": _OF_PATHS,
    "unlinkat": _OF_PATHS,
    "utimensat": _OF_PATHS,
    "fchmod": ("EIO", "EROFS", "ENOSPC", "EDQUOT", "ESTALE"),
    "ftruncate": _OF_FILES,
    "fsync": ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR", "ESTALE"),
    "read": ("EIO", "ENOMEM", "EINTR", "ESTALE"),
    "pread64": ("EIO", "ENOMEM", "EINTR", "ESTALE"),
    "write": _OF_FILES,
    "pwrite64": _OF_FILES,
    "getdents64": ("EIO", "ENOMEM", "ESTALE"),
    "newfstatat": ("EIO", "ENOMEM", "EACCES", "ESTALE"),
    "fstat": ("EIO", "ENOMEM", "ESTALE"),
    "readlink": ("EIO", "ENOMEM", "EACCES", "ESTALE"),
    "readlinkat": ("EIO", "ENOMEM", "EACCES", "ESTALE"),
    "access": ("EIO", "ENOMEM", "ESTALE"),
    "faccessat2": ("EIO", "EROFS", "ENOMEM", "EACCES", "ESTALE"),
    "flock": ("EIO", "EINTR", "ENOLCK", "ENOMEM"),
    "close": ("EIO", "ENOSPC", "EDQUOT", "EINTR"),
    "pipe2": _OF_DESCRIPTORS,
    "fcntl": _OF_DESCRIPTORS,
    "epoll_create1": _OF_DESCRIPTORS,
    "memfd_create": _OF_DESCRIPTORS,
    "pidfd_open": _OF_DESCRIPTORS,
    "vfork": ("EAGAIN", "ENOMEM"),
}

# What must not happen, in the words of the table that is printed.
TORN, ABSENT, WRONG = "torn_caches", "absent_caches", "wrong_contents"
LITTER, LEFT, NEXT = "litter", "processes_left", "next_runs_that_fail"
LEDGER, TRACEBACK, SILENT = "damaged_ledgers", "tracebacks", "failures_not_told"
STATUS, ANSWER = "wrong_exit_statuses", "wrong_answers"

# Calls that change a file, a directory or a lock; a pipe is none of these.
_CHANGES = re.compile(
    r"(write|pwrite64|fsync|fdatasync|rename|renameat2?|unlink|unlinkat|rmdir|mkdir|mkdirat|fchmod"
    r"|fchmodat|utimensat|ftruncate|flock)\((?!\d+<(pipe|anon))"
    r"|open(at)?\(.*O_CREAT"
)


class Problem(NamedTuple):
    """Something that must not happen, and where it did."""

    kind: str
    text: str


class Ended(NamedTuple):
    """How a run ended.

    Attributes:
        status: As `subprocess` has it.
        out: What it printed.
        err: What it complained about.
        left: Command lines of processes that it left running.
        log: What strace saw.
    """

    status: int
    out: str
    err: str
    left: list[str]
    log: list[str]

    @property
    def injected(self) -> str:
        """The call that strace made fail, if it came to that."""
        return next((line for line in self.log if "(INJECTED" in line), "")


def left(ended: Ended) -> list[Problem]:
    """List the processes that a run has left running."""
    return [Problem(LEFT, line) for line in ended.left]


class Point(NamedTuple):
    """A system call of a run.

    Attributes:
        name: Its name.
        number: Which it is of those of that name, from 1; that is how strace counts.
        changes: Whether it changes anything.
        line: What strace saw in a run in which nothing was injected.
    """

    name: str
    number: int
    changes: bool
    line: str

    @property
    def errors(self) -> tuple[str, ...]:
        """The errors it can meet with; none if it has nothing to do with files."""
        if re.match(r"newfstatat\(\d+<.*AT_EMPTY_PATH|getdents64\(\d+</proc", self.line):
            return ("EIO", "ENOMEM", "ESTALE")  # as fstat(2)
        if re.match(r"(close|read)\(\d+<pipe:", self.line):
            return ()  # no disk is behind it
        return _ERRORS.get(self.name, ())

    def kill(self) -> list[str]:
        """Return the options with which strace ends the process in the place of the call."""
        when = f"when={self.number}"
        return ["-e", f"trace={self.name}", "-e", f"inject={self.name}:signal=KILL:{when}"]

    def fail(self, error: str) -> list[str]:
        """Return the options with which strace has the call fail."""
        when = f"when={self.number}"
        return ["-e", f"trace={self.name}", "-e", f"inject={self.name}:error={error}:{when}"]


def points(log: Iterable[str]) -> list[Point]:
    """List the system calls that strace saw."""
    seen: Counter[str] = Counter()
    found = []
    for line in log:
        name = re.match(r"(\w+)\(", line)
        if name is not None and name[1] != "exit_group":
            seen[name[1]] += 1
            changes = _CHANGES.match(line) is not None
            found.append(Point(name[1], seen[name[1]], changes, line))
    return found


def sample(found: Sequence[Point], step: int, shard: int = 0, shards: int = 1) -> Iterator[Point]:
    """Yield all calls that change something and each `step`-th of the others; of these, a share."""
    others = 0
    chosen = []
    for point in found:
        others += not point.changes
        if point.changes or others % step == 0:
            chosen.append(point)
    yield from chosen[shard::shards]


class Count:
    """Counts for the table, and what went wrong."""

    def __init__(self, harness: str, *kinds: str) -> None:
        """Start with nothing.

        Args:
            harness: For `tally`.
            kinds: What must not happen.
        """
        self._harness = harness
        self._kinds = kinds
        self.done: Counter[str] = Counter()
        self.problems: list[Problem] = []

    def __enter__(self) -> Count:  # noqa: PYI034 - there is one class
        """Return the counter itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hand the counts on."""
        wrong = Counter(problem.kind for problem in self.problems)
        tally(self._harness, **self.done, **{kind: wrong[kind] for kind in self._kinds})

    @property
    def told(self) -> str:
        """What went wrong, a line for each."""
        return "\n".join(f"{kind}: {text}" for kind, text in self.problems)

    def add(self, where: str, problems: Iterable[Problem]) -> None:
        """Count what is wrong with a run."""
        self.problems += [Problem(kind, f"{where}: {text}") for kind, text in problems]
