"""The units for systemd, as files; `packages/test_systemd.py` has systemd run them."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import missing

UNITS = Path(__file__).resolve().parent.parent / "hooks" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))


def name(path):
    """Return the name of a file, for the name of a test."""
    return path.name


def settings(unit):
    """Return the lines of a unit that are settings."""
    lines = (UNITS / unit).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.match(r"\w+=", line)]


class TestService:
    """The services that run the writer."""

    @pytest.mark.processes
    @pytest.mark.parametrize("unit", SERVICES, ids=name)
    def test_exposure(self, unit):
        """What it could do if it were taken over is rated 1.0 at most, of 10."""
        if shutil.which("systemd-analyze") is None:
            missing("systemd-analyze")
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=10", str(unit)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if "Unknown" in done.stderr or "unrecognized option" in done.stderr:
            pytest.skip("this systemd-analyze looks at running units only")

        assert 0 == done.returncode, done.stdout[-200:] + done.stderr

    def test_alike(self):
        """The template is the same as the other, but for which environment it is about."""
        one, other = (settings(f"dropin-cache{each}.service") for each in ("", "@"))
        differing = {line.partition("=")[0] for line in {*one} ^ {*other}}

        assert {"Description", "ExecStart", "ReadWritePaths"} == differing
        assert len(one) == len(other)

    @pytest.mark.parametrize("unit", SERVICES, ids=name)
    def test_patient(self, unit):
        """Path units miss what happens meanwhile, so it waits, and may be started at any rate."""
        lines = settings(unit.name)

        assert "StartLimitIntervalSec=0" in lines
        assert [True] == ["--settle=" in line for line in lines if line.startswith("ExecStart=")]


class TestPath:
    """The units that start them."""

    def test_places(self):
        """It watches both kinds of directories of each Python that this project supports."""
        lines = [line for line in settings("dropin-cache.path") if "PathChanged" in line]
        found = {line.partition("/usr/local/")[2] for line in lines}
        text = (UNITS.parent.parent / "pyproject.toml").read_text(encoding="utf-8")
        versions = re.findall(r"Python :: (3\.\d+)", text)
        kinds = ("lib/python{}/dist", "lib/python{}/site", "lib64/python{}/site")
        expected = {f"{kind.format(each)}-packages" for kind in kinds for each in versions}

        assert set() == expected - found
        assert len(lines) == len(found)

    @pytest.mark.parametrize("kind", ["path", "timer"])
    def test_installed(self, kind):
        """It can be enabled, and then is where systemd has such units."""
        parser = configparser.ConfigParser(strict=False)
        parser.read(UNITS / f"dropin-cache.{kind}")

        assert {"wantedby": f"{kind}s.target"} == dict(parser["Install"])
