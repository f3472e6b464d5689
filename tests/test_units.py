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
SERVICES.remove(UNITS / "dropin-cache-first-boot.service")  # it starts another one, and no more


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

    @pytest.mark.processes
    def test_places(self):
        """Packages make it watch both kinds of directories of each Python there may be."""
        unit = (UNITS / "dropin-cache.path").read_text(encoding="utf-8")
        command = [str(UNITS.parent / "each-version"), "9", "11"]
        made = subprocess.run(
            command, check=True, input=unit, capture_output=True, text=True
        ).stdout
        lines = [line for line in made.splitlines() if line.startswith("PathChanged=")]
        kinds = ("lib/python3.{}/dist", "lib/python3.{}/site", "lib64/python3.{}/site")

        assert lines == [
            f"PathChanged=/usr/local/{kind.format(minor)}-packages"
            for kind in kinds
            for minor in (9, 10, 11)
        ]
        assert len(unit.splitlines()) + 6 == len(made.splitlines())

    @pytest.mark.parametrize("kind", ["path", "timer"])
    def test_installed(self, kind):
        """It can be enabled, and then is where systemd has such units."""
        parser = configparser.ConfigParser(strict=False)
        parser.read(UNITS / f"dropin-cache.{kind}")

        assert {"wantedby": f"{kind}s.target"} == dict(parser["Install"])
