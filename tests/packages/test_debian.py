"""The Debian packages, by real dpkg and apt: what users get after every kind of transaction."""

from __future__ import annotations

import ast
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from debian_support import (
    DIST,
    PLUGINS,
    WITH_DROPINS,
    Debian,
    built_packages,
    with_ours,
    witness,
)
from release_support import VERSION
from roots import MINOR, SLOW

LARGE = {"python3-autobahn", "python3-daphne", "python3-txtorcon"}
# What Twisted tells an ordinary user whose cache is stale.
CANNOT_WRITE = f"Unable to write to plugin cache {PLUGINS}/dropin.cache: error number 13"
# A drop-in's way to say that it has another plugin now.
MORE = """
from zope.interface import provider as _provider
from twisted.plugin import IPlugin as _IPlugin
@_provider(_IPlugin)
class another: pass
"""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of this tree."""
    return built_packages(tmp_path_factory)


@pytest.fixture
def stock(packages: Path) -> Iterator[Debian]:
    """A system with stock Twisted, and our packages at hand."""
    debian = Debian()
    try:
        debian.add(packages)
        yield debian
    finally:
        debian.close()


@pytest.fixture
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    """A system that has our packages installed."""
    debian = Debian(with_ours(tmp_path_factory))
    try:
        yield debian
    finally:
        debian.close()


class TestLifecycle:
    """Packages that know nothing of us come and go."""

    @pytest.mark.parametrize(
        "package",
        [
            # These bring many others along, and come with all at once, too.
            *(pytest.param(name, marks=pytest.mark.long) for name in sorted(LARGE)),
            *(name for name in WITH_DROPINS if name not in LARGE),
        ],
    )
    def test_one(self, debian: Debian, package: str) -> None:
        """Whatever apt does with a package, the cache is right afterwards."""
        dropin = WITH_DROPINS[package]
        newer = debian.repack(package, "99", dropin, MORE)
        (older,) = (debian.root.path / "srv/archives").glob(f"{package}_*.deb")

        debian.apt("install", package)
        first = debian.assert_fresh()
        assert dropin in first.dropins
        debian.apt("install", newer)
        assert {f"{dropin}.another"} == {*debian.assert_fresh().plugins} - {*first.plugins}
        debian.apt("install", f"/srv/archives/{older.name}")
        assert first.plugins == debian.assert_fresh().plugins
        debian.apt("reinstall", f"/srv/archives/{older.name}")
        assert first.plugins == debian.assert_fresh().plugins
        debian.apt("remove", package)
        debian.assert_fresh(without=dropin)
        debian.apt("install", package)
        assert first.plugins == debian.assert_fresh().plugins
        debian.apt("purge", package)
        debian.assert_fresh(without=dropin)

    def test_all_at_once(self, stock: Debian) -> None:
        """One transaction may bring everything, and another take it away."""
        stock.apt("purge", "python3-twisted")
        ours = [stock.file(name) for name in ("python3-dropin-cache", "dropin-cache")]
        stock.apt("install", "python3-twisted", *WITH_DROPINS, *map(str, ours))
        assert {*WITH_DROPINS.values()} <= stock.assert_fresh().dropins
        stock.apt("purge", *WITH_DROPINS)
        assert not {*WITH_DROPINS.values()} & stock.assert_fresh().dropins

    def test_ours_comes_later(self, stock: Debian) -> None:
        """What is there when we come is looked after at once."""
        stock.apt("install", "python3-wokkel")
        stale = stock.look()
        assert ["twisted.plugins.server"] == stale.imported
        assert {CANNOT_WRITE} == set(stale.messages)
        stock.install_ours()
        assert "server" in stock.assert_fresh().dropins

    def test_in_another_place(self, debian: Debian) -> None:
        """Plugin modules that only Debian's libervia imports have a cache as long as they exist."""
        place = "/usr/share/libervia"
        files = {f"{place}/twisted/plugins/pubsub.py": witness()}
        debian.apt("install", debian.pack("libervia-pubsub", files))
        seen = debian.look(PYTHONPATH=place)
        assert ([], []) == (seen.imported, seen.messages)
        assert "pubsub" in seen.dropins
        assert "pubsub" not in debian.assert_fresh().dropins
        debian.apt("purge", "libervia-pubsub")
        assert not debian.root.exists(place)

    def test_twisted_goes(self, debian: Debian) -> None:
        """With the plugin package goes its cache, and no directory is left for its sake."""
        debian.apt("purge", "python3-twisted")
        assert not debian.root.exists(f"{DIST}/twisted")

    def test_quiet(self, debian: Debian) -> None:
        """A transaction that changes nothing about plugins says nothing."""
        said = debian.apt("install", "python3-tk").out
        assert "Processing triggers for dropin-cache" in said
        assert said.endswith(f"Processing triggers for dropin-cache ({VERSION}) ...\n")


