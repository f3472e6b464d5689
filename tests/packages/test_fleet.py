"""The Ansible collection on hosts that systemd has booted: three of Debian, one with RPMs."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator

import pytest

from debian_support import DIST, Debian, built_packages
from fleet_support import SUITES, Fleet, Run, address, ansible, debian, fleet, with_rpm

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("fleet")]

HOSTS = (*SUITES, "rpm")
DOWN = "down"
PLUGINS = {"rpm": "/usr/lib/python3.11/site-packages/twisted/plugins"}
"""Where Twisted's plugin modules are, if not where Debian has them."""

SITE = """
- name: All hosts
  hosts: all
  roles:
    - dropin_cache.site.dropin_cache
"""
UPDATE = """
- name: Caches
  hosts: all
  gather_facts: false
  tasks:
    - name: Bring them up to date
      dropin_cache.site.dropin_cache: {}
"""
FAILING = UPDATE.replace("{}", "{broken: fail}")
LOOK = """
- name: Caches
  hosts: all
  gather_facts: false
  tasks:
    - name: Look at them
      dropin_cache.site.dropin_cache_info:
      register: caches
    - name: Tell
      ansible.builtin.debug:
        msg: "{{ inventory_hostname }} {{ caches.fresh }} {{ caches.stale | join(' ') }}"
"""
COPY = """
- name: Software that no package manager brings
  hosts: all
  gather_facts: false
  tasks:
    - name: Unpack it, with the times that its files have
      ansible.builtin.unarchive: {src: software.tar, dest: /opt}
    - name: Write its cache
      dropin_cache.site.dropin_cache: {packages: [twisted.plugins], path: [/opt/software]}
"""
PACKAGE = """
- name: A package with plugins, on half of the hosts
  hosts: trixie:rpm
  tasks:
    - name: Install it
      ansible.builtin.package:
        name: python3-daphne
        state: "{{ wanted | default('present') }}"
        use: "{{ dropin_cache_package_manager | default(ansible_facts.pkg_mgr) }}"
    - name: See whether there is anything to do
      dropin_cache.site.dropin_cache: {}
      register: caches
      failed_when: caches is changed
"""
UPGRADE = """
- name: Another release of Twisted
  hosts: bookworm
  gather_facts: false
  tasks:
    - name: Upgrade it
      ansible.builtin.apt: {deb: "{{ twisted }}"}
    - name: See whether there is anything to do
      dropin_cache.site.dropin_cache: {}
      register: caches
      failed_when: caches is changed
"""
MODULE = """
from zope.interface import provider
from twisted.application.service import IServiceMaker
from twisted.plugin import IPlugin
@provider(IPlugin, IServiceMaker)
class Maker:
    tapname = description = {name!r}
    options = None
"""


