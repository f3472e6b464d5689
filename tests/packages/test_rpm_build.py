"""The RPM packages as `make rpm` builds them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import rpm_support
from release_support import UPSTREAM_VERSION, VERSION
from roots import MINOR
from rpm_support import BUILD, NOBODY, SITE, copy_source, started

FILES = """\
/etc/dropin-cache
/etc/dropin-cache/dropin-cache.conf
/etc/dropin-cache/packages.d
/usr/bin/dropin-cache
/usr/lib/dropin-cache
/usr/lib/dropin-cache/packages.d
/usr/lib/dropin-cache/packages.d/README
/usr/lib/systemd/system/dropin-cache-first-boot.service
/usr/lib/systemd/system/dropin-cache.path
/usr/lib/systemd/system/dropin-cache.service
/usr/lib/systemd/system/dropin-cache.timer
/usr/lib/systemd/system/dropin-cache@.path
/usr/lib/systemd/system/dropin-cache@.service
/usr/lib/sysusers.d/dropin-cache.conf
/usr/lib/tmpfiles.d/dropin-cache.conf
/usr/libexec/dropin-cache
/usr/libexec/dropin-cache/trigger
/usr/sbin/update-dropin-cache
/usr/share/bash-completion/completions/dropin-cache
/usr/share/bash-completion/completions/update-dropin-cache
/usr/share/fish/vendor_completions.d/dropin-cache.fish
/usr/share/fish/vendor_completions.d/update-dropin-cache.fish
/usr/share/man/man1/dropin-cache.1.gz
/usr/share/man/man5/dropin-cache.conf.5.gz
/usr/share/man/man7/dropin-cache.7.gz
/usr/share/man/man8/update-dropin-cache.8.gz
/usr/share/zsh/site-functions/_dropin-cache
/usr/share/zsh/site-functions/_update-dropin-cache
/var/cache/dropin-cache
"""


@pytest.fixture(scope="module")
def root() -> Iterator[rpm_support.Root]:
    """A system to build on."""
    with started() as system:
        yield system


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of our packages."""
    return rpm_support.our_packages(tmp_path_factory)


@pytest.fixture(scope="module")
def packages(root: rpm_support.Root, built: Path) -> rpm_support.Root:
    """A system with our packages in /srv/ours."""
    for file in built.iterdir():
        root.copy(file, f"/srv/ours/{file.name}")
    return root


def digests(root: rpm_support.Root, source: str) -> dict[str, str]:
    """Build from a copy of the source and return what came out, by the names of the files."""
    place = root.path / source.lstrip("/") / "dist"
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in place.iterdir()}


class TestBuild:
    """What `make rpm` does."""

    def test_names(self, built):
        """There is a library, the commands, macros for packagers, and the source."""
        release = VERSION
        assert {
            f"dropin-cache-{release}.noarch.rpm",
            f"dropin-cache-{release}.src.rpm",
            f"dropin-cache-rpm-macros-{release}.noarch.rpm",
            f"python3-dropin-cache-{release}.noarch.rpm",
        } == {file.name for file in built.iterdir()}

    def test_reproducible(self, root, built):
        """Another user, at another place, with another umask and dates, builds the same bytes."""
        copy_source(root, "/srv/elsewhere/of/another name")
        source = "/srv/elsewhere/of/another name"
        root.run("find", source, "-exec", "touch", "--date=2001-02-03", "{}", "+")
        root.run("chown", "-R", f"{NOBODY}:{NOBODY}", source)
        root.run("mkdir", "-m", "0777", "/srv/build")
        environment = {
            "HOME": "/srv/build",
            "DROPIN_CACHE_WORK": "/srv/build/work",
            "LC_ALL": "C.UTF-8",
            "TZ": "Asia/Kathmandu",
        }
        command = f"umask 077; {BUILD}"
        root.run("sh", "-c", command, "sh", source, user=NOBODY, env=environment)
        expected = {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in built.iterdir()
        }
        assert expected == digests(root, source)

    def test_version(self, root):
        """A version that the changelog does not begin with is an error."""
        copy_source(root, "/srv/version")
        project = root.read("/srv/version/pyproject.toml")
        root.write("/srv/version/pyproject.toml", project.replace('version = "', 'version = "9.'))
        done = root.run("sh", "-c", BUILD, "sh", "/srv/version", status=1)
        expected = (
            f"tools/release.py: error: CHANGELOG.md does not begin with 9.{UPSTREAM_VERSION}\n"
        )
        assert expected == done.err


