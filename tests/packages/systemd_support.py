"""Systems that systemd has booted, with the project as a package would install it, and pip."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from conftest import missing
from roots import MINOR, PATH, Base, Prepared, Root

TREE = Path(__file__).resolve().parents[2]
DIST = "/usr/lib/python3/dist-packages"
LOCAL = f"/usr/local/lib/python3.{MINOR}/dist-packages"
UNITS = TREE / "hooks" / "systemd"

BASE = Base(
    "debian-systemd",
    (
        *("bubblewrap", "dbus", "man-db", "systemd", "systemd-sysv"),
        *("python3", "python3-filelock", "python3-pip", "python3-twisted", "python3-venv"),
    ),
)

_IDLE = 1.0  # seconds
_DEPTH = 3  # namespaces of processes: ours, the holder's, its own

# Debian 12's systemd-nspawn has a filter of system calls that does not know these.
LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"

# systemd-nspawn is not the first process here but a child of that, and so ends with it, whatever
# happens.
_HOLDER = r"""
set -eu
lower=$1 place=$2 calls=$3
shift 3
for group; do echo $$ >"$group/cgroup.procs"; done
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=0755 tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
cd "$place"
mount -t overlay -o "lowerdir=$lower,upperdir=upper,workdir=work" overlay root
systemd-nspawn --quiet --directory="$place/root" --boot --register=no --keep-unit \
    --private-network --console=pipe --machine="$(basename "$place" | tr -d _)" \
    --system-call-filter="$calls" \
    </dev/null >"$place/console" 2>&1 &
read -r _ || :
kill -TERM $! || :
wait $! || :
"""


def install(root: Root) -> None:
    """Install the project in a system, as a distribution's package would."""
    root.copy(TREE / "src" / "dropin_cache", f"{DIST}/dropin_cache")
    for name, directory in (("dropin-cache", "bin"), ("update-dropin-cache", "sbin")):
        text = (TREE / "hooks" / "bin" / name).read_text(encoding="utf-8")
        root.write(f"/usr/{directory}/{name}", text.replace("@SITE@", DIST), 0o755)
    users = (TREE / "hooks" / "sysusers.d" / "dropin-cache.conf").read_text(encoding="utf-8")
    root.write("/usr/lib/sysusers.d/dropin-cache.conf", users)
    root.run("systemd-sysusers", "dropin-cache.conf")
    for page in (TREE / "hooks" / "man").iterdir():
        root.copy(page, f"/usr/share/man/man{page.suffix[1:]}/{page.name}")
    for unit in UNITS.iterdir():
        command = [str(TREE / "hooks" / "each-version"), str(MINOR), str(MINOR + 2)]
        text = subprocess.run(command, check=True, input=unit.read_bytes(), capture_output=True)
        root.write(f"/usr/lib/systemd/system/{unit.name}", text.stdout.decode())


class Booted(Root):
    """A system that systemd runs. Its units can be started, and so can commands.

    Attributes:
        first: The number, here, of its first process.
    """

    def __init__(
        self, base: Base | Prepared, calls: str = LANDLOCK, *, unified: bool = False
    ) -> None:
        """Boot it.

        Args:
            base: What it is made of.
            calls: System calls that it may make besides the usual ones; with "~" in front, that it
                may not make.
            unified: Whether it has control groups of the second version only, as newer releases of
                systemd want it, whatever this machine has.
        """
        for program in ("systemd-nspawn", "unshare"):
            if shutil.which(program) is None:
                missing(program)
        lower = ":".join(map(str, base.layers()))
        self._place = tempfile.mkdtemp(prefix="dropin-cache-test-")
        self._groups = _new_groups(os.path.basename(self._place))
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        self._holder = subprocess.Popen(
            [*unshare, "sh", "-c", _HOLDER, "sh", lower, self._place, calls, *self._groups],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": PATH, **({"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"} if unified else {})},
        )
        try:
            self.first = self._init = self._first_process()
            self.path = Path(f"/proc/{self._init}/root")
            self._wait_until_up()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all of its processes; its files go with them."""
        super().close()
        for group in self._groups:
            for directory, _, _ in os.walk(group, topdown=False):
                os.rmdir(directory)

    def journal(self, unit: str) -> str:
        """Return what a unit has said."""
        return self.run("journalctl", "--output=cat", f"--unit={unit}").out

    def property(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).out.strip()

    def wait_until_idle(self, service: str, runs: int = 0) -> None:
        """Wait until a service has been started more often, and has been idle for a while.

        It is idle, too, between two changes that it is started for.
        """
        deadline = time.monotonic() + 120
        since, seen = time.monotonic(), runs
        while time.monotonic() - since < _IDLE:
            if time.monotonic() > deadline:
                raise AssertionError(self.run("systemctl", "status", service, status=None).out)
            time.sleep(0.1)
            now = self.runs(service)
            if now <= runs or now != seen or self.property(service, "ActiveState") == "activating":
                since, seen = time.monotonic(), now

    def runs(self, service: str) -> int:
        """Return how often a service has been started."""
        return self.journal(service).count(f"Starting {service}")

    def _first_process(self) -> int:
        """Find the first process of what systemd-nspawn boots: the one with the number 1 inside."""
        deadline = time.monotonic() + 60
        while self._holder.poll() is None and time.monotonic() < deadline:
            for pid in _descendants(self._holder.pid):
                with contextlib.suppress(OSError):
                    # proc(5): the number in each namespace, the innermost last.
                    status = Path(f"/proc/{pid}/status").read_text()
                    (line,) = (each for each in status.splitlines() if each.startswith("NSpid:"))
                    command = Path(f"/proc/{pid}/cmdline").read_bytes()
                    innermost, depth = line.split()[-1], len(line.split()) - 1
                    if innermost == "1" and depth == _DEPTH and b"nspawn" not in command:
                        return pid
            time.sleep(0.02)
        return missing("the right to boot a system (CAP_SYS_ADMIN, a cgroup to write)")

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            done = self.run("systemctl", "is-system-running", status=None)
            if done.out.strip() in {"running", "degraded"}:
                return
            time.sleep(0.1)
        missing("a system that boots here")


def _new_groups(name: str) -> list[Path]:
    """Make control groups for a system to boot in, two systems cannot share one."""
    groups = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        hierarchy = {"name=systemd": "systemd", "": "unified"}.get(controllers)
        if hierarchy is not None:
            place = Path("/sys/fs/cgroup", hierarchy)
            group = (place if place.exists() else place.parent) / path.lstrip("/") / name
            try:
                group.mkdir()
            except OSError:
                missing("a control group that can be written")
            groups.append(group)
    return groups


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _descendants(int(child))