class TestLastWord:
    """python3-twisted removes the cache, and writes one of its own; ours is there in the end."""

    def assert_ours(self, debian: Debian) -> None:
        """Check that the cache is fresh, and the one that our update writes."""
        cache = debian.root.path / PLUGINS[1:] / "dropin.cache"
        debian.assert_fresh()
        written = cache.read_bytes()
        debian.root.run("update-dropin-cache", "--force")
        assert cache.read_bytes() == written

    @pytest.mark.parametrize("position", [0, 1, 2])
    def test_configured_in_any_order(self, stock: Debian, position: int) -> None:
        """One transaction may bring all and configure ours before, after or between the others."""
        stock.apt("install", "python3-wokkel", "python3-filelock", "bubblewrap")
        stock.root.run("dpkg", "--purge", "python3-wokkel", "python3-twisted")
        ours, others = (
            ["python3-dropin-cache", "dropin-cache"],
            ["python3-twisted", "python3-wokkel"],
        )
        files = [stock.file(name) or f"/srv/archives/{name}_*.deb" for name in (*ours, *others)]
        stock.root.run("sh", "-c", f"dpkg --unpack {' '.join(files)}")
        order = [*others[:position], *ours, *others[position:]]
        stock.root.run("dpkg", "--configure", *order)
        self.assert_ours(stock)

    def test_triggered_by_others(self, debian: Debian) -> None:
        """Packages that know of Twisted's trigger, and not of ours, may have it run after ours."""
        files = {
            f"{PLUGINS}/witness.py": witness(),
            "/DEBIAN/triggers": "activate-noawait twisted-plugins-cache\n",
        }
        debian.apt("install", debian.pack("graphite", files))
        self.assert_ours(debian)
        debian.apt("purge", "graphite")
        self.assert_ours(debian)