class TestContent:
    """What comes out of it."""

    def test_files(self, packages):
        """The commands come with hooks, manual pages, completions, and directories of their own."""
        done = self._ask(packages, "-l", "dropin-cache-1*.noarch")
        files = [
            name
            for name in done.splitlines()
            if not name.startswith(("/usr/share/doc", "/usr/share/lic"))
        ]
        assert FILES.splitlines() == files

    def test_ghosts(self, packages):
        """What is made at run time, and can be named, is known to RPM."""
        query = "[%{FILENAMES} %{FILEFLAGS:fflags}\n]"
        for package, names in (
            ("dropin-cache-1*.noarch", ["/var/cache/dropin-cache"]),
            ("python3-dropin-cache-1*.noarch", [f"{SITE}/dropin_cache/plugins/dropin.cache"]),
        ):
            lines = self._ask(packages, "--qf", query, package).splitlines()
            assert names == [line.split()[0] for line in lines if line.endswith(" g")]

    def test_requirements(self, packages):
        """The library needs two distributions, the commands a sandbox."""
        library = self._ask(packages, "--requires", "python3-dropin-cache-1*.noarch").splitlines()
        commands = self._ask(packages, "--requires", "dropin-cache-1*.noarch").splitlines()
        assert {
            f"python(abi) = 3.{MINOR}",
            f"python3.{MINOR}dist(filelock) >= 3.9",
            f"python3.{MINOR}dist(zope.interface)",
        } == {line for line in library if not line.startswith(("rpmlib(", "config("))}
        assert {
            "/bin/sh",
            "/usr/bin/env",
            "/usr/bin/python3",
            "bubblewrap",
            "grep",
            f"python3-dropin-cache = {VERSION}",
            "util-linux",
        } == {line for line in commands if not line.startswith(("rpmlib(", "config("))}

    def test_scriptlets(self, packages):
        """Each file trigger has one prefix, and each scriptlet ends with success."""
        for package in ("dropin-cache-1*", "dropin-cache-rpm-macros*", "python3-dropin-cache*"):
            query = "[%{TRANSFILETRIGGERCONDS} %{TRANSFILETRIGGERTYPE}\n]"
            conditions = self._ask(packages, "--qf", query, f"{package}.noarch").splitlines()
            scripts = self._ask(
                packages,
                "--qf",
                "[%{TRANSFILETRIGGERSCRIPTS}\x1e]%{PREUN}\x1e%{POSTUN}\x1e",
                f"{package}.noarch",
            ).split("\x1e")[:-1]
            if package != "dropin-cache-1*":
                assert ([], ["(none)", "(none)"]) == (conditions, scripts)
                continue
            assert [
                f"{prefix} {kind}" for kind in ("in", "postun") for prefix in PREFIXES
            ] == conditions
            assert {"exit 0"} == {script.strip().rpartition("\n")[2] for script in scripts}

    def test_lint(self, packages):
        """What rpmlint has to say is nothing that rpm/dropin-cache.rpmlintrc does not explain."""
        packages.copy(
            rpm_support.TREE / "rpm/dropin-cache.rpmlintrc", "/srv/dropin-cache.rpmlintrc"
        )
        done = packages.run(
            "sh",
            "-c",
            "cd /srv && rpmlint --rpmlintrc dropin-cache.rpmlintrc ours/*.rpm",
        )
        summary = done.out.strip().splitlines()[-1]
        assert " 0 errors, 0 warnings" in summary

    def _ask(self, packages: rpm_support.Root, *arguments: str) -> str:
        *options, file = arguments
        command = 'file=$1; shift; exec rpm --query --package "$@" /srv/ours/$file.rpm'
        return packages.run("sh", "-c", command, "sh", file, *options).out


PREFIXES = ("/usr/lib/python3", "/usr/lib64/python3", "/usr/lib/dropin-cache/")
