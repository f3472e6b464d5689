"""The Debian packages in a system that systemd has booted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from debian_support import NOBODY, PLUGINS, built_packages, witness
from roots import Root, prepared
from systemd_support import BASE, LOCAL, Booted

SERVICE = "dropin-cache.service"
CACHE = f"{PLUGINS}/dropin.cache"


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """A system that has our packages installed by dpkg."""
    packages = built_packages(tmp_path_factory)
    booted = Booted(BASE)
    try:
        booted.copy(packages, "/srv/debs")
        booted.run("sh", "-c", "dpkg -i /srv/debs/python3-dropin*.deb /srv/debs/dropin-cache_*.deb")
        yield booted
    finally:
        booted.close()


@pytest.mark.long
def test_first_boot(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An image without caches gets them when it starts first, if that is enabled."""
    packages = built_packages(tmp_path_factory)
    unit = "dropin-cache-first-boot.service"

    def change(root: Root) -> None:
        root.copy(packages, "/srv/debs")
        root.run("sh", "-c", "dpkg -i /srv/debs/python3-dropin*.deb /srv/debs/dropin-cache_*.deb")
        root.run("systemctl", "enable", unit)
        root.run("rm", "-f", CACHE, "/var/.updated")
        root.run("find", "/var/cache/dropin-cache", "-mindepth", "1", "-delete")

    booted = Booted(prepared(tmp_path_factory, "debian-first-boot", BASE, change))
    try:
        booted.wait_until_idle(SERVICE)
        assert booted.exists(CACHE)
        booted.run("dropin-cache", "check", "-q")
        # Debian 12 has no systemd-update-done.service, so this says for it that all has been done.
        booted.run("touch", "--reference=/usr", "/var/.updated")
        booted.run("systemctl", "start", unit)
        assert "no" == booted.property(unit, "ConditionResult")
        assert 1 == booted.runs(SERVICE)
    finally:
        booted.close()


class TestUnits:
    """What installing and removing does about units."""

    @pytest.fixture
    def started(self, system: Booted) -> list[str]:
        """The units that run after an installation, and those that can."""
        listed = system.run("systemctl", "list-units", "--plain", "--no-legend", "dropin-cache*")
        return sorted(line.split()[0] for line in listed.out.splitlines() if " active " in line)

    def test_enabled(self, system: Booted, started: list[str]) -> None:
        """What watches is enabled and running, as Debian has it; the rest waits for it."""
        assert ["dropin-cache.path", "dropin-cache.timer"] == started
        for unit, expected in (("dropin-cache.path", "enabled"), (SERVICE, "static")):
            done = system.run("systemctl", "is-enabled", unit, status=None)
            assert expected == done.out.strip()

    def test_watches(self, system: Booted) -> None:
        """What is put where pip installs is found; what dpkg installs needs no unit."""
        assert 0 == system.runs(SERVICE)
        system.write(f"{LOCAL}/twisted/plugins/local.py", witness())
        (Path(system.path) / LOCAL[1:] / "local-1.dist-info").mkdir()
        system.wait_until_idle(SERVICE)
        listed = system.run("dropin-cache", "list", user=NOBODY).out
        assert "twisted.plugins.local\n" in listed

    def test_removed(self, system: Booted) -> None:
        """Nothing is left of them."""
        system.run("dpkg", "-P", "dropin-cache", "python3-dropin-cache")
        listed = system.run("systemctl", "list-units", "--all", "--no-legend", "dropin-cache*")
        assert "" == listed.out
        places = ("/etc/systemd", "/run/systemd", "/var/lib/systemd", "/var/lib/dpkg/info")
        left = system.run("find", *places, "-name", "*dropin-cache*")
        assert "" == left.out