class TestRemoval:
    """We go."""

    def files(self, debian: Debian) -> set[str]:
        """List all files of the system, but for what dpkg and sysusers.d keep."""
        found = debian.root.run("find", "/", "-xdev", "-path", "/srv", "-prune", "-o", "-print").out
        kept = ("/var/lib/dpkg/", "/var/log/", "/var/cache/", "/var/lib/apt/", "/etc/")
        return {each for each in found.splitlines() if not each.startswith(kept)}

    def test_nothing_left(self, stock: Debian) -> None:
        """Nothing of ours is left, and Twisted does what it did before."""
        stock.apt("install", "bubblewrap", "python3-filelock", "python3-zope.interface")
        before = self.files(stock)
        configuration = set(os.listdir(stock.root.path / "etc"))
        stock.install_ours()
        stock.apt("install", stock.pack("witness", {f"{PLUGINS}/witness.py": witness()}))
        stock.apt("purge", "dropin-cache", "python3-dropin-cache")
        seen = stock.look()
        # Ordinary users can write no cache, so there is none.
        assert sorted(f"twisted.plugins.{each}" for each in stock.modules()) == seen.imported
        assert {CANNOT_WRITE} == set(seen.messages)
        assert "witness" in seen.dropins
        stock.apt("purge", "witness")
        left = self.files(stock) - before
        assert set() == {each for each in left if "__pycache__" not in each}
        # Users stay, and their database keeps a copy of what it was before.
        new = set(os.listdir(stock.root.path / "etc")) - configuration
        assert not {each for each in new if "dropin" in each}
        assert not stock.root.exists("/run/lock/dropin-cache")

    def test_configuration(self, debian: Debian) -> None:
        """Removing keeps the configuration file, purging does not."""
        debian.apt("remove", "dropin-cache")
        assert debian.root.exists("/etc/dropin-cache/dropin-cache.conf")
        assert not debian.root.exists("/var/cache/dropin-cache")
        assert not debian.root.exists(f"{PLUGINS}/dropin.cache")
        debian.apt("purge", "dropin-cache")
        assert not debian.root.exists("/etc/dropin-cache")

    def test_hook(self, debian: Debian) -> None:
        """The start-up file that an administrator has had written goes with what it calls."""
        site = f"/usr/local/lib/python3.{MINOR}/dist-packages"
        debian.root.run("mkdir", "-p", site)
        debian.root.run("dropin-cache", "hook", "enable")
        assert debian.root.exists(f"{site}/dropin-cache.pth")
        debian.apt("remove", "dropin-cache")
        assert [] == os.listdir(debian.root.path / site[1:])

    def test_upgrade(self, debian: Debian) -> None:
        """An upgrade of ours keeps the caches, and the memory of what was imported."""
        package = debian.file("dropin-cache")
        assert package is not None
        before = (debian.root.path / PLUGINS[1:] / "dropin.cache").stat().st_ino
        debian.root.run("sh", "-c", f"dpkg-deb -R {package} /srv/new")
        control = debian.root.read("/srv/new/DEBIAN/control")
        debian.root.write("/srv/new/DEBIAN/control", control.replace(VERSION, "99", 1))
        debian.root.run("dpkg-deb", "-Znone", "-b", "/srv/new", "/srv/new.deb")
        said = debian.apt("install", "/srv/new.deb")
        assert "written:" not in said.out
        assert before == (debian.root.path / PLUGINS[1:] / "dropin.cache").stat().st_ino
        debian.assert_fresh()


class TestPrivilege:
    """Who runs plugin code."""

    def test_witness(self, debian: Debian) -> None:
        """No transaction runs plugin code as root, or with anything that is root's."""
        package = debian.pack("witness", {f"{PLUGINS}/witness.py": witness()})
        debian.root.write("/srv/witness", "", 0o666)
        uid = int(debian.root.run("id", "-u", "_dropin-cache").out)
        for arguments in (
            ("install", package),
            ("install", "python3-daphne"),
            ("reinstall", package),
            ("remove", "python3-daphne"),
        ):
            debian.apt(*arguments, env={"SECRET": "of root"})
            told = ast.literal_eval(debian.assert_fresh().described["witness"] or "")
            assert (uid, ["0" * 16]) == (told["uid"], told["caps"])
            assert "SECRET" not in told["env"]
        debian.apt("purge", "dropin-cache", "witness")
        assert "" == debian.root.read("/srv/witness")

    def test_witness_would_tell(self, stock: Debian) -> None:
        """Twisted's own trigger does run it as root, and then it tells."""
        package = stock.pack("witness", {f"{PLUGINS}/witness.py": witness()})
        stock.root.write("/srv/witness", "", 0o666)
        stock.apt("install", package)
        stock.root.run("dpkg-trigger", "--by-package=witness", "twisted-plugins-cache")
        stock.root.run("dpkg", "--triggers-only", "python3-twisted")
        told = [ast.literal_eval(line) for line in stock.root.read("/srv/witness").splitlines()]
        assert {0} == {each["uid"] for each in told}


