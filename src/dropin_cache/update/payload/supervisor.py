"""The supervisor of a confined child: nothing that the child has started or made outlives it.

It is handed to an interpreter as source, for the tier of the sandbox that has no process
namespace. It has the rights of the update, and none of what a drop-in does reaches it but signals
of the same user, where the kernel lets them pass.

Protocol
    Arguments: the number of a descriptor, the lifeline; one line of JSON, {"home": PATH,
    "as_user": [ARGUMENT...]}; then a program and its arguments. The supervisor makes the home,
    which only the program's user can enter. The program is started in a session of its own and
    inherits everything. The supervisor waits until the program ends, until the other end of the
    lifeline closes, or until SIGTERM comes.

    Then it kills the program and all descendants of it that are left, removes the home with all
    that it holds, and ends as the program did: with the same exit status or the same signal. Exit
    status 127, and a line on descriptor 2, if the program could not be started. That there can be
    no home is no reason not to start it.

    What is done in the home is done by commands that begin with "as_user": root need not be able to
    give files away, nor to remove what is another's; a hardened unit takes that from it.

    It is a child subreaper, prctl(2): a descendant whose parent is gone becomes its child, so none
    can hide by forking twice or in a session of its own. When it has no child left, none is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
# Not shutil.rmtree: the depth of what was made in there is no matter for rm(1).
_MAKE = ("/bin/mkdir", "-m", "0700", "--")
_OPEN = ("/bin/chmod", "-R", "u+rwx", "--")
_REMOVE = ("/bin/rm", "-rf", "--one-file-system", "--")
_PAUSE = 0.002  # seconds between looks at what is being killed


def supervise(lifeline: int, home: str, as_user: list[str], program: list[str]) -> NoReturn:
    """Run a program, end with it, and leave nothing of it."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Blocked, not handled: it is waited for together with everything else.
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    # Whoever started the update may have blocked or ignored anything.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    signal.set_wakeup_fd(wakes)
    _run([*as_user, *_MAKE, home])
    child = os.fork()
    if child == 0:
        _become(program)
    # The pipes of the child must end with the child, not with its supervisor.
    _close_all_but(lifeline, woken, wakes)
    _wait(lifeline, woken, child)
    status = _end_all(child)
    # What cannot be listed by its owner keeps rm from removing what is in it.
    if not _run([*as_user, *_REMOVE, home]):
        _run([*as_user, *_OPEN, home])
        _run([*as_user, *_REMOVE, home])
    _end_as(status)


def _wait(lifeline: int, woken: int, child: int) -> None:
    """Wait until the child ends, until it is to be ended, or until nobody wants it any more."""
    events = select.poll()  # without a pidfd, which containers may deny
    for descriptor in (lifeline, woken):
        events.register(descriptor, select.POLLIN)
    wanted = True
    while wanted and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        ready = [descriptor for descriptor, _ in events.poll()]
        wanted = lifeline not in ready and signal.SIGTERM not in os.read(woken, 4096)


def _run(command: list[str]) -> bool:
    """Run a command and tell whether it has done what it should."""
    with contextlib.suppress(OSError):  # no process to be had
        return os.spawnve(os.P_WAIT, command[0], command, {}) == 0  # noqa: S606 - absolute paths
    return False


def _become(program: list[str]) -> NoReturn:
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        # Where memory runs out, this is to be killed first; proc_pid_oom_score_adj(5).
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
        os.execv(program[0], program)  # noqa: S606 - that is the protocol
    except OSError as error:
        os.write(2, f"cannot run {program[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _close_all_but(*kept: int) -> None:
    # Good for nothing, and there in every chroot, as the null device is not.
    nothing = os.open("/", os.O_RDONLY)
    for standard in range(3):
        os.dup2(nothing, standard)
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor not in kept:  # noqa: PLR2004 - the standard three
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _end_all(child: int) -> int:
    """Kill all descendants until there are none; return the status of the child.

    What is being killed may fork meanwhile, faster than it can be listed. It may have no further
    process, so it cannot, and each round leaves fewer.
    """
    status = 0
    while True:
        descendants = _descendants()
        for process in descendants:
            with contextlib.suppress(OSError, ValueError):
                resource.prlimit(process, resource.RLIMIT_NPROC, (0, 0))
        for process in descendants:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            reaped, result = os.waitpid(-1, os.WNOHANG)
            while reaped:
                status = result if reaped == child else status
                reaped, result = os.waitpid(-1, os.WNOHANG)
            time.sleep(_PAUSE)
            continue
        return status


def _descendants() -> list[int]:
    """Return all processes below this one."""
    parents = {}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as file:
            parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    found = {os.getpid()}
    before = 0
    while len(found) > before:
        before = len(found)
        found.update(process for process, parent in parents.items() if parent in found)
    return sorted(found - {os.getpid()})


def _end_as(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError, ValueError):  # some cannot be set
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    rules = json.loads(sys.argv[2])
    supervise(int(sys.argv[1]), rules["home"], rules["as_user"], sys.argv[3:])
