"""Containers and services that deny what a sandbox is made of: it works, or the reason is told."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import zope.interface

import dropin_cache
from command_line import Outcome
from conftest import Tree
from denied import LANDLOCK, NAMESPACES, denying
from sandboxes import PYTHON

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.geteuid() != 0, reason="others have no sandbox by default"),
]


@pytest.fixture
def site(public_path: Path) -> Tree:
    """An application with one plugin module, and what it needs, where everybody can read."""
    tree = Tree(public_path)
    ignored = shutil.ignore_patterns("tests", "__pycache__", "dropin.cache")
    for package in (dropin_cache, zope.interface):
        target = public_path.joinpath(*package.__name__.split("."))
        shutil.copytree(next(iter(package.__path__)), target, ignore=ignored)
    tree.application()
    tree.dropin("hello")
    return tree


def update(site: Tree, before: list[str] | None, *arguments: str) -> Outcome:
    """Run an update under a filter, or another program that takes a command."""
    if before is None:
        pytest.skip("the numbers of this machine's calls are not known here")
    command = [*before, sys.executable, "-B", "-m", "dropin_cache", "update", "app.plugins"]
    done = subprocess.run(
        [*command, "--python", PYTHON, "--path", str(site.path), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def cached(site: Tree) -> bool:
    """Tell whether there is a cache."""
    return (site.path / "app" / "plugins" / "dropin.cache").exists()


class TestWritten:
    """What is missing has a substitute."""

    @pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
    @pytest.mark.parametrize("tier", ["auto", "landlock"])
    def test_small_things(self, site: Tree, number: int, tier: str) -> None:
        """Nothing is needed that older kernels, or cautious containers, do not have."""
        denied = denying(number, "faccessat2", "memfd_create", "pidfd_open")
        outcome = update(site, denied, "--sandbox", tier)
        assert (0, "", True) == (outcome.status, outcome.err, cached(site))

    @pytest.mark.parametrize("denied", LANDLOCK)
    def test_no_landlock(self, site: Tree, denied: str) -> None:
        """Without Landlock there are namespaces."""
        outcome = update(site, denying(errno.EPERM, denied))
        assert (0, "", True) == (outcome.status, outcome.err, cached(site))

    @pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
    def test_no_namespaces(self, site: Tree, number: int) -> None:
        """Without namespaces there is Landlock."""
        outcome = update(site, denying(number, *NAMESPACES))
        assert (0, "", True) == (outcome.status, outcome.err, cached(site))
        assert outcome.out.endswith("in the sandbox landlock\n")

    @pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
    def test_neither(self, site: Tree, number: int) -> None:
        """Without both there is another user, if that is asked for."""
        outcome = update(site, denying(number, *NAMESPACES, *LANDLOCK), "--sandbox", "user")
        assert (0, "", True) == (outcome.status, outcome.err, cached(site))
        assert outcome.out.endswith("in the sandbox user\n")

    def test_few_capabilities(self, site: Tree) -> None:
        """A service need not have the right to give up capabilities that it lacks."""
        kept = "-all,+setuid,+setgid,+dac_override,+fowner,+chown"
        before = ["/usr/bin/setpriv", f"--bounding-set={kept}", "--inh-caps=-all"]
        outcome = update(site, before)
        assert (0, "", True) == (outcome.status, outcome.err, cached(site))


class TestRefused:
    """What has no substitute is named, and what denies it."""

    def told(self, outcome: Outcome, site: Tree, *words: str) -> None:
        """Require that a sandbox is missing, for the right reason, and that nothing is written."""
        assert (5, "", False) == (outcome.status, outcome.out, cached(site))
        assert outcome.err.startswith("dropin-cache: error: no sandbox to import plugin modules in")
        assert [] == [word for word in words if word not in outcome.err]
        for wrong in ("apt install", "--python", "report this"):
            assert wrong not in outcome.err

    @pytest.mark.parametrize("denied", LANDLOCK)
    def test_landlock_too(self, site: Tree, denied: str) -> None:
        """What is forbidden is not missing, whichever part of it is."""
        outcome = update(site, denying(errno.EPERM, *NAMESPACES, denied))
        self.told(outcome, site, "forbidden", denied, "not permitted", "--sandbox user")

    @pytest.mark.parametrize(
        ("denied", "words"),
        [
            ("prlimit64", "no limits can be set here"),
            ("capset", "root cannot become another user here (setpriv: "),
            ("setgroups", "root cannot become another user here (setpriv: "),
            ("setresuid", "root cannot become another user here (setpriv: "),
            ("prctl", "no_new_privs: Operation not permitted"),
        ],
    )
    def test_privilege(self, site: Tree, denied: str, words: str) -> None:
        """Root that cannot give up what it is imports nothing."""
        outcome = update(site, denying(errno.EPERM, denied), "--sandbox", "landlock")
        self.told(outcome, site, words)

    @pytest.mark.parametrize("tier", ["landlock", "user"])
    def test_one_user(self, site: Tree, tier: str) -> None:
        """In a user namespace of one user there is nobody else to become."""
        before = ["/usr/bin/unshare", "--user", "--map-root-user", "--"]
        self.told(update(site, before, "--sandbox", tier), site, "root cannot become another user")

    def test_no_capabilities(self, site: Tree) -> None:
        """So it is for root without any capability."""
        before = ["/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all"]
        self.told(update(site, before), site, "root cannot become another user here")

    @pytest.mark.parametrize(
        "number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL]
    )
    def test_locks(self, site: Tree, number: int) -> None:
        """That locks are denied is said at once, and not waited for."""
        outcome = update(site, denying(number, "flock"), "--lock-timeout", "1000")
        assert (5, False) == (outcome.status, cached(site))
        assert "no place for a lock: " in outcome.err
        assert "another process" not in outcome.err
