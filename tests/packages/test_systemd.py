"""The units, in systems that systemd has booted: what pip installs there is cached."""

from __future__ import annotations

import contextlib
import os

import pytest

from conftest import LONG
from installs import wheel
from roots import MINOR
from systemd_support import BASE, DIST, LANDLOCK, LOCAL, TREE, UNITS, Booted, install

NOBODY = 65534
PLUGINS = f"{LOCAL}/twisted/plugins"
SERVICE = "dropin-cache.service"
VENV = "/srv/app/venv"
SITE = f"{VENV}/lib/python3.{MINOR}/site-packages"

pytestmark = pytest.mark.xdist_group("systemd")


@contextlib.contextmanager
def booted(*options):
    """Boot a system with the project; the options are those of `Booted`."""
    system = Booted(BASE, *options)
    try:
        install(system)
        system.run("systemctl", "daemon-reload")
        yield system
    finally:
        system.close()


@pytest.fixture
def system():
    """A system of its own."""
    with booted() as system:
        yield system


@pytest.fixture(scope="module")
def shared():
    """A system in which units are only looked at."""
    with booted() as system:
        yield system


def plugin(system, name, version="1"):
    """Put a wheel with a drop-in for Twisted into the system; return its path there."""
    text = f"""
from zope.interface import implementer
from twisted.plugin import IPlugin
from twisted.application.service import IServiceMaker

@implementer(IPlugin, IServiceMaker)
class Maker:
    tapname = "{name}"
    description = "The plugin of {name}."
    options = None

    def makeService(self, options):
        return None

{name} = Maker()
"""
    where = system.path / "srv/wheels"
    file = wheel(where, name, {f"twisted/plugins/{name}.py": text}, version=version)
    return f"/srv/wheels/{file.name}"


def pip(system, *arguments, python="/usr/bin/python3", **options):
    """Run pip as root does."""
    environment = {"PIP_NO_INDEX": "1", "PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_NO_DEPS": "1"}
    environment.update(PIP_ROOT_USER_ACTION="ignore", PIP_DISABLE_PIP_VERSION_CHECK="1")
    return system.run(python, "-m", "pip", "-q", *arguments, env=environment, **options)


def read(system, python="/usr/bin/python3"):
    """Have stock Twisted read its caches, as an ordinary user; return what there is, by title.

    That fails if it has to import a drop-in, writes, or has something to say.
    """
    system.copy(TREE / "tools" / "read_with_twisted.py", "/srv/read.py")
    lines = system.run(python, "-B", "/srv/read.py", user=NOBODY).out.splitlines()
    return {line[:36].strip(): int(line[36:]) for line in lines[:-1]}


class TestForm:
    """The units as files."""

    def test_verify(self, shared):
        """Systemd has nothing to say about any of them, nor about an instance."""
        names = [unit.name.replace("@.", "@srv-app.") for unit in UNITS.iterdir()]
        done = shared.run("systemd-analyze", "verify", *names, status=None)

        assert (0, "", "") == done

    @pytest.mark.parametrize("unit", ["dropin-cache.path", "dropin-cache.timer"])
    def test_enabled(self, shared, unit):
        """What is to be enabled is started at boot, and when."""
        shared.run("systemctl", "enable", unit)
        kind = unit.partition(".")[2]

        assert shared.exists(f"/etc/systemd/system/{kind}s.target.wants/{unit}")

    def test_timer(self, shared):
        """The timer starts the service some time within a day or two."""
        shared.run("systemctl", "start", "dropin-cache.timer")

        assert SERVICE == shared.property("dropin-cache.timer", "Unit")
        assert shared.property("dropin-cache.timer", "NextElapseUSecRealtime")


class TestService:
    """dropin-cache.service."""

    def test_sandbox(self, system):
        """It writes the system's caches under all its restrictions, and says in which sandbox."""
        system.run("systemctl", "start", SERVICE)

        assert "success" == system.property(SERVICE, "Result")
        assert "plugin modules are imported in the sandbox landlock\n" in system.journal(SERVICE)
        assert 1 == read(system)["caches"]

    def test_broken(self, system):
        """A drop-in that cannot be imported is in the journal, and no failure."""
        system.write(f"{PLUGINS}/bad.py", "import nosuch")
        system.run("systemctl", "start", SERVICE)

        assert "success" == system.property(SERVICE, "Result")
        assert "twisted.plugins.bad is left out: ModuleNotFoundError" in system.journal(SERVICE)


