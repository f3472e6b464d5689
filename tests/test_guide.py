"""What the documents say is true: their code runs, and prints what they say it prints."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest

from command_line import IN_SANDBOX
from dropin_cache import cli
from dropin_cache.commands import options
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.settings import configuration

DOCUMENTS = Path(__file__).resolve().parent.parent
GUIDE = DOCUMENTS / "docs" / "plugins.md"
README = DOCUMENTS / "README.md"

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<excuse>[^>\n]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"# (\S+\.py)\n")


class Block(NamedTuple):
    """A piece of code in a document.

    Attributes:
        language: What it is: python, console, ini or toml.
        text: The code, or commands with their output.
        excuse: Why it is not run, or None.
    """

    language: str
    text: str
    excuse: str | None


def blocks_of(document):
    """Extract the code blocks of a Markdown file."""
    found = _BLOCK.finditer(document.read_text(encoding="utf-8"))
    return [Block(each["language"], each["text"], each["excuse"]) for each in found]


class Workplace:
    """A directory in which somebody follows a document, with an environment of its own.

    The documents call the directory /srv/example, and have Python 3.13. Whoever follows them is an
    ordinary user.
    """

    def __init__(self, path):
        self.path = path
        self.home = path / "home"
        self.home.mkdir(parents=True)
        self._install(path / "venv")

    def _install(self, venv):
        """Make a virtual environment with the project and what it needs, without a network."""
        command = [sys.executable, "-m", "venv", "--without-pip", str(venv)]
        subprocess.run(command, check=True, timeout=120)
        (site,) = venv.glob("lib/python3*/site-packages")
        for name in ("zope", "filelock", "dropin_cache"):
            source = next(iter(__import__(name).__path__))
            shutil.copytree(source, site / name, ignore=shutil.ignore_patterns("dropin.cache"))
        information = Path(str(metadata.distribution("dropin-cache")._path))
        shutil.copytree(information, site / information.name)
        script = venv / "bin" / "dropin-cache"
        script.write_text(
            f"#!{venv}/bin/python\nfrom dropin_cache.cli import main\nraise SystemExit(main())\n"
        )
        script.chmod(0o755)

    def follow(self, block):
        """Do what a block says and return the block as it would be with the real output."""
        act = {
            "python": self._write,
            "console": self._run,
            "ini": self._configure,
            "toml": str,  # part of a file that is another program's
        }
        return act[block.language](block.text)

    def _write(self, text):
        """Write a file, named in the first line."""
        name = _FILE.match(text)
        assert name is not None, f"which file is this?\n{text}"
        file = self.home / name[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return text

    def _run(self, text):
        """Run the commands of a block and put each one's output below it."""
        commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        script = ["say() { status=$?; printf '%s\\n' \"$1\"; return $status; }"]
        for command in commands:
            script += [f"say {shlex.quote('$ ' + command)}", command]
        done = subprocess.run(
            ["/bin/sh", "-c", "\n".join(script)],
            cwd=self.home,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
            timeout=300,
        )
        return (
            done.stdout.replace(str(self.home), "/srv/example")
            .replace(f"python3.{sys.version_info.minor}", "python3.13")
            .replace(IN_SANDBOX, "")
        )

    def _configure(self, text):
        """Write the configuration of an image, and read it."""
        image = self.path / "image"
        (image / "etc" / "dropin-cache").mkdir(parents=True)
        (image / "etc" / "group").write_text("root:x:0:\nstaff:x:50:\n")
        (image / "etc" / "dropin-cache" / "dropin-cache.conf").write_text(text)
        with Files(enforced=False, root=str(image)) as files:
            assert () == configuration.load(files).problems
        return text

    def _environment(self):
        return {
            "PATH": f"{self.path / 'venv' / 'bin'}:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"],
            # A file may be rewritten within the second that compiled files can tell.
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def follow(document, path):
    """Follow a document from its first line to its last, and compare on the way."""
    workplace = Workplace(path)
    for block in blocks_of(document):
        if block.excuse is None:
            assert block.text == workplace.follow(block)


class TestGuide:
    """The guide for authors."""

    @pytest.mark.processes
    def test_output(self, tmp_path):
        """Every file can be written, every command runs and prints what the guide says."""
        follow(GUIDE, tmp_path / "guide")

    def test_nothing_excused(self):
        """No block of the guide is left out."""
        assert [] == [block for block in blocks_of(GUIDE) if block.excuse is not None]

    @pytest.mark.parametrize("wanted", ["development directory", "installed", "of your own"])
    def test_arrangements(self, wanted):
        """Each arrangement has a section, in which both plates are displayed or one is."""
        text = GUIDE.read_text(encoding="utf-8")
        (section,) = re.findall(
            rf"^### [^\n]*{wanted}[^\n]*$(.*?)^##", text, re.MULTILINE | re.DOTALL
        )

        assert "python -m matsim\n" in section
        assert "plate: yields at" in section


class TestReadme:
    """What a stranger reads first."""

    @pytest.mark.processes
    def test_output(self, tmp_path):
        """The example works as it is written."""
        follow(README, tmp_path / "readme")

    def test_excuses(self):
        """Nothing is left out but what needs a network."""
        excuses = {block.excuse for block in blocks_of(README)}

        assert {None, "needs a network"} == excuses

    def test_options(self):
        """The tables name all options, and none that is not there."""
        main = options.build_parser()
        (commands,) = (
            action.choices for action in main._actions if isinstance(action.choices, dict)
        )
        taken = {
            option
            for parser in (main, *commands.values())
            for option in parser._option_string_actions
            if option not in {"-h", "--help", "--quiet", "--verbose"}
        }
        rows = re.findall(r"^\| (`-.+?) +\| \S", README.read_text(encoding="utf-8"), re.MULTILINE)

        assert taken == set(re.findall(r"(?<=`)--?[\w-]+", " ".join(rows)))

    def test_exit_statuses(self):
        """The table has the exit statuses that --help has."""
        rows = re.findall(r"^\| (\d) +\|", README.read_text(encoding="utf-8"), re.MULTILINE)

        assert re.findall(r"^  (\d)  ", options.build_parser().epilog, re.MULTILINE) == rows


class TestLinks:
    """References between the documents."""

    @pytest.mark.parametrize(
        "name",
        [
            "README.md",
            "docs/administration.md",
            "docs/architecture.md",
            "docs/arrangements.md",
            "docs/fleets.md",
            "docs/images.md",
            "docs/monitoring.md",
            "docs/packaging.md",
            "docs/plugins.md",
        ],
    )
    def test_targets_exist(self, name):
        """Every file that a document links to is there."""
        document = DOCUMENTS / name
        links = re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))

        assert [] == [link for link in links if not (document.parent / link).exists()]


class TestArchitecture:
    """What somebody reads before changing the code."""

    def test_modules(self):
        """The table of modules has all there are and no others, each with a name of its own."""
        package = Path(cli.__file__).parent
        modules = {
            str(file.relative_to(package).with_suffix(""))
            for file in package.rglob("*.py")
            if file.name not in {"__init__.py", "__main__.py"}
        }
        text = (DOCUMENTS / "docs" / "architecture.md").read_text(encoding="utf-8")
        (table,) = re.findall(r"^## Modules\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
        first_cells = re.findall(r"^\| (`.+?) +\|", table, re.MULTILINE)

        named = set(re.findall(r"`([\w/]+)`", " ".join(first_cells)))

        assert modules == named
        # Of those named last, one would be imported as the other somewhere.
        assert len(modules) == len({name.rpartition("/")[2] for name in modules})
