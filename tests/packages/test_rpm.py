"""RPM packages with rpm, dnf and zypper: what users get after every kind of transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

import rpm_support
from rpm_support import OURS, SOFTWARE, leftovers, paths, require_fresh, rpm, started


class Changes(NamedTuple):
    """What one transaction does, a package for each."""

    install: str
    upgrade: str
    downgrade: str
    reinstall: str
    remove: str


class Rpm:
    """RPM itself: its own command has no way to say all that at once, its API has."""

    def install(self, root: rpm_support.Root, *names: str) -> None:
        """Install packages."""
        rpm(root, "--install", *paths(root, *names))

    def change(self, root: rpm_support.Root, changes: Changes) -> None:
        """Make all of these changes."""
        new = paths(root, changes.install, changes.upgrade, changes.downgrade)
        work = [new, paths(root, changes.reinstall), [changes.remove]]
        root.run("/usr/bin/python3", "-c", _TRANSACTION, json.dumps(work))

    def remove(self, root: rpm_support.Root, *names: str) -> None:
        """Remove packages."""
        rpm(root, "--erase", *names)


_TRANSACTION = """
import json, rpm, sys
files, again, names = json.loads(sys.argv[1])
transaction = rpm.TransactionSet()
def header(path):
    with open(path, "rb") as file:
        return transaction.hdrFromFdno(file)
for path in files:
    transaction.addInstall(header(path), path, "u")
for path in again:
    transaction.addReinstall(header(path), path)
for name in names:
    transaction.addErase(name)
transaction.setProbFilter(rpm.RPMPROB_FILTER_OLDPACKAGE)
assert not transaction.check()
transaction.order()
opened = {}
def callback(what, amount, total, key, data):
    if what == rpm.RPMCALLBACK_INST_OPEN_FILE:
        opened[key] = open(key, "rb")
        return opened[key].fileno()
    if what == rpm.RPMCALLBACK_INST_CLOSE_FILE:
        opened.pop(key).close()
    assert what != rpm.RPMCALLBACK_SCRIPT_ERROR
sys.exit(transaction.run(callback, None) is not None)
"""


class Dnf:
    """DNF, from a repository made by createrepo_c."""

    def install(self, root: rpm_support.Root, *names: str) -> None:
        """Install packages."""
        self._run(root, "install", *names)

    def change(self, root: rpm_support.Root, changes: Changes) -> None:
        """Make all of these changes."""
        if rpm_support.DNF == "dnf5":
            changed = changes._asdict().items()
            self._run(
                root, "do", *(word for what, name in changed for word in (f"--action={what}", name))
            )
            return
        lines = [f"{what} {name}\n" for what, name in changes._asdict().items()]
        root.write("/srv/changes", "".join([*lines, "run\n"]))
        self._run(root, "shell", "/srv/changes")

    def remove(self, root: rpm_support.Root, *names: str) -> None:
        """Remove packages."""
        self._run(root, "remove", *names)

    def _run(self, root: rpm_support.Root, *arguments: str) -> None:
        options = ("--quiet", "--assumeyes", "--releasever=1", "--setopt=reposdir=/srv/dnf")
        done = root.run(
            rpm_support.DNF, *options, "--setopt=clean_requirements_on_remove=false", *arguments
        )
        # dnf5 also tells of scriptlets that print something.
        told = [line for line in done.err.splitlines() if "scriptlet" in line]
        assert [] == [line for line in told if "Error" in line or "failed" in line]


class Zypper:
    """Zypper, from the same repository: one transaction of RPM's for each package."""

    environment = ()

    def install(self, root: rpm_support.Root, *names: str) -> None:
        """Install packages."""
        self._run(root, *names)

    def change(self, root: rpm_support.Root, changes: Changes) -> None:
        """Make all of these changes."""
        *wanted, unwanted = changes
        self._run(root, "--force", "--oldpackage", *wanted, f"!{unwanted}")

    def remove(self, root: rpm_support.Root, *names: str) -> None:
        """Remove packages."""
        self._run(root, *(f"!{name}" for name in names))

    def _run(self, root: rpm_support.Root, *arguments: str) -> None:
        options = ("--non-interactive", "--no-refresh", "--reposd-dir=/srv/zypper")
        env = dict(self.environment)
        done = root.run("zypper", *options, "install", *arguments, env=env)
        assert "scriptlet" not in done.out + done.err


class ZypperAtOnce(Zypper):
    """The same with one transaction for all packages."""

    environment = (("ZYPP_SINGLE_RPMTRANS", "1"),)


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rpm_support.Root]:
    """A system with stubs of what a distribution provides, and repositories."""
    with started(rpm_support.distribution(tmp_path_factory)) as root:
        yield root


@pytest.fixture
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rpm_support.Root]:
    """One that has the software, too."""
    with started(rpm_support.with_software(tmp_path_factory)) as root:
        yield root


class TestTransactions:
    """Whatever is done to packages, and by which program."""

    @pytest.mark.parametrize("manager", [Rpm, Dnf, Zypper, ZypperAtOnce])
    def test_all_at_once(self, system, manager):
        """After every transaction the caches are right, and when all is gone, they are gone too."""
        manager().install(system, *SOFTWARE)
        require_fresh(system, "python3-daphne", "python3-wokkel", "python3-autobahn")
        manager().change(
            system,
            Changes(
                install="magic-wormhole-transit-relay",
                upgrade="python3-twisted-26.10.0",
                downgrade="python3-daphne-4.1.2",
                reinstall="python3-autobahn",
                remove="python3-wokkel",
            ),
        )
        installed = rpm(system, "--query", "--all").out
        assert "python3-twisted-26.10.0-1.noarch\n" in installed
        assert "python3-daphne-4.1.2-1.noarch\n" in installed
        assert "python3-wokkel" not in installed
        plugins = ("python3-daphne", "python3-autobahn", "magic-wormhole-transit-relay")
        require_fresh(system, *plugins)
        manager().remove(system, *plugins, "python3-twisted", *OURS)
        assert [] == leftovers(system)

    def test_plugins_first(self, full):
        """Where the commands stay, the caches and their directories go with the last plugins."""
        names = ("python3-daphne", "python3-wokkel", "python3-autobahn", "python3-twisted")
        rpm(full, "--erase", *names)
        assert not [name for name in leftovers(full) if "twisted" in name]

    def test_commands_first(self, full):
        """Where Twisted stays, its caches go, since nobody would keep them fresh any more."""
        rpm(full, "--erase", *OURS)
        assert not [name for name in leftovers(full) if "dropin" in name]