class TestBroken:
    """A plugin package whose drop-in does not work."""

    def test_one_line(self, debian: Debian) -> None:
        """The transaction succeeds, and one line names the package; the next one says nothing."""
        package = debian.pack("python3-bad", {f"{PLUGINS}/bad.py": "import no_such_module\n"})
        done = debian.apt("install", package)
        expected = (
            "dropin-cache: warning: twisted.plugins.bad (of python3-bad) is left out: "
            "ModuleNotFoundError: No module named 'no_such_module'"
        )
        said = (done.out + done.err).splitlines()
        assert [expected] == [line for line in said if "twisted.plugins.bad" in line]
        assert "bad" not in debian.look().dropins
        done = debian.apt("install", "python3-tk")
        assert "twisted.plugins.bad" not in done.out + done.err

    def test_mended_by_dependency(self, debian: Debian) -> None:
        """It is tried again when what it lacked is installed, though it has not changed itself."""
        code = "import tkinter\n" + witness()
        debian.apt("install", debian.pack("python3-tcl", {f"{PLUGINS}/uses_tk.py": code}))
        assert "uses_tk" not in debian.root.run("dropin-cache", "list").out
        debian.apt("install", "python3-tk")
        assert "uses_tk" in debian.assert_fresh().dropins
        debian.apt("purge", "python3-tk")
        assert "uses_tk" not in debian.root.run("dropin-cache", "list").out


class TestInterrupted:
    """Something ends dpkg."""

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_during_the_trigger(self, debian: Debian, number: int) -> None:
        """`dpkg --configure -a` does what is left, and nothing runs on."""
        package = debian.pack("slow", {f"{PLUGINS}/slow.py": SLOW + witness()})
        debian.root.interrupt(number, "dpkg", "-i", package)
        debian.root.run("dpkg", "--configure", "-a")
        assert "slow" in debian.assert_fresh().dropins
        assert "ii " == debian.root.run("dpkg-query", "-Wf${db:Status-Abbrev}", "dropin-cache").out