def plugins(host: str) -> str:
    """Return the directory of Twisted's plugins on a host."""
    return PLUGINS.get(host, f"{DIST}/twisted/plugins")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Hosts that have nothing of ours yet, and an inventory that also has one that is down."""
    place = tmp_path_factory.mktemp("control")
    packages = built_packages(tmp_path_factory)
    files = [
        next(packages.glob(f"{name}_*.deb")) for name in ("python3-dropin-cache", "dropin-cache")
    ]
    lines = ["all:", "  vars: {ansible_user: root, ansible_python_interpreter: /usr/bin/python3}"]
    lines += ["  children:", "    debian:", "      vars:", "        dropin_cache_package_files:"]
    lines += [f"          - {file}" for file in files]
    lines += ["      hosts:"]
    lines += [
        f"        {name}: {{ansible_host: {address(at)}}}" for at, name in enumerate(SUITES, 2)
    ]
    lines += [f"        {DOWN}: {{ansible_host: {address(99)}}}"]
    manager = "dropin_cache_package_manager: dnf"
    lines += ["    others:", f"      hosts: {{rpm: {{ansible_host: {address(5)}, {manager}}}}}", ""]
    (place / "inventory.yml").write_text("\n".join(lines))
    bases = {**{suite: debian(suite) for suite in SUITES}, "rpm": with_rpm(tmp_path_factory)}
    with fleet(bases, ansible("NEW"), place) as booted:
        yield booted


@pytest.fixture(scope="module")
def converged(hosts: Fleet) -> tuple[Fleet, Run, Run, Run]:
    """The hosts with our packages; and how check mode, the first and the second run went."""
    runs = [hosts.control.play(SITE, *options, status=4) for options in (["--check"], [], [])]
    for number, run in enumerate(runs):
        (hosts.control.place / f"run-{number}.txt").write_text(run.done.out)
    return (hosts, *runs)


@pytest.fixture
def ready(converged: tuple[Fleet, Run, Run, Run]) -> Iterator[Fleet]:
    """The hosts with our packages. What a test changes, it changes back."""
    booted = converged[0]
    yield booted
    booted.control.play(UPDATE, "--limit", f"!{DOWN}")


def told(run: Run) -> dict[str, str]:
    """Return what the play `LOOK` tells of each host."""
    return dict(re.findall(r'"msg": "(\S+) (.*)"', run.done.out))


def test_converges(converged: tuple[Fleet, Run, Run, Run]) -> None:
    """The second run changes nothing, and a host that is down stops no other."""
    booted, dry, first, second = converged
    others = dict.fromkeys(sorted(HOSTS), 0)
    for run in (dry, first, second):
        assert {**others, DOWN: 1} == run.count("unreachable")
        assert {**others, DOWN: 0} == run.count("failed")
    assert min(count for name, count in dry.count("changed").items() if name != DOWN) > 0
    assert min(count for name, count in first.count("changed").items() if name != DOWN) > 0
    assert {**others, DOWN: 0} == second.count("changed")
    for name in HOSTS:
        assert booted.hosts[name].exists(f"{plugins(name)}/dropin.cache")
        active = booted.hosts[name].run("systemctl", "is-active", "dropin-cache.path").out
        assert "active\n" == active


def test_equal_caches(ready: Fleet) -> None:
    """The same files have the same cache on every host, whatever Python and Twisted it has."""
    with tarfile.open(ready.control.place / "software.tar", "w") as archive:
        for name in ("one", "two"):
            member = tarfile.TarInfo(f"software/twisted/plugins/{name}.py")
            text = MODULE.format(name=name).encode()
            member.size, member.mtime = len(text), 1_700_000_000
            archive.addfile(member, io.BytesIO(text))
    ready.control.play(COPY, "--limit", f"!{DOWN}")
    cache = "opt/software/twisted/plugins/dropin.cache"
    contents = {name: (host.path / cache).read_bytes() for name, host in ready.hosts.items()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    assert dict.fromkeys(HOSTS, hashes["sid"]) == hashes
    again = ready.control.play(COPY, "--limit", f"!{DOWN}")
    assert {0} == set(again.count("changed").values())


def test_package_with_plugins(ready: Fleet) -> None:
    """What a package manager installs has been seen to by its hook before the module asks."""
    ready.control.play(PACKAGE)
    listed = {
        name: "twisted.plugins.fd_endpoint" in host.run("dropin-cache", "list").out
        for name, host in ready.hosts.items()
    }
    assert {"bookworm": False, "trixie": True, "sid": False, "rpm": True} == listed
    ready.control.play(PACKAGE, "--extra-vars", "wanted=absent")
    assert "fd_endpoint" not in ready.hosts["trixie"].run("dropin-cache", "list").out


def test_upgrade_of_twisted(ready: Fleet) -> None:
    """Another release of Twisted is seen to by the hook, too."""
    system = Debian(ready.hosts["bookworm"])
    more = '\nnamedAgain = ServiceMaker("again", "twisted.names.tap", "For a test.", "again")\n'
    package = system.repack("python3-twisted", "99.0-1", "twisted_names", more)
    ready.control.play(UPGRADE, "--extra-vars", f"twisted={package}")
    assert "twisted_names.namedAgain" in system.assert_fresh().plugins


def test_stale(ready: Fleet) -> None:
    """The modules tell which hosts are stale, what would be done, and do it once."""
    cache = ready.hosts["trixie"].path / plugins("trixie")[1:] / "dropin.cache"
    cache.unlink()
    found = told(ready.control.play(LOOK, "--limit", f"!{DOWN}"))
    fresh = dict.fromkeys(HOSTS, "True ")
    assert {**fresh, "trixie": f"False {plugins('trixie')}"} == found
    expected = {**dict.fromkeys(HOSTS, 0), "trixie": 1}
    dry = ready.control.play(UPDATE, "--limit", f"!{DOWN}", "--check", "--diff")
    assert expected == dry.count("changed")
    assert f"{plugins('trixie')}/dropin.cache: written\n" in dry.done.out
    assert "  twisted.plugins.twisted_web: it is not in the cache\n" in dry.done.out
    assert not cache.exists()
    assert expected == ready.control.play(UPDATE, "--limit", f"!{DOWN}").count("changed")
    again = ready.control.play(UPDATE, "--limit", f"!{DOWN}")
    assert dict.fromkeys(HOSTS, 0) == again.count("changed")


def test_broken(ready: Fleet) -> None:
    """A plugin module that cannot be imported is a warning, or a failure if that is wanted."""
    module = f"{plugins('sid')}/broken_here.py"
    ready.hosts["sid"].write(module, "import nothing_of_that_name\n")
    try:
        run = ready.control.play(UPDATE, "--limit", f"!{DOWN}")
        assert {0} == set(run.count("failed").values())
        assert "twisted.plugins.broken_here is broken: ModuleNotFoundError" in (
            " ".join((run.done.out + run.done.err).split())
        )
        failed = ready.control.play(FAILING, "--limit", f"!{DOWN}", status=2)
        assert {**dict.fromkeys(HOSTS, 0), "sid": 1} == failed.count("failed")
    finally:
        (ready.hosts["sid"].path / module[1:]).unlink()


def test_removed(hosts: Fleet, converged: tuple[Fleet, Run, Run, Run]) -> None:
    """The role takes everything back."""
    assert converged
    options = ("--extra-vars", "dropin_cache_state=absent", "--limit", f"!{DOWN}")
    hosts.control.play(SITE, *options)
    again = hosts.control.play(SITE, *options)
    assert dict.fromkeys(HOSTS, 0) == again.count("changed")
    for host in hosts.hosts.values():
        found = host.run("find", "/etc", "/run", "/usr", "/var/lib", "-name", "*dropin*cache*")
        left = [name for name in found.out.splitlines() if "/twisted/plugins/" not in name]
        assert [] == [name for name in left if not is_apts(name)]


def is_apts(name: str) -> bool:
    """Tell whether a file is a record of package managers', which they keep of what was there."""
    return name.startswith(("/var/lib/dnf/", "/var/lib/systemd/deb-systemd-helper-"))
