"""What root's commands open, execute and connect to: all of it is accounted for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import bare_environment, mounted_image, no_process_left
from conftest import Tree
from environments import Environment
from hostile_callers import Opened, environment, opened_by_root, traced

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.geteuid() != 0, reason="it is root's commands that matter"),
]

# The system's own, which only root can change: libraries, programs, what programs read at their
# start, package managers' databases, and our places.
_SYSTEM = (
    *("/usr", "/lib", "/lib64", "/bin", "/sbin", "/proc", "/dev/null", "/dev/urandom", "/sys/fs"),
    *(f"/etc/{name}" for name in ("ld.so.cache", "ld.so.preload", "localtime", "passwd", "group")),
    *(f"/etc/{name}" for name in ("nsswitch.conf", "dropin-cache", "dpkg", "rpm", "popt")),
    *("/var/lib/dpkg", "/var/lib/rpm", "/var/lib/dropin-cache", "/var/cache/dropin-cache"),
    *("/run/lock/dropin-cache", "/run/dropin-cache", "/root/.rpmmacros", "/root/.popt"),
    # Where the C library looks for users, nss(5).
    *("/run/systemd/userdb", "/etc/userdb", "/run/userdb", "/run/host", "/var/run/nscd/socket"),
)
# Of what is shown to children, root looks at the kind and the owner; nothing there is followed.
_SHOWN = ("/etc", "/lib32", "/libx32")
_COMMANDS = (
    ["update", "--force", "app.plugins"],
    ["list", "--package", "app.plugins"],
    ["check", "app.plugins"],
    ["explain", "app.plugins.hello"],
    ["clean"],
)
# One that imports, and one that does not.
commands = pytest.mark.parametrize(
    "command",
    [pytest.param(each, id=each[0]) for each in _COMMANDS[:2]]
    + [pytest.param(each, id=each[0], marks=pytest.mark.long) for each in _COMMANDS[2:]],
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment that has what plugin modules need, and nothing else."""
    return bare_environment(tmp_path_factory.mktemp("bare") / "environment")


def opened(log: Path, hostile: Path, *command: str) -> list[Opened]:
    """Run a command with everything hostile around; return what root has opened."""
    log.mkdir()
    start = traced(log, environment(hostile))
    with no_process_left():
        done = subprocess.run(
            [*start, sys.executable, "-I", "-B", "-m", "dropin_cache", *command],
            cwd=hostile,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 1, 3}, done.stderr
    return list(opened_by_root(log))


def unaccounted(found: list[Opened], *places: Path) -> Iterator[Opened]:
    """Yield what belongs neither to the system nor to some places, nor is a way there."""
    there = [*_SYSTEM, sys.prefix, sys.base_prefix, *map(str, places)]
    there += [str(Path(entry).resolve()) for entry in sys.path if entry]
    ways = {"/", *(str(above) for each in there for above in Path(each).parents)}
    for each in found:
        path = os.path.normpath(each.path)
        inside = any(path == place or path.startswith(f"{place}/") for place in there)
        inside |= path.startswith(_SHOWN) and "O_NOFOLLOW" in each.rest
        # A copy of a database, in a directory by mkdtemp(3).
        inside |= path.startswith("/var/tmp/dropin-cache-")  # noqa: S108 - see above
        way = path in ways and ("O_PATH" in each.rest or "O_DIRECTORY" in each.rest)
        missing = "ENOENT" in each.rest and each.call.startswith("exec")
        if not inside and not way and not missing:
            yield each


def blocking(found: list[Opened], *below: Path) -> list[Opened]:
    """Return what is a FIFO below a place and was opened so that it could block."""
    return [
        each
        for each in found
        if each.path.startswith(tuple(map(str, below)))
        and Path(each.path).is_fifo()
        and "O_NONBLOCK" not in each.rest
        and "O_PATH" not in each.rest
    ]


