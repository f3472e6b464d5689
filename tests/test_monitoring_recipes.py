"""The recipes of docs/monitoring.md: each is taken from there, and does what it is for."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from command_line import Outcome
from conftest import Tree, missing

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "monitoring.md"
PROGRAM = "/usr/bin/dropin-cache"


def recipe(language: str, start: str) -> str:
    """Return the block of a language that begins in a certain way."""
    text = DOCUMENT.read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if block.startswith(start))
    return str(found)


def unit(name: str) -> configparser.ConfigParser:
    """Return a unit."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(recipe("ini", f"# /etc/systemd/system/{name}\n"))
    return parser


class Host:
    """A machine that is looked after: the program, and an application.

    Attributes:
        plugins: The application's plugin directory.
    """

    def __init__(self, path: Path, tree: Tree) -> None:
        """Put the program where recipes find it, such that it is about the application."""
        self.path = path
        self.plugins = tree.path / "dropin_cache" / "plugins"
        tree.write("dropin_cache/plugins/one.py")
        path.mkdir()
        program = path / "dropin-cache"
        options = f'"$@" --path {tree.path} dropin_cache.plugins'
        run = f"exec {sys.executable} -B -m dropin_cache"
        program.write_text(f"#!/bin/sh\n{run} {options}\n")
        program.chmod(0o755)

    def update(self) -> None:
        """Make its caches fresh."""
        subprocess.run([self.path / "dropin-cache", "update", "-q"], check=True)

    def run(self, command: list[str], **env: str) -> Outcome:
        """Run a command line in which programs have the paths that they usually have."""
        words = [word.replace("/usr/bin/", f"{self.path}/") for word in command]
        done = subprocess.run(
            words,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": f"{self.path}:/usr/bin:/bin", **env},
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def host(tmp_path: Path, tree: Tree) -> Host:
    """A machine."""
    return Host(tmp_path / "bin", tree)


@pytest.mark.processes
class TestNagios:
    """What runs plugins of Nagios'."""

    def commands(self) -> list[list[str]]:
        """Return the command lines of NRPE and of Icinga."""
        nrpe = recipe("ini", "# /etc/nagios/")
        icinga = recipe("icinga", "# /etc/icinga2/")
        (words,) = re.findall(r"^  command = (\[.*\])$", icinga, re.MULTILINE)
        return [shlex.split(nrpe.partition("]=")[2]), json.loads(words)]

    def test_states(self, host: Host) -> None:
        """They see a state, and that it changes."""
        for word, status in (("WARNING", 1), ("OK", 0)):
            for command in self.commands():
                outcome = host.run(command)
                assert (status, "") == (outcome.status, outcome.err)
                assert outcome.out.startswith(f"DROPIN_CACHE {word} - ")
            host.update()

    def test_environment(self, host: Host) -> None:
        """Icinga's argument is an option of the program's."""
        (option,) = re.findall(r'"(--\w+)" = ', recipe("icinga", "# /etc/icinga2/"))
        outcome = host.run([*self.commands()[1], option, "/nonexistent"])
        assert 3 == outcome.status
        assert outcome.out.startswith("DROPIN_CACHE UNKNOWN - cannot use the interpreter")


@pytest.mark.processes
class TestPrometheus:
    """The textfile collector of node_exporter."""

    def test_written(self, host: Host, tmp_path: Path) -> None:
        """There is a file with what Prometheus reads, and nothing else."""
        service = unit("dropin-cache-metrics.service")["Service"]
        name, _, default = service["Environment"].partition("=")
        metrics = tmp_path / Path(default).name
        for expected in (0, 1):
            outcome = host.run(shlex.split(service["ExecStart"]), **{name: str(metrics)})
            assert (0, "", "") == outcome
            samples = [
                sample
                for family in text_string_to_metric_families(metrics.read_text())
                for sample in family.samples
            ]
            values = {sample.name: sample.value for sample in samples}
            assert expected == values["dropin_cache_fresh"]
            told = re.findall(r"`(dropin_cache_\w+)[`\s]", DOCUMENT.read_text(encoding="utf-8"))
            assert set(values) == set(told)
            host.update()
        assert [metrics] == list(tmp_path.glob("*.prom*"))


class TestUnits:
    """Units of systemd."""

    @pytest.mark.processes
    def test_valid(self, tmp_path: Path, host: Host) -> None:
        """Systemd understands them."""
        if shutil.which("systemd-analyze") is None:
            missing("systemd-analyze")
        names = [
            "dropin-cache-metrics.service",
            "dropin-cache-metrics.timer",
            "dropin-cache-tell@.service",
        ]
        for name in names:
            text = recipe("ini", f"# /etc/systemd/system/{name}\n")
            (tmp_path / name).write_text(text)
        shown = [str(tmp_path / name.replace("@", "@x")) for name in names]
        (tmp_path / "dropin-cache-tell@x.service").write_text(
            (tmp_path / "dropin-cache-tell@.service").read_text()
        )
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *shown],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        )
        own = [line for line in done.stderr.splitlines() if "dropin-cache" in line]
        assert [] == own

    def test_on_failure(self) -> None:
        """What is started on failure is there."""
        named = unit("dropin-cache.service.d/tell.conf")["Unit"]["OnFailure"]
        assert "dropin-cache-tell@%N.service" == named
        assert unit("dropin-cache-tell@.service")["Service"]["ExecStart"]

    @pytest.mark.processes
    def test_told(self, host: Host) -> None:
        """Somebody is told of the state of the caches."""
        mail = host.path / "mail"
        mail.write_text('#!/bin/sh\necho "$@"; cat\n')
        mail.chmod(0o755)
        line = unit("dropin-cache-tell@.service")["Service"]["ExecStart"]
        outcome = host.run(shlex.split(line.replace("%i", "dropin-cache")))
        assert (0, "") == (outcome.status, outcome.err)
        assert outcome.out.startswith("-s dropin-cache has failed root\nmissing: ")


@pytest.mark.processes
class TestJournal:
    """What is looked for in the journal."""

    def test_lines(self, host: Host) -> None:
        """It is in the lines that are printed, and in no others."""
        (pattern,) = re.findall(r"--grep '(.*)'", recipe("sh", "journalctl "))
        (host.plugins / "bad.py").write_text("1/0")
        outcome = host.run([PROGRAM, "update"])
        lines = (outcome.out + outcome.err).splitlines()
        bad = "dropin-cache: warning: dropin_cache.plugins.bad is left out: ZeroDivisionError"
        assert [bad] == [line.rpartition(":")[0] for line in lines if re.search(pattern, line)]
        outcome = host.run([PROGRAM, "update", "--python", "/nonexistent"])
        assert re.search(pattern, outcome.err)


@pytest.mark.processes
class TestPrograms:
    """A program that reads JSON."""

    def test_report(self, host: Host, tmp_path: Path) -> None:
        """It prints what is wrong, and nothing else."""
        program = tmp_path / "report.py"
        program.write_text(recipe("python", "# report.py"))
        command = [sys.executable, str(program)]
        assert (0, f"{host.plugins} missing\n", "") == host.run(command)
        host.update()
        assert (0, "", "") == host.run(command)
        (host.path / "dropin-cache").write_text(
            f'#!/bin/sh\nexec {sys.executable} -m dropin_cache "$@" --python /nonexistent\n'
        )
        outcome = host.run(command)
        assert outcome.out.startswith("cannot use the interpreter /nonexistent: No such file")