class TestObstacles:
    """Systems that are broken, or less than a system: the transaction succeeds all the same."""

    def reinstall(self, debian: Debian) -> str:
        """Have something installed, by dpkg alone; return what was said about caches."""
        package = debian.pack("python3-some", {f"{PLUGINS}/some.py": witness()})
        done = debian.root.run("dpkg", "-i", package)
        lines = (done.out + done.err).splitlines()
        return "\n".join(
            line for line in lines if line.startswith(("dropin-cache:", "written:", "  "))
        )

    def test_no_python(self, debian: Debian) -> None:
        """Without Python one line says so, and the next transaction makes up for it."""
        os.rename(debian.root.path / "usr/bin/python3", debian.root.path / "usr/bin/python-gone")
        said = self.reinstall(debian)
        assert said.startswith("dropin-cache: warning: plugin caches were not updated: ")
        assert 1 == len(said.splitlines())
        os.rename(debian.root.path / "usr/bin/python-gone", debian.root.path / "usr/bin/python3")
        debian.apt("install", "python3-tk")
        assert "some" in debian.assert_fresh().dropins

    @pytest.mark.parametrize("module", ["json", "filelock", "dropin_cache"])
    def test_half_a_python(self, debian: Debian, module: str) -> None:
        """Where modules are missing, one line says which."""
        where = f"/usr/lib/python3.{MINOR}" if module == "json" else DIST
        debian.root.run("mv", f"{where}/{module}", "/srv/gone")
        said = self.reinstall(debian)
        assert said == (
            "dropin-cache: warning: plugin caches were not updated: ModuleNotFoundError: "
            f"No module named '{module}'; run update-dropin-cache later"
        )

    def test_killed(self, debian: Debian) -> None:
        """Of what is killed, the exit status tells."""
        debian.root.write("/usr/bin/dropin-cache", "#!/bin/sh\nkill -9 $$\n", 0o755)
        assert "not updated: exit status 137; run" in self.reinstall(debian)

    def test_removed_with_half_a_python(self, debian: Debian) -> None:
        """Removing the package succeeds, and one line says which module is missing."""
        debian.root.run("mv", f"{DIST}/filelock", "/srv/gone")
        done = debian.root.run("dpkg", "--remove", "dropin-cache")
        assert "Traceback" not in done.err
        assert done.err.startswith("ModuleNotFoundError: No module named 'filelock'\n")
        assert "dropin-cache: warning: some plugin caches may be left; " in done.err

    def test_no_zope(self, debian: Debian) -> None:
        """Where nothing can have plugins, no cache is touched."""
        before = (debian.root.path / f"{PLUGINS}/dropin.cache"[1:]).read_bytes()
        debian.root.run("mv", f"{DIST}/zope", "/srv/gone")
        said = self.reinstall(debian)
        assert said == "dropin-cache: error: /usr/bin/python3 has no zope.interface"
        assert before == (debian.root.path / f"{PLUGINS}/dropin.cache"[1:]).read_bytes()

    def test_no_devices(self, debian: Debian) -> None:
        """In a chroot without devices there is still a sandbox, and a fresh cache."""
        debian.root.run("sh", "-c", "umount -l /dev /run && rm -r /dev && mkdir /dev")
        debian.root.run("chmod", "0", "/usr/bin/bwrap")
        said = self.reinstall(debian)
        assert said.startswith(f"written: {PLUGINS} ")

    def test_no_proc(self, debian: Debian) -> None:
        """In a chroot without /proc, nothing is done, and it says so."""
        debian.root.run("umount", "-l", "/proc")
        said = self.reinstall(debian)
        assert said == "dropin-cache: error: /proc is not mounted, so nothing was looked at"

    def test_no_namespaces(self, debian: Debian) -> None:
        """Where there are no namespaces, the other sandbox does."""
        debian.root.run("chmod", "0", "/usr/bin/bwrap")
        said = self.reinstall(debian)
        assert said.startswith(f"written: {PLUGINS} ")
        debian.assert_fresh()

    def test_no_sandbox(self, debian: Debian) -> None:
        """Where there is no sandbox at all, nothing is imported, and it says what to do."""
        debian.root.run("chmod", "0", "/usr/bin/bwrap")
        debian.root.write("/etc/dropin-cache/dropin-cache.conf", "sandbox = namespace\n")
        debian.root.write("/srv/witness", "", 0o666)
        said = self.reinstall(debian)
        assert said.startswith("dropin-cache: error: no sandbox")
        assert 1 == len(said.splitlines())
        assert "" == debian.root.read("/srv/witness")

    def test_read_only(self, debian: Debian) -> None:
        """Where /usr cannot be written, one line says so."""
        package = debian.pack("python3-some", {f"{PLUGINS}/some.py": witness()})
        debian.root.run("dpkg", "--no-triggers", "-i", package)
        debian.root.run("mount", "--bind", "/usr", "/usr")
        debian.root.run("mount", "-o", "remount,bind,ro", "/usr")
        done = debian.root.run("dpkg", "--triggers-only", "dropin-cache")
        said = [line for line in done.err.splitlines() + done.out.splitlines() if "cache:" in line]
        assert 1 == len(said)
        assert "read-only" in said[0].lower()

    def test_full_disk(self, debian: Debian) -> None:
        """Where there is no room for a cache, one line says so, and the old one is as it was."""
        package = debian.pack("python3-some", {f"{PLUGINS}/some.py": witness()})
        debian.root.run("dpkg", "--no-triggers", "-i", package)
        small = f"mount -t tmpfs -o size=600k tmpfs /mnt && cp -a {PLUGINS}/. /mnt &&"
        debian.root.run("sh", "-c", f"{small} mount --move /mnt {PLUGINS}")
        debian.root.run("sh", "-c", f"cat /dev/zero >{PLUGINS}/ballast", status=1)
        before = (debian.root.path / PLUGINS[1:] / "dropin.cache").read_bytes()
        done = debian.root.run("dpkg", "--triggers-only", "dropin-cache")
        said = [line for line in (done.out + done.err).splitlines() if "cache:" in line]
        assert 1 == len(said)
        assert "No space left on device" in said[0]
        assert before == (debian.root.path / PLUGINS[1:] / "dropin.cache").read_bytes()

    def test_standard_output_closed(self, debian: Debian) -> None:
        """It does not matter whether anybody listens."""
        package = debian.pack("python3-some", {f"{PLUGINS}/some.py": witness()})
        debian.root.run("sh", "-c", f"dpkg -i {package} >/dev/full 2>&1", status=None)
        debian.root.run("sh", "-c", "dpkg --configure -a >&- 2>&-")
        assert "ii " == debian.root.run("dpkg-query", "-Wf${db:Status-Abbrev}", "dropin-cache").out

    def test_root_of_another(self, debian: Debian) -> None:
        """`dpkg --root` mounts nothing, so it says that, and the tool's own --root does it."""
        debian.root.run(
            "sh", "-c", "mkdir /srv/inner && cp -ax /bin /etc /lib* /sbin /usr /var /srv/inner"
        )
        debian.root.run("sh", "-c", "cd /srv/inner && mkdir -p dev proc run/lock tmp srv")
        package = debian.pack("python3-some", {f"{PLUGINS}/some.py": witness()})
        done = debian.root.run("dpkg", "--root=/srv/inner", "-i", package)
        assert "dropin-cache: error: /proc is not mounted" in done.out + done.err
        done = debian.root.run("update-dropin-cache", "--trigger", "--root=/srv/inner")
        assert done.out.startswith(f"written: /srv/inner{PLUGINS} ")
        assert "some" not in debian.assert_fresh().dropins

    def test_chrootless(self, debian: Debian) -> None:
        """With DPKG_ROOT, maintainer scripts run outside, and work on what is inside."""
        debian.root.run(
            "sh", "-c", "mkdir /srv/inner && cp -ax /bin /etc /lib* /sbin /usr /var /srv/inner"
        )
        debian.root.run("sh", "-c", "cd /srv/inner && mkdir -p dev proc run/lock tmp srv")
        package = debian.pack("python3-some", {f"{PLUGINS}/some.py": witness()})
        command = ("dpkg", "--root=/srv/inner", "--force-script-chrootless", "-i", package)
        done = debian.root.run(*command)
        assert f"written: /srv/inner{PLUGINS} " in done.out
        debian.root.run(
            "dpkg", "--root=/srv/inner", "--force-script-chrootless", "-r", "dropin-cache"
        )
        assert not debian.root.exists(f"/srv/inner{PLUGINS}/dropin.cache")
        assert debian.root.exists(f"{PLUGINS}/dropin.cache")


class TestPythonVersion:
    """Debian's python3 changes its default version."""

    def test_runtime_hook(self, debian: Debian) -> None:
        """Its maintainer script has the caches updated, at the end."""
        debian.root.run("rm", f"{PLUGINS}/dropin.cache")
        script = "/var/lib/dpkg/info/python3.postinst"
        environment = {"DPKG_MAINTSCRIPT_PACKAGE": "python3", "DPKG_MAINTSCRIPT_NAME": "postinst"}
        debian.root.run(script, "configure", f"3.{MINOR - 1}.6-1", env=environment)
        assert (
            "it" == debian.root.run("dpkg-query", "-Wf${db:Status-Abbrev}", "dropin-cache").out[:2]
        )
        debian.root.run("dpkg", "--triggers-only", "-a")
        debian.assert_fresh()