@pytest.fixture
def hostile(public_path: Path) -> Path:
    """A directory of somebody's, which is root's home and working directory here."""
    path = public_path / "hostile"
    path.mkdir(mode=0o777)
    return path


class TestMachine:
    """Commands about this machine."""

    @commands
    def test_accounted(
        self, public_path: Path, hostile: Path, bare: Environment, command: list[str]
    ) -> None:
        """They open what is the system's, what they are about, and nothing else."""
        site = Tree(public_path / "site")
        site.application()
        site.dropin("hello")
        command = [*command, "--path", str(site.path), "--python", bare.python]
        found = opened(public_path / "log", hostile, *command)
        assert [] == list(unaccounted(found, site.path, bare.path))
        assert [] == blocking(found, public_path)

    def test_run(self, public_path: Path, hostile: Path) -> None:
        """Of another user's environment, where root works, only the owner is looked at."""
        venv = hostile / ".venv"
        for directory in ("bin", "lib/python3.11"):
            (venv / directory).mkdir(parents=True)
        os.mkfifo(venv / "pyvenv.cfg")
        (venv / "bin" / "python").symlink_to("/usr/bin/true")
        (venv / "lib" / "python3.11" / "site-packages").symlink_to("/")
        subprocess.run(["chown", "-Rh", "64111", hostile], check=True)
        found = opened(public_path / "log", hostile, "run", "--", "/usr/bin/true")
        assert [] == [each for each in unaccounted(found) if not is_look(each)]
        assert [] == blocking(found, public_path)


def is_look(each: Opened) -> bool:
    """Tell whether only the kind and the owner of something were to be had."""
    return "O_PATH" in each.rest and "O_NOFOLLOW" in each.rest


class TestImage:
    """Commands about an image that is full of traps."""

    @commands
    def test_accounted(
        self, public_path: Path, hostile: Path, bare: Environment, command: list[str]
    ) -> None:
        """They open nothing outside of it but the system's, and nothing that blocks."""
        with mounted_image(public_path / "image") as image:
            site = Tree(image / "opt" / "site")
            site.application()
            site.dropin("hello")
            for name in ("zope", "dropin_cache"):
                shutil.copytree(bare.site / name, site.path / name)
            traps(image, site.path, public_path / "secret")
            command = [*command, "--root", str(image), "--path", "/opt/site"]
            found = opened(public_path / "log", hostile, *command)
            assert [] == list(unaccounted(found, image))
            assert [] == blocking(found, public_path)


def traps(image: Path, site: Path, secret: Path) -> None:
    """Fill an image with FIFOs, and with links that lead out of it."""
    secret.mkdir()
    (secret / "METADATA").write_text("Name: secret\n\n")
    for number, name in enumerate(("RECORD", "METADATA", "entry_points.txt", "INSTALLER")):
        fifo = site / f"fifo{number}-1.dist-info"
        fifo.mkdir()
        os.mkfifo(fifo / name)
        link = site / f"link{number}-1.dist-info"
        link.mkdir()
        (link / name).symlink_to(secret / "METADATA")
    (site / "out-1.dist-info").symlink_to(secret)
    os.mkfifo(site / "app" / "plugins" / "pipe.py")
    (site / "app" / "plugins" / "out.py").symlink_to(secret / "METADATA")
    os.mkfifo(site / "trap.pth")
    for name in ("dpkg", "rpm"):
        (image / "var" / "lib" / name).mkdir(parents=True)
    os.mkfifo(image / "var" / "lib" / "dpkg" / "status")
    (image / "var" / "lib" / "dpkg" / "info").symlink_to(secret)
    os.mkfifo(image / "var" / "lib" / "rpm" / "rpmdb.sqlite")
    (image / "etc" / "dropin-cache").mkdir(parents=True)
    (image / "etc" / "dropin-cache" / "packages.d").symlink_to(secret)
    (image / "etc" / "passwd").symlink_to("/etc/shadow")
