"""RPM packages in systems that do not run: with `rpm --root`, and as rpm-ostree installs them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

import rpm_support
from rpm_support import NOBODY, PLUGINS, PLUGINS64, SITE, SITE64, require_fresh, rpm

# rpm-ostree's own: src/libpriv/rpmostree-bwrap.cxx and rpmostree-scripts.cxx. The parts of /sys are
# not there on our systems.
_BUBBLEWRAP = shlex.split(
    """
bwrap --dev /dev --proc /proc --dir /run --dir /tmp --chdir / --die-with-parent
--unshare-pid --unshare-uts --unshare-ipc --unshare-cgroup-try --unshare-net
--cap-drop ALL --cap-add cap_chown --cap-add cap_dac_override --cap-add cap_fowner
--cap-add cap_fsetid --cap-add cap_kill --cap-add cap_setgid --cap-add cap_setuid
--cap-add cap_setpcap --cap-add cap_sys_chroot --cap-add cap_setfcap
--symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin --symlink usr/sbin /sbin
--bind /usr /usr --bind /etc /etc --ro-bind /var /var --tmpfs /var/tmp --tmpfs /run
"""
)
_TRIGGERIN = 1 << 16  # RPMSENSE_TRIGGERIN

# Our reader, as an application uses it. It prints what it had to import.
_READ = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
import twisted.plugins
from dropin_cache import getCache
print(len(getCache(twisted.plugins)), "drop-ins")
print(*(name for name in sys.modules if name.startswith("twisted.plugins.")))
"""


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rpm_support.Root]:
    """A system with stubs of what a distribution provides, and repositories."""
    with rpm_support.started(rpm_support.distribution(tmp_path_factory)) as root:
        yield root


def run_file_triggers(root: rpm_support.Root, package: str) -> list[str]:
    """Run the triggers of a package as rpm-ostree does; return what each printed.

    It runs those after an installation and no others, takes their prefixes for directories below
    /usr, and hands them everything that is in there.
    """
    each = "[%{TRANSFILETRIGGERNAME} %{TRANSFILETRIGGERINDEX} %{TRANSFILETRIGGERFLAGS}\\n]"
    triggers = [
        line.split() for line in rpm(root, "--query", "--qf", each, package).out.splitlines()
    ]
    scripts = rpm(root, "--query", "--qf", "[%{TRANSFILETRIGGERSCRIPTS}\x1e]", package).out.split(
        "\x1e"
    )
    printed = []
    for prefix, index, flags in triggers:
        # (Fedora has no directory /usr/lib/python3, as Debian has.)
        if not int(flags) & _TRIGGERIN or prefix == "/usr/lib/python3":
            continue
        files = root.run("find", prefix, "!", "-type", "d", status=None).out
        if files:
            root.write("/srv/files", files)
            with (root.path / "srv/files").open() as stdin:
                command = (*_BUBBLEWRAP, "/bin/sh", "-c", scripts[int(index)])
                done = root.run(*command, stdin=stdin, env={"SYSTEMD_OFFLINE": "1"})
            assert "" == done.err
            printed.append(done.out)
    return printed


class TestRpmOstree:
    """A tree that is put together by rpm-ostree."""

    def test_composed(self, system):
        """The one trigger that rpm-ostree runs writes the caches, and they outlive what follows."""
        files = rpm_support.paths(system, *rpm_support.SOFTWARE)
        rpm(system, "--install", "--noscripts", "--notriggers", *files)
        assert not system.exists(f"{PLUGINS}/dropin.cache")
        (printed,) = run_file_triggers(system, "dropin-cache")
        assert 2 == printed.count("written: ")
        assert system.exists(f"{PLUGINS}/dropin.cache")
        assert system.exists(f"{PLUGINS64}/dropin.cache")
        assert not system.exists("/var/cache/dropin-cache")
        require_fresh(system, "python3-daphne", "python3-wokkel", "python3-autobahn")
        # What is in a commit has no times, and nobody can write it. (Touching all of /usr would
        # copy all of it into memory.)
        flatten = ("-exec", "touch", "--no-dereference", "--date=@0", "{}", "+")
        system.run("find", SITE, SITE64, *flatten)
        system.run("sh", "-c", "mount --bind /usr /usr && mount -o remount,bind,ro /usr")
        for user in (NOBODY, None):
            done = system.run("/usr/bin/python3", "-I", "-c", _READ, user=user)
            assert ("22 drop-ins\n\n", "") == (done.out, done.err)


def make_image(root: rpm_support.Root) -> None:
    """Make a copy of the system in /srv/image."""
    layers = "lowerdir=/,upperdir=/run/image/upper,workdir=/run/image/work"
    root.run("mkdir", "-p", "/srv/image", "/run/image")
    root.run("mount", "-t", "tmpfs", "tmpfs", "/run/image")
    root.run("mkdir", "/run/image/upper", "/run/image/work")
    root.run("mount", "-t", "overlay", "-o", layers, "overlay", "/srv/image")


class TestImages:
    """A directory that is a system."""

    def test_with_proc(self, system):
        """In a root that has what builders of images mount, triggers do all there is to do."""
        make_image(system)
        system.run("mount", "-t", "proc", "proc", "/srv/image/proc")
        done = rpm(
            system,
            *("--root", "/srv/image", "--install"),
            *rpm_support.paths(system, *rpm_support.SOFTWARE),
        )
        assert 2 == done.out.count("written: ")
        system.run("chroot", "/srv/image", "dropin-cache", "check", "-q")
        assert not system.exists(f"{PLUGINS}/dropin.cache")

    def test_without_proc(self, system):
        """In a root that has nothing, they say so; the same can be done from outside afterwards."""
        *others, twisted, daphne, wokkel, autobahn = rpm_support.SOFTWARE[:-2]
        before = (*others, *rpm_support.OURS)
        rpm(system, "--install", *rpm_support.paths(system, *before))
        make_image(system)
        done = rpm(
            system,
            *("--root", "/srv/image", "--install"),
            *rpm_support.paths(system, twisted, daphne, wokkel, autobahn),
        )
        why = "dropin-cache: error: /proc is not mounted, so nothing was looked at\n"
        assert (why * 2, "") == (done.out, done.err)
        system.run("update-dropin-cache", "--root", "/srv/image")
        system.run("dropin-cache", "check", "-q", "--root", "/srv/image")
