"""The scriptlets of the RPM packages: when they run what, and that they never fail."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

import rpm_support
from roots import SLOW
from rpm_support import PLUGINS, SITE, make_package, paths, rpm

_DROPIN = """
from twisted.plugin import IPlugin
from zope.interface import implementer
@implementer(IPlugin)
class Plugin:
    pass
plugin = Plugin()
"""
# Writes down that it was called, and goes on.
_OBSERVER = """#!/bin/sh
echo "$*" >>/run/calls
exec /usr/bin/dropin-cache.real "$@"
"""


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rpm_support.Root]:
    """A system with the older Twisted and all of ours."""
    with rpm_support.started(rpm_support.with_software(tmp_path_factory)) as root:
        yield root


@pytest.fixture(scope="module")
def observing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rpm_support.Root]:
    """Another one, where the calls of the command are written down in /run/calls."""
    with rpm_support.started(rpm_support.with_software(tmp_path_factory)) as root:
        (root.path / "usr/bin/dropin-cache").rename(root.path / "usr/bin/dropin-cache.real")
        root.write("/usr/bin/dropin-cache", _OBSERVER, 0o755)
        yield root


@pytest.fixture
def observed(observing: rpm_support.Root) -> rpm_support.Root:
    """That, with no call yet."""
    observing.write("/run/calls", "")
    return observing


class TestFailures:
    """Whatever is wrong, a transaction succeeds, rpm reports no scriptlet, and people are told."""

    @pytest.mark.parametrize(
        ("statement", "error"),
        [
            (
                "import nothing_of_that_name",
                "ModuleNotFoundError: No module named 'nothing_of_that_name'",
            ),
            ("import os; os._exit(3)", "it ended the process with exit status 3"),
        ],
        ids=["raises", "exits"],
    )
    def test_broken(self, system, statement, error):
        """A drop-in that cannot be imported is named with its package; the others are cached."""
        files = {f"{PLUGINS}/broken.py": statement, f"{PLUGINS}/whole.py": _DROPIN}
        done = rpm(system, "--install", make_package(system, "some-plugins", files))
        assert "" == done.err
        assert error in done.out
        assert "some-plugins" in done.out
        cache = (system.path / f"{PLUGINS}/dropin.cache".lstrip("/")).read_bytes()
        assert (True, False) == (
            b"twisted.plugins.whole" in cache,
            b"twisted.plugins.broken" in cache,
        )

    def test_no_python(self, system):
        """Without an interpreter nothing changes; the next transaction makes up for it."""
        package = make_package(system, "some-plugins", {f"{PLUGINS}/whole.py": _DROPIN})
        system.run("mv", "/usr/bin/python3", "/usr/bin/python3.away")
        done = rpm(system, "--install", package)
        assert "" == done.err
        assert done.out.startswith("dropin-cache: warning: plugin caches were not updated: ")
        system.run("mv", "/usr/bin/python3.away", "/usr/bin/python3")
        done = rpm(system, "--install", make_package(system, "some-code", {f"{SITE}/some.py": ""}))
        assert f"written: {PLUGINS} (twisted.plugins: 21 modules, 46 plugins)\n" == done.out

    def test_half_installed(self, system):
        """The same goes for a library that lacks a part, as in the middle of an upgrade."""
        package = make_package(system, "some-plugins", {f"{PLUGINS}/whole.py": _DROPIN})
        system.run("mv", f"{SITE}/dropin_cache", f"{SITE}/away")
        done = rpm(system, "--install", package)
        assert "" == done.err
        assert "No module named 'dropin_cache'" in done.out

    def test_full_disk(self, system):
        """A cache for which there is no room stays as it is."""
        package = make_package(system, "some-plugins", {f"{SITE}/some.py": ""})
        system.run("sh", "-c", _FILL, "sh", PLUGINS)
        cache = system.path / f"{PLUGINS}/dropin.cache".lstrip("/")
        before = cache.read_bytes()
        done = rpm(system, "--install", package)
        assert "" == done.err
        assert "No space left on device" in done.out
        assert before == cache.read_bytes()
        assert ".new" not in system.run("ls", "--almost-all", PLUGINS).out

    def test_no_namespaces(self, system):
        """Where there can be no namespaces, the other sandbox does it."""
        self._install_confined(system, "")

    def test_no_sandbox(self, system):
        """Where no sandbox works that is allowed, nothing is imported."""
        system.write("/etc/dropin-cache/dropin-cache.conf", "sandbox = namespace\n")
        self._install_confined(
            system, "dropin-cache: error: no sandbox to import plugin modules in"
        )

    def _install_confined(self, system: rpm_support.Root, error: str) -> None:
        package = make_package(system, "some-plugins", {f"{PLUGINS}/whole.py": _DROPIN})
        system.run("mount", "--rbind", "/", "/mnt")
        # Without that capability there are only user namespaces, and none from a changed root.
        confined = ("setpriv", "--bounding-set=-sys_admin", "chroot", "/mnt")
        done = system.run(*confined, *rpm_support.RPM, "--install", package)
        assert "" == done.err
        assert error in done.out
        assert bool(error) != ("written: " in done.out)


# Puts a file system there that has the same files and no room for more.
_FILL = """
mkdir /run/small
mount -t tmpfs -o size=4m tmpfs /run/small
cp -a "$1"/. /run/small
touch /run/small/twisted_web.py
dd if=/dev/zero of=/run/small/filler bs=1k status=none || true
mount --bind /run/small "$1"
"""


class TestInterrupted:
    """Something ends rpm."""

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_during_the_trigger(self, system, number):
        """The next transaction does what is left, and nothing runs on."""
        package = make_package(system, "slow", {f"{PLUGINS}/slow.py": SLOW + _DROPIN})
        cache = system.path / f"{PLUGINS}/dropin.cache".lstrip("/")
        before = cache.read_bytes()
        system.interrupt(number, *rpm_support.RPM, "--install", package)
        assert before == cache.read_bytes()
        assert "slow-1-1.noarch\n" == rpm(system, "--query", "slow").out
        rpm(system, "--install", make_package(system, "some-code", {f"{SITE}/some.py": ""}))
        assert "slow" in rpm_support.cached(system)
        rpm_support.require_fresh(system, "python3-daphne", "python3-wokkel", "python3-autobahn")


class TestFilter:
    """Which packages start an update."""

    def test_data(self, observed):
        """Files that are no code start no Python."""
        files = {f"{SITE}/a/README": "", f"{SITE}/a/py/locale.mo": "", f"{SITE}/a/x.pyi": ""}
        rpm(observed, "--install", make_package(observed, "some-data", files))
        assert "" == observed.read("/run/calls")

    @pytest.mark.parametrize("name", ["b.py", "c.so", "d.pth", "e-1.dist-info/entry_points.txt"])
    def test_code(self, observed, name):
        """Files that plugins can be, or be imported from, start one update."""
        package = make_package(observed, f"some-{name[0]}", {f"{SITE}/{name}": ""})
        rpm(observed, "--install", package)
        assert "update --trigger\n" == observed.read("/run/calls")

    def test_upgrade(self, observed):
        """An upgrade starts two, since RPM does, and only one of them finds something to do."""
        newer = paths(observed, "python3-daphne-4.1.2")
        done = rpm(observed, "--upgrade", "--oldpackage", *newer)
        assert "update --trigger\n" * 2 == observed.read("/run/calls")
        assert "" == done.err
        assert 1 == done.out.count("written: ")

    def test_both_directories(self, observed):
        """A package with files in both of the library's directories starts one for each."""
        files = {f"{SITE}/f.py": "", f"{rpm_support.SITE64}/g.so": ""}
        rpm(observed, "--install", make_package(observed, "some-more", files))
        assert "update --trigger\n" * 2 == observed.read("/run/calls")

    def test_elsewhere(self, observed):
        """What lies elsewhere starts none."""
        files = {"/usr/share/some/module.py": "", "/usr/lib/pythonic.so": ""}
        rpm(observed, "--install", make_package(observed, "some-others", files))
        rpm(observed, "--erase", "some-others")
        assert "" == observed.read("/run/calls")


