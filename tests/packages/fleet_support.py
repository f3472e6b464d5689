"""Hosts that systemd has booted, on a network of their own, and Ansible, which uses ssh."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import rpm_support
from conftest import missing
from roots import PATH, Base, Done, Prepared, Root, prepared
from systemd_support import Booted

TREE = Path(__file__).resolve().parents[2]
COLLECTION = TREE / "hooks" / "ansible"
SUITES = ("bookworm", "trixie", "sid")
NETWORK = "192.0.2"  # for documentation, RFC 5737, so nobody has it

_HOST = (
    *("bubblewrap", "dbus", "openssh-server", "python3", "python3-apt", "python3-filelock"),
    *("python3-twisted", "systemd", "systemd-sysv"),
)
RPM = Base(
    "fleet-rpm",
    (
        *(name for name in rpm_support.BASE.installed if "standalone" not in name),
        *("dbus", "openssh-server", "systemd", "systemd-sysv"),
    ),
    (),
    "bookworm",
)

_SWITCH = """
set -eu
ip link set lo up
ip link add br0 type bridge
ip address add "$1.1/24" dev br0
ip link set br0 up
echo ready
cat
"""
_RECAP = re.compile(r"(?m)^(\S+)\s+: ((?:\w+=\d+\s*)+)$")


def debian(suite: str) -> Base:
    """Return what a host with a suite of Debian is made of."""
    return Base(f"fleet-{suite}", _HOST, ("python3-daphne", "python3-twisted"), suite)


def with_rpm(temporary: pytest.TempPathFactory) -> Prepared:
    """Return what a host is made of whose packages are RPMs; ours are in its repository."""
    wanted = rpm_support.SOFTWARE
    software = [name for name in wanted if name not in rpm_support.OURS and "daphne" not in name]

    def change(root: Root) -> None:
        rpm_support.rpm(root, "--install", *rpm_support.paths(root, *software))
        root.write("/etc/yum.repos.d/tests.repo", root.read("/srv/dnf/tests.repo"))
        root.write("/etc/dnf/vars/releasever", "1\n")

    below = rpm_support.distribution(temporary, "fleet-rpm-distribution", RPM)
    return prepared(temporary, "fleet-rpm-software", below, change)


class Run(NamedTuple):
    """How a run of Ansible ended.

    Attributes:
        done: Its exit status, and what it printed.
        recap: For each host how many tasks were ok, changed, failed and so on.
    """

    done: Done
    recap: dict[str, dict[str, int]]

    def count(self, what: str) -> dict[str, int]:
        """Return one number of each host."""
        return {host: numbers[what] for host, numbers in sorted(self.recap.items())}


class Control:
    """Where Ansible runs.

    Attributes:
        place: Its directory, with the inventory, plays and a home of its own.
    """

    def __init__(self, bin_directory: Path, place: Path, enter: list[str]) -> None:
        """Install the collection as its users do.

        Args:
            bin_directory: Where the commands of Ansible are.
            place: A directory for it.
            enter: A command in front of each, which enters the network.
        """
        self._bin = bin_directory
        self._enter = enter
        self.place = place
        (place / "home").mkdir()
        source = place / "source"  # beside what it builds, nothing is made in the tree
        shutil.copytree(COLLECTION, source)
        self.run("ansible-galaxy", "collection", "build", str(source), "--output-path", "dist")
        (archive,) = (place / "dist").glob("*.tar.gz")
        self.run("ansible-galaxy", "collection", "install", str(archive), "-p", "collections")

    def run(self, program: str, *arguments: str, status: int | None = 0) -> Done:
        """Run a command of Ansible's.

        Args:
            program: Its name.
            arguments: Its arguments.
            status: What it has to end with; None if that does not matter.
        """
        environment = {
            "PATH": f"{self._bin}:{PATH}",
            "HOME": str(self.place / "home"),
            "LANG": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(self.place / "collections"),
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_NOCOLOR": "True",
            "ANSIBLE_SSH_ARGS": "-F none -o ControlMaster=no -o LogLevel=ERROR"
            f" -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 -i {self.place}/key",
        }
        done = subprocess.run(
            [*self._enter, str(self._bin / program), *arguments],
            cwd=self.place,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        assert status in {None, done.returncode}, done.stdout[-6000:] + done.stderr[-2000:]
        return Done(done.returncode, done.stdout, done.stderr)

    def play(self, text: str, *options: str, status: int | None = 0) -> Run:
        """Run a playbook on the hosts of the inventory.

        Args:
            text: The playbook.
            options: Options of ansible-playbook.
            status: What it has to end with; None if that does not matter.
        """
        (self.place / "play.yml").write_text(text, encoding="utf-8")
        arguments = ("-i", "inventory.yml", "play.yml", *options)
        done = self.run("ansible-playbook", *arguments, status=status)
        recap = {
            host: {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", numbers)}
            for host, numbers in _RECAP.findall(done.out)
        }
        return Run(done, recap)


class Fleet(NamedTuple):
    """Hosts by name, and where Ansible runs."""

    hosts: dict[str, Booted]
    control: Control


@contextmanager
def fleet(bases: dict[str, Base | Prepared], bin_directory: Path, place: Path) -> Iterator[Fleet]:
    """Boot hosts, connect them, and end them.

    Args:
        bases: What each host is made of.
        bin_directory: Where the commands of Ansible are.
        place: A directory for what Ansible needs.
    """
    for program in ("ip", "ssh", "ssh-keygen"):
        if shutil.which(program, path=PATH) is None:
            missing(program)
    key = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / "key"))
    subprocess.run(key, check=True)
    with ExitStack() as stack:
        switch = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", _SWITCH, "sh", NETWORK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": PATH},
        )
        stack.callback(switch.communicate)
        assert switch.stdout is not None
        if switch.stdout.readline() != "ready\n":
            missing("a network of its own (CAP_NET_ADMIN, bridges)")
        hosts = {}
        for number, (name, base) in enumerate(bases.items(), 2):
            host = hosts[name] = stack.enter_context(closing(Booted(base, unified=True)))
            _connect(switch.pid, host, number)
            host.write("/root/.ssh/authorized_keys", (place / "key.pub").read_bytes(), 0o600)
            host.run("systemctl", "start", "ssh")
        enter = ["nsenter", f"--target={switch.pid}", "--net", "--"]
        yield Fleet(hosts, Control(bin_directory, place, enter))


def address(number: int) -> str:
    """Return the address of a host: the first one is number 2."""
    return f"{NETWORK}.{number}"


def _connect(switch: int, host: Booted, number: int) -> None:
    inside = ["nsenter", f"--target={host.first}", "--net", "--", "ip"]
    port = ["nsenter", f"--target={switch}", "--net", "--", "ip"]
    ends = ("netns", str(switch), "type", "veth", "peer", "name", "host0", "netns", str(host.first))
    for command in (
        ["ip", "link", "add", "name", f"port{number}", *ends],
        [*port, "link", "set", f"port{number}", "master", "br0", "up"],
        [*inside, "address", "add", f"{address(number)}/24", "dev", "host0"],
        [*inside, "link", "set", "host0", "up"],
    ):
        subprocess.run(command, check=True, env={"PATH": PATH})


def ansible(age: str) -> Path:
    """Return the directory of Ansible's commands that nox has installed.

    Args:
        age: `OLD` or `NEW`.
    """
    told = os.environ.get(f"DROPIN_CACHE_ANSIBLE_{age}")
    if not told:
        pytest.skip(f"DROPIN_CACHE_ANSIBLE_{age} does not name an interpreter, as nox does")
    return Path(told).parent