class TestContainer:
    """A container that forbids Landlock, as systemd-nspawn does by default on Debian 12."""

    @pytest.fixture
    def container(self):
        """The container."""
        with booted(f"~{LANDLOCK}") as system:
            yield system

    def start(self, system, unit):
        """Start a service when something is new; return what it has said, line by line."""
        system.write(f"{DIST}/twisted/plugins/new.py", "")
        system.run("systemctl", "start", unit)
        said = system.journal(unit)
        return [line for line in said.splitlines() if line.startswith("dropin-cache: ")]

    def test_service(self, container):
        """The service says once that it cannot work here, and is no failure; a hook can."""
        (said,) = self.start(container, SERVICE)

        assert said.startswith("dropin-cache: error: no sandbox to import plugin modules in: ")
        assert "Landlock is forbidden here" in said
        assert "success" == container.property(SERVICE, "Result")
        assert "" == container.run("systemctl", "--failed", "--plain", "--no-legend").out
        assert "sandbox namespace\n" in container.run("update-dropin-cache").out

    def test_user(self, container):
        """With the page for administrators, the unit's own restrictions are the sandbox."""
        page = (TREE / "docs" / "administration.md").read_text(encoding="utf-8")
        (dropin,) = (
            block.partition("```")[0]
            for block in page.split("```ini\n")[1:]
            if block.startswith("# /etc/systemd/system/dropin-cache.service.d/user.conf")
        )
        container.write(dropin.splitlines()[0][2:], dropin)
        container.run("systemctl", "daemon-reload")

        assert [] == self.start(container, SERVICE)
        container.run("dropin-cache", "check")


class TestPath:
    """dropin-cache.path."""

    def test_pip(self, system):
        """What pip installs into /usr/local is cached there, and what it removes is not."""
        system.run("systemctl", "start", SERVICE, "dropin-cache.path")
        before = read(system)
        runs = system.runs(SERVICE)
        pip(system, "install", plugin(system, "quick"))
        system.wait_until_idle(SERVICE, runs)
        installed = read(system)
        runs = system.runs(SERVICE)
        pip(system, "uninstall", "-y", "quick")
        system.wait_until_idle(SERVICE, runs)

        assert (1, 2) == (before["caches"], installed["caches"])
        assert before["IServiceMaker"] + 1 == installed["IServiceMaker"]
        assert before == read(system)
        assert not system.exists(f"{LOCAL}/twisted")

    def test_many(self, system):
        """However many installations follow each other, the last one is not lost."""
        number = 100 if LONG else 6
        system.run("systemctl", "start", SERVICE, "dropin-cache.path")
        before = read(system)
        runs = system.runs(SERVICE)
        wheels = [plugin(system, f"quick{each}") for each in range(number)]
        for each in wheels:
            pip(system, "install", "--no-compile", each)
        system.wait_until_idle(SERVICE, runs)

        assert before["IServiceMaker"] + number == read(system)["IServiceMaker"]
        assert "waiting" == system.property("dropin-cache.path", "SubState")

    def test_slow(self, system):
        """An installation that takes longer than an update is waited for."""
        system.run("systemctl", "start", SERVICE, "dropin-cache.path")
        before = read(system)
        runs = system.runs(SERVICE)
        program = f"mkdir {LOCAL}/slow; for i in 1 2 3 4; do sleep 1.5; : >{LOCAL}/slow/$i; done"
        name = plugin(system, "slow").rpartition("/")[2]
        unpack = (
            f"cd {LOCAL}/slow && python3 -m zipfile -e /srv/wheels/{name} . && cp -r twisted .."
        )
        system.run("sh", "-c", f"{program}; {unpack}")
        system.wait_until_idle(SERVICE, runs)

        assert before["IServiceMaker"] + 1 == read(system)["IServiceMaker"]

    def test_later(self, system):
        """A directory that is not there yet is waited for."""
        system.run("systemctl", "start", "dropin-cache.path")
        runs = system.runs(SERVICE)
        system.run("mkdir", "-p", f"/usr/local/lib/python3.{MINOR + 2}/site-packages")
        system.wait_until_idle(SERVICE, runs)

        assert "success" == system.property(SERVICE, "Result")


