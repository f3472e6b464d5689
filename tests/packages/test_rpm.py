"""RPM packages: built, looked at, and installed with rpm, dnf and zypper on systems of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

import rpm_support
from roots import Root
from rpm_support import OURS, SOFTWARE, leftovers, require_fresh, rpm

@pytest.fixture
def system() -> Iterator[Root]:
    """A system with stubs of what a distribution provides, and repositories."""
    with rpm_support.distribution() as root:
        yield root


@pytest.fixture
def ready(system: Root) -> Root:
    """That, with Twisted, plugin packages and ours."""
    rpm(system, "--install", *rpm_support.paths(system, *SOFTWARE))
    return system


class Rpm:
    """Several changes in one transaction; rpm's own command has no way to say that, its API has."""

    def install(self, root: Root, *names: str) -> None:
        rpm(root, "--install", *rpm_support.paths(root, *names))

    def change(self, root: Root, install, upgrade, downgrade, reinstall, remove) -> None:
        files = rpm_support.paths(root, install, upgrade, downgrade)
        again = rpm_support.paths(root, reinstall)
        root.run("/usr/bin/python3", "-c", _TRANSACTION, json.dumps([files, again, [remove]]))

    def remove(self, root: Root, *names: str) -> None:
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

    def install(self, root: Root, *names: str) -> None:
        self._run(root, "install", *names)

    def change(self, root: Root, install, upgrade, downgrade, reinstall, remove) -> None:
        lines = (
            f"install {install}",
            f"upgrade {upgrade}",
            f"downgrade {downgrade}",
            f"reinstall {reinstall}",
            f"remove {remove}",
            "run",
        )
        root.write("/srv/changes", "".join(f"{line}\n" for line in lines))
        self._run(root, "shell", "/srv/changes")

    def remove(self, root: Root, *names: str) -> None:
        self._run(root, "remove", *names)

    def _run(self, root: Root, *arguments: str) -> None:
        options = ("--quiet", "--assumeyes", "--releasever=1", "--setopt=reposdir=/srv/dnf")
        options += ("--setopt=clean_requirements_on_remove=false",)
        done = root.run("dnf", *options, *arguments)
        assert "scriptlet" not in done.err


class Zypper:
    """Zypper, from the same repository."""

    environment: dict[str, str] = {}

    def install(self, root: Root, *names: str) -> None:
        self._run(root, *names)

    def change(self, root: Root, install, upgrade, downgrade, reinstall, remove) -> None:
        wanted = [install, upgrade, downgrade, reinstall, f"!{remove}"]
        self._run(root, "--force", "--oldpackage", *wanted)

    def remove(self, root: Root, *names: str) -> None:
        self._run(root, *(f"!{name}" for name in names))

    def _run(self, root: Root, *arguments: str) -> None:
        options = ("--non-interactive", "--no-refresh", "--reposd-dir=/srv/zypper")
        done = root.run("zypper", *options, "install", *arguments, env=self.environment)
        assert "scriptlet" not in done.out + done.err


class ZypperAtOnce(Zypper):
    """The same with one transaction for all packages; else libzypp has one for each."""

    environment = {"ZYPP_SINGLE_RPMTRANS": "1"}


class TestManagers:
    @pytest.mark.parametrize("manager", [Rpm(), Dnf(), Zypper(), ZypperAtOnce()], ids=lambda each: type(each).__name__)
    def test_transactions(self, system, manager):
        """Whatever a transaction does, the caches are right after it, and when all is gone, too."""
        manager.install(system, *SOFTWARE)
        require_fresh(system, "python3-daphne", "python3-wokkel", "python3-autobahn")
        manager.change(
            system,
            install="magic-wormhole-transit-relay",
            upgrade="python3-twisted-26.10.0",
            downgrade="python3-daphne-4.1.2",
            reinstall="python3-autobahn",
            remove="python3-wokkel",
        )
        installed = rpm(system, "--query", "--all").out
        assert "python3-twisted-26.10.0-1.noarch\n" in installed
        assert "python3-daphne-4.1.2-1.noarch\n" in installed
        assert "python3-wokkel" not in installed
        require_fresh(system, "python3-daphne", "python3-autobahn", "magic-wormhole-transit-relay")
        plugins = ("python3-daphne", "python3-autobahn", "magic-wormhole-transit-relay")
        manager.remove(system, *plugins, "python3-twisted", *OURS)
        assert [] == leftovers(system)
