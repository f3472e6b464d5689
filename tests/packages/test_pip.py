"""The hook with pips from the oldest that run here to the newest, real plugin packages, and uv."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from command_line import no_process_left
from conftest import LONG, missing
from installs import CACHE, Place
from roots import cache

TREE = Path(__file__).resolve().parents[2]
READER = TREE / "tools" / "read_with_twisted.py"

# Which still start: 9 needs collections.Mapping, 19 and 20 what Python 3.12 removed, and so on.
PIPS = {
    (3, 9): ("9.0.3", "10.0.1", "18.1", "19.3.1", "20.3.4", "21.3.1", "22.3.1", "24.0"),
    (3, 10): ("19.3.1", "20.3.4", "21.3.1", "22.3.1", "23.3.2", "24.0", "25.0"),
    (3, 11): ("19.3.1", "20.3.4", "21.3.1", "22.3.1", "23.3.2", "24.0", "25.0"),
}.get(sys.version_info[:2], ("23.2.1", "23.3.2", "24.0", "25.0"))
NEWEST = "newest"
CHOSEN = [*PIPS, NEWEST] if LONG else [PIPS[0], NEWEST]

# What is fetched: sets of requirements that go together.
RELEASES = (
    ("Twisted==24.11.0", "daphne==4.1.2"),
    ("Twisted==26.10.0", "daphne==4.2.3", "wokkel", "autobahn", "magic-wormhole-transit-relay"),
    ("setuptools==68.2.2", "wheel", "filelock", "zope.interface", "flit_core", "uv"),
    *((f"pip=={pip}",) for pip in PIPS),
    ("pip",),
)

# Twisted, and what it needs.
TWISTED = (
    *("twisted", "attrs", "automat", "constantly", "hyperlink", "idna", "incremental"),
    *("packaging", "typing_extensions"),
)

# What it is changed to, and changed back.
TWISTEDS = ("24.11.0", "26.10.0") if LONG else ()

# Twenty distributions that the oldest pip can install: it knows no newer tags of platforms.
TWENTY = (
    *("asgiref", "Automat", "attrs", "cffi", "constantly", "daphne", "flit_core", "hyperlink"),
    *("idna", "incremental", "magic-wormhole-transit-relay", "packaging", "pycparser"),
    *("pyOpenSSL", "python-dateutil", "Twisted", "txaio", "typing_extensions", "tzdata", "wokkel"),
)

pytestmark = pytest.mark.xdist_group("pip")


@pytest.fixture(scope="session")
def house():
    """A directory of wheels, fetched once."""
    key = hashlib.sha256(repr((RELEASES, sys.version_info[:2])).encode()).hexdigest()[:12]
    directory = cache() / f"wheels-{key}"
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
                for release in RELEASES:
                    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--wheel-dir", temporary]
                    subprocess.run([*pip, *release], check=True)
                shutil.copytree(temporary, directory.with_suffix(".new"))
            directory.with_suffix(".new").rename(directory)
    return directory


class Real(Place):
    """An environment with a pip of its own, and with what the hook needs."""

    def __init__(self, path, house, pip):
        super().__init__(path)
        self.house = house
        (self.site / "pip").unlink()
        for name in ("zope", "filelock"):
            shutil.rmtree(self.site / name)
        for pattern in ("setuptools-68*", "wheel-*", "filelock-*", "zope*interface-*"):
            self.unpack(newest(house, pattern))
        self.unpack(newest(house, f"pip-{'*' if pip == NEWEST else pip}-py*"))

    def pip(self, *arguments, **options):
        """Run its pip, which finds distributions in the directory only."""
        env = {"PIP_FIND_LINKS": str(self.house), "PIP_QUIET": "1", "PIP_NO_COMPILE": "1"}
        return super().pip(*arguments, **{**options, "env": {**env, **options.pop("env", {})}})

    def twisted(self, *others):
        """Install Twisted, and others, without pip."""
        for name in (*TWISTED, *others):
            self.unpack(newest(self.house, f"{name}-*"))

    def read(self):
        """Have stock Twisted read its cache; return the drop-ins that are in it.

        That fails if it has to import a drop-in, writes, or has something to say.
        """
        done = self.run("-B", str(READER))
        assert 0 == done.status, done
        data = (self.site / "twisted" / "plugins" / CACHE).read_bytes()
        return set(re.findall(r"twisted\.plugins\.(\w+)", data.decode("latin-1")))


def newest(house, pattern):
    """Return the newest of the wheels with such a name."""

    def version(file):
        return [int(part) for part in re.findall(r"\d+", file.name.split("-")[1])]

    return max(house.glob(f"{pattern}.whl"), key=version)


@pytest.fixture(params=CHOSEN)
def real(request, tmp_path, house):
    """An environment with each pip, in which the hook is enabled."""
    with no_process_left():
        place = Real(tmp_path, house, request.param)
        place.command("hook", "enable")
        yield place


class TestLife:
    """From the first installation to the last removal."""

    def test_plugins(self, real):
        """Stock Twisted takes the cache as it is after each step, and what is gone is gone."""
        steps = [
            (("install", "daphne==4.1.2"), {"fd_endpoint"}, {"server"}),
            (("install", "-U", "daphne==4.2.3", "wokkel"), {"fd_endpoint", "server"}, set()),
            (("install", "daphne==4.1.2"), {"fd_endpoint", "server"}, set()),
            (("uninstall", "-y", "daphne"), {"server"}, {"fd_endpoint"}),
            (("uninstall", "-y", "wokkel"), {"twisted_web"}, {"fd_endpoint", "server"}),
            *((("install", f"Twisted=={each}"), {"twisted_web"}, set()) for each in TWISTEDS),
        ]
        real.twisted()
        for arguments, there, gone in steps:
            done = real.pip(*arguments, env={"PIP_NO_DEPS": "1"})
            found = real.read()

            assert 0 == done.status, done
            assert (there, set()) == (there & found, gone & found), arguments
        done = real.pip("uninstall", "-y", "Twisted")
        assert (0, []) == (done.status, list(real.site.rglob(CACHE)))

    def test_requirements(self, real, tmp_path):
        """Twenty packages in one go are one update."""
        (tmp_path / "requirements.txt").write_text("\n".join(TWENTY))
        done = real.pip("install", "--no-deps", "-r", str(tmp_path / "requirements.txt"))
        lines = [line for line in done.err.splitlines() if line.startswith("dropin-cache: ")]

        assert (0, 1) == (done.status, len(lines)), done
        assert {"fd_endpoint", "server"} <= real.read()

    def test_editable(self, real, tmp_path):
        """A project that is installed in place is found where it is."""
        real.twisted()
        plugins = tmp_path / "project" / "src" / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "editable.py").write_text("")
        (tmp_path / "project" / "setup.py").write_text(
            "from setuptools import setup\nsetup(name='mine', version='1', "
            "py_modules=['mine'], package_dir={'': 'src'})\n"
        )
        (plugins.parent.parent / "mine.py").write_text("")
        # The newest builds it in an environment of its own, with a pip that is none to the hook.
        done = real.pip("install", "-e", str(tmp_path / "project"))

        assert 0 == done.status, done
        assert (plugins / CACHE).exists()
        assert real.read()


class TestItself:
    """When pip changes what the hook or pip consist of."""

    def test_pip(self, real):
        """A pip that replaces itself ends as it would, and so does the next."""
        real.twisted()
        done = real.pip("install", "-U", "pip")
        after = real.pip("install", "--no-deps", "wokkel")

        assert (0, 0) == (done.status, after.status)
        assert "Traceback" not in done.err + after.err
        assert "server" in real.read()

    def test_needed(self, real):
        """What the update itself needs may come, and go."""
        real.twisted("wokkel")
        gone = real.pip("uninstall", "-y", "filelock")
        back = real.pip("install", "filelock")

        assert (0, 0) == (gone.status, back.status)
        assert "dropin-cache: " in gone.err
        assert "server" in real.read()

    def test_uninstalled(self, real):
        """With this project go its file and its caches, and those that are removed with it."""
        real.twisted("wokkel")
        real.command("update", "-q")
        before = list(real.site.rglob(CACHE))
        done = real.pip("uninstall", "-y", "dropin-cache", "wokkel")

        assert (0, 1) == (done.status, len(before))
        assert [] == list(real.site.rglob(CACHE))
        assert not (real.site / "dropin-cache.pth").exists()
        assert (0, "", "") == real.run("-c", "pass")
        assert 0 == real.pip("install", "--no-deps", "wokkel").status


class TestUv:
    """uv, which has no hooks."""

    @pytest.fixture
    def uv(self, tmp_path, house):
        """A command that runs uv without a network."""
        program = tmp_path / "uv"
        try:
            with zipfile.ZipFile(newest(house, "uv-*")) as archive:
                (member,) = (name for name in archive.namelist() if name.endswith("scripts/uv"))
                program.write_bytes(archive.read(member))
        except (OSError, ValueError):
            missing("uv")
        program.chmod(0o755)

        def run(place, *arguments, python=None):
            options = ["--python", python] if python else []
            env = {
                "UV_OFFLINE": "1",
                "UV_NO_INDEX": "1",
                "UV_FIND_LINKS": str(house),
                "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
                "UV_NO_CONFIG": "1",
                "VIRTUAL_ENV": str(place.environment.path),
            }
            command = ["run", *options, "--", str(program), "-q", "pip", *arguments]
            return place.command(*command, env=env)

        return run

    def test_life(self, tmp_path, house, uv):
        """What uv installs, upgrades and removes is cached as it is."""
        place = Real(tmp_path, house, NEWEST)
        steps = [
            (("install", "Twisted==24.11.0", "daphne==4.1.2"), {"fd_endpoint"}, {"server"}),
            (("install", "daphne==4.2.3", "wokkel"), {"fd_endpoint", "server"}, set()),
            (("uninstall", "daphne"), {"server"}, {"fd_endpoint"}),
        ]
        for arguments, there, gone in steps:
            done = uv(place, *arguments)
            found = place.read()

            assert (0, "") == (done.status, done.out), done
            assert (there, set()) == (there & found, gone & found), arguments

    def test_failure(self, tmp_path, house, uv):
        """Its failure is the exit status."""
        place = Real(tmp_path, house, NEWEST)

        assert 1 == uv(place, "install", "no-such-distribution-anywhere").status