class TestMacros:
    """What packagers use."""

    def test_application(self, system):
        """A package with a plugin package of its own says so by macros, and RPM knows its cache."""
        (file,) = paths(system, "dropin-cache-rpm-macros")
        rpm(system, "--install", file)
        place = "/usr/share/example/python/example/plugins"
        package = make_package(
            system,
            "example",
            {
                "/usr/share/example/python/example/__init__.py": "",
                f"{place}/__init__.py": "",
                f"{place}/first.py": _DROPIN,
            },
            "%dropin_cache_package example.plugins /usr/share/example/python\n",
            f"%{{dropin_cache_packagesdir}}/%{{name}}.conf\n%dropin_cache_ghost {place}\n"
            "%dir /usr/share/example\n%dir /usr/share/example/python\n"
            f"%dir /usr/share/example/python/example\n%dir {place}\n"
            "%dropin_cache_triggers /usr/share/example/python/\n",
        )
        done = rpm(system, "--install", package)
        assert f"written: {place} (example.plugins: 1 module, 1 plugin)\n" == done.out
        configured = "/usr/lib/dropin-cache/packages.d/example.conf"
        assert "example.plugins /usr/share/example/python\n" == system.read(configured)
        assert (
            "example-1-1.noarch\n" == rpm(system, "--query", "--file", f"{place}/dropin.cache").out
        )
        more = make_package(system, "example-more", {f"{place}/second.py": _DROPIN})
        done = rpm(system, "--install", more)
        assert f"written: {place} (example.plugins: 2 modules, 2 plugins)\n" == done.out
        done = rpm(system, "--erase", "example-more")
        assert f"written: {place} (example.plugins: 1 module, 1 plugin)\n" == done.out
        rpm(system, "--erase", "example")
        assert not system.exists("/usr/share/example")
        rpm(system, "--verify", "dropin-cache", "python3-dropin-cache")