class TestInstance:
    """dropin-cache@.path."""

    def _environment(self, system, owner="root"):
        """Make a virtual environment that has Twisted from the system."""
        system.run("mkdir", "-p", os.path.dirname(VENV))
        system.run("python3", "-m", "venv", "--system-site-packages", "--without-pip", VENV)
        system.run("chown", "-R", owner, os.path.dirname(VENV))
        escaped = system.run("systemd-escape", "--path", SITE).out.strip()
        system.run("systemctl", "start", SERVICE, f"dropin-cache@{escaped}.path")
        return f"dropin-cache@{escaped}.service"

    def test_roots(self, system):
        """A virtual environment that is root's is updated as the system is."""
        service = self._environment(system)
        pip(system, "--python", f"{VENV}/bin/python", "install", plugin(system, "quick"))
        system.wait_until_idle(service)

        assert "success" == system.property(service, "Result"), system.journal(service)
        assert "plugin modules are imported in the sandbox landlock\n" in system.journal(service)
        assert 2 == read(system, f"{VENV}/bin/python")["caches"]

    def test_users(self, system):
        """One that is a user's is updated by that user, as the page for administrators has it."""
        page = (TREE / "docs" / "administration.md").read_text(encoding="utf-8")
        (dropin,) = (
            block.partition("```")[0]
            for block in page.split("```ini\n")[1:]
            if block.startswith("# /etc/systemd/system/dropin-cache@")
        )
        system.run("useradd", "--system", "app")
        where = dropin.splitlines()[0][2:]
        system.write(
            where.replace("INSTANCE", f"srv-app-venv-lib-python3.{MINOR}-site\\x2dpackages"), dropin
        )
        service = self._environment(system, "app")
        user = int(system.run("id", "-u", "app").out)
        pip(system, "--python", f"{VENV}/bin/python", "install", plugin(system, "quick"), user=user)
        system.wait_until_idle(service)

        assert "success" == system.property(service, "Result"), system.journal(service)
        assert user == (system.path / SITE[1:] / "twisted/plugins/dropin.cache").stat().st_uid
        assert 2 == read(system, f"{VENV}/bin/python")["caches"]


class TestHook:
    """The hook of pip in the system's own Python; it needs no systemd, only the same system."""

    def test_root(self, system):
        """What root's pip installs below /usr/local is cached when pip ends."""
        system.run("dropin-cache", "update", "-q")
        enabled = system.run("dropin-cache", "hook", "enable").out
        before = read(system)
        done = pip(system, "install", plugin(system, "quick"))
        installed = read(system)
        pip(system, "uninstall", "-y", "quick")

        assert f"enabled: {LOCAL}/dropin-cache.pth\n" == enabled
        assert (
            f"dropin-cache: written: {PLUGINS} (twisted.plugins: 1 module, 1 plugin)\n" == done.err
        )
        assert (before["caches"] + 1, before) == (installed["caches"], read(system))

    def test_user(self, system):
        """What a user's pip installs for that user is cached there, by that user."""
        system.run("dropin-cache", "update", "-q")
        system.run("dropin-cache", "hook", "enable")
        system.run("useradd", "--create-home", "me")
        user = int(system.run("id", "-u", "me").out)
        home = {"HOME": "/home/me", "PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_NO_INDEX": "1"}
        command = ["python3", "-m", "pip", "install", "-q", "--user", plugin(system, "mine")]
        done = system.run(*command, "--no-deps", user=user, env=home)
        cache = system.path / f"home/me/.local/lib/python3.{MINOR}/site-packages/twisted/plugins"

        assert 1 == done.err.count("dropin-cache: "), done
        assert user == (cache / "dropin.cache").stat().st_uid
