"""What the tests of root's start share: hostile environments, packaged commands, traces."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import filelock
import zope.interface

import dropin_cache
from command_line import strace

TREE = Path(__file__).resolve().parent.parent
# Where each of these is a file, a FIFO: who opens it waits for ever. Where it is a directory, one
# that holds what is looked for in such a place.
_FILES = (
    *("OPENSSL_CONF", "SSL_CERT_FILE", "SSLKEYLOGFILE", "CTLOG_FILE", "RANDFILE", "HOSTALIASES"),
    *("BASH_ENV", "ENV", "PYTHONSTARTUP", "PIP_CONFIG_FILE", "NETRC", "TERMCAP", "INPUTRC"),
    *("MALLOC_TRACE", "POSIXLY_CORRECT", "LIBMOUNT_FSTAB", "KRB5_CONFIG", "DPKG_FRONTEND_LOCKED"),
)
_DIRECTORIES = (
    *("OPENSSL_MODULES", "OPENSSL_ENGINES", "SSL_CERT_DIR", "GETCONF_DIR", "TERMINFO"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX", "PYTHONPLATLIBDIR"),
    *("HOME", "TMPDIR", "TEMP", "TMP", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_STATE_HOME"),
    *("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "VIRTUAL_ENV", "CONDA_PREFIX"),
    *("DPKG_ROOT", "DPKG_ADMINDIR", "DPKG_DATADIR", "RPM_CONFIGDIR", "RPM_ETCCONFIGDIR", "PATH"),
    *("UV_PROJECT_ENVIRONMENT", "PYENV_ROOT", "SYSTEMD_SYSROOT", "NIX_PROFILES", "GUIX_LOCPATH"),
)
_OPEN = re.compile(
    r"(?P<call>open|openat|openat2|execve|execveat)\("
    r"(?:(?:AT_FDCWD|\d+)(?:<(?P<below>[^>]*)>)?, )?"
    r'"(?P<path>(?:[^"\\]|\\.)*)"(?P<rest>.*)'
)


_SOCKET = re.compile(r'sun_path="([^"]*)"')
# In another process namespace it has two numbers, and a log is called by the second.
_CHILD = re.compile(r" = (?:\d+ /\* )?(\d+)")


class Opened(NamedTuple):
    """Something that a process of root's has opened or executed, or has tried to.

    Attributes:
        call: The system call.
        path: The path.
        rest: Further arguments and the result, as strace(1) prints them.
    """

    call: str
    path: str
    rest: str


def environment(directory: Path) -> dict[str, str]:
    """Fill a directory, and return an environment that names what is in it.

    Not among it is what the interpreter itself heeds, in spite of -I: see tests/test_caller.py.
    """
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    for name in ("sitecustomize", "usercustomize", "os", "hashlib", "argparse", "dropin_cache"):
        os.mkfifo(directory / f"{name}.py")
    for name in ("python3", "dpkg-query", "rpm", "bwrap", "setpriv", "unshare", "env", "sh"):
        (directory / name).write_text("#!/bin/sh\nexit 99\n")
        (directory / name).chmod(0o755)
    for name in (".rpmmacros", ".netrc", "dropin-cache", "openssl.cnf", "pyvenv.cfg"):
        os.mkfifo(directory / name)
    found = {name: str(fifo) for name in _FILES}
    found |= {name: str(directory) for name in _DIRECTORIES}
    found |= {
        "LANGUAGE": f"../../..{directory}",
        "NLSPATH": f"{directory}/%N",
        "GLIBC_TUNABLES": "glibc.malloc.check=3:glibc.malloc.perturb=1",
        "MALLOC_ARENA_MAX": "x",
        "PYTHONINSPECT": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONBREAKPOINT": "os.abort",
        "PYTHONMALLOC": "debug",
        "PYTHONHASHSEED": "x",
        "PYTHONIOENCODING": "nosuch",
        "SHELLOPTS": "xtrace",
        "PS4": f"$(cat {fifo})",
        "IFS": "/",
        "COLUMNS": "x",
        "SOURCE_DATE_EPOCH": "1700000000",
        # What measures the tests starts before us, and with all of the above.
        "COVERAGE_PROCESS_START": "",
        "COVERAGE_PROCESS_CONFIG": "",
    }
    return found


def packaged(directory: Path) -> Path:
    """Make the command as a distribution's package has it; return its path."""
    sites = [Path(dropin_cache.__file__).parents[1], Path(zope.interface.__file__).parents[2]]
    sites.append(Path(filelock.__file__).parents[1])
    text = (TREE / "hooks" / "bin" / "dropin-cache").read_text(encoding="utf-8")
    text = text.replace("/usr/bin/python3", sys.executable, 1)
    path = directory / "dropin-cache"
    path.write_text(text.replace("@SITE@", ":".join(map(str, sites))), encoding="utf-8")
    path.chmod(0o755)
    return path


def traced(log: Path, variables: dict[str, str]) -> list[str]:
    """Return the start of a command line that is traced, with variables for what it runs alone."""
    start = strace(
        "-ff",
        "--decode-pids=pidns",
        "-y",
        "-s",
        "4096",
        "-e",
        "signal=none",
        "-o",
        str(log / "trace"),
    )
    start += ["-e", "trace=%process,open,openat,openat2,connect,setuid,setresuid"]
    return [*start, *(part for each in variables.items() for part in ("-E", "=".join(each)))]


def opened_by_root(log: Path) -> Iterator[Opened]:
    """Yield what root has opened, tried to open, executed or connected to, of what was traced."""
    traces = {int(path.suffix[1:]): path for path in log.iterdir()}
    seen: set[int] = set()

    def of(process: int, *, root: bool) -> Iterator[Opened]:
        seen.add(process)
        for line in traces[process].read_text(errors="replace").splitlines():
            call, _, rest = line.partition("(")
            if call in {"setuid", "setresuid"} and rest.endswith("= 0") and rest[0] != "0":
                root = False
            if call in {"clone", "clone3", "fork", "vfork"}:
                child = _CHILD.search(rest)
                if child and int(child[1]) in traces and int(child[1]) not in seen:
                    yield from of(int(child[1]), root=root)
            elif root and (match := _OPEN.match(line)):
                below = match["below"] or ""
                path = match["path"].encode().decode("unicode_escape")
                yield Opened(match["call"], os.path.join(below, path), match["rest"])
            elif root and call == "connect":
                yield Opened(call, (_SOCKET.search(rest) or [rest, rest])[1], rest)

    while missing := sorted(traces.keys() - seen):  # the first is that of the command
        yield from of(missing[0], root=True)
