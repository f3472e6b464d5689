"""The manual pages say what the commands do, and are well formed."""

from __future__ import annotations

import argparse
import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from command_line import run
from conftest import missing
from dropin_cache import _quick
from dropin_cache.commands import explain, listing, options
from dropin_cache.update import report, session
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.sandbox import limits
from dropin_cache.update.settings import configuration

PAGES = Path(__file__).resolve().parents[2] / "hooks" / "man"
COMMAND, UPDATE, FILE, GUIDE = (
    PAGES / name
    for name in (
        "dropin-cache.1",
        "update-dropin-cache.8",
        "dropin-cache.conf.5",
        "dropin-cache.7",
    )
)


def section(page, title):
    """Return the source of a section of a page."""
    text = page.read_text(encoding="ascii")
    (found,) = re.findall(rf"^\.Sh {title}\n(.*?)(?=^\.Sh |\Z)", text, re.MULTILINE | re.DOTALL)
    return found


def flags(text):
    """Return the options that are marked as such."""
    lines = [line for line in text.splitlines() if re.match(r"\.(It|Op|Nm|Fl)\b", line)]
    # `q | v` and `q , -quiet` stand for several.
    return {f"-{name}" for name in re.findall(r"(?:\bFl|[|,]) (-?[\w-]+)", "\n".join(lines))}


def options_of(parser):
    """Return the options that a parser takes."""
    return set(parser._option_string_actions)


def subparsers():
    """Return the parsers of the commands, by name."""
    (action,) = (
        action
        for action in options.build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return action.choices


def synopses(page, name):
    """Return what a page has for each command in its synopsis, by the command's name."""
    parts = re.split(rf"^\.Nm(?: {name})?$", section(page, "SYNOPSIS"), flags=re.MULTILINE)
    found = [re.match(r"\n\.Cm (\w+)\n(.*)", part, re.DOTALL) for part in parts]
    return {match[1]: match[2] for match in found if match}


# Each of these has a long name, and a synopsis has room for one.
SHORT = {"-h", "--help", "--quiet", "--verbose"}


class TestCommand:
    """dropin-cache(1)."""

    def test_options(self):
        """It explains every option there is, and none that is not."""
        every = options_of(options.build_parser()).union(*map(options_of, subparsers().values()))

        assert every == flags(section(COMMAND, "OPTIONS"))

    def test_commands(self):
        """It explains every command there is, and none that is not."""
        listed = re.findall(r"^\.It Cm (\w+)$", section(COMMAND, "DESCRIPTION"), re.MULTILINE)

        assert list(subparsers()) == listed
        assert set(listed) == set(synopses(COMMAND, "dropin-cache"))

    def test_synopsis(self):
        """Each command has its own options."""
        for name, text in synopses(COMMAND, "dropin-cache").items():
            assert options_of(subparsers()[name]) - SHORT == flags(text), name

    def test_exit_statuses(self):
        """The exit statuses are those of --help."""
        listed = re.findall(r"^\.It (\d+)$", section(COMMAND, "EXIT STATUS"), re.MULTILINE)

        assert re.findall(r"^  (\d)  ", options.build_parser().epilog, re.MULTILINE) == listed

    def test_tiers(self):
        """It explains the sandboxes that can be asked for."""
        (action,) = (
            action for action in subparsers()["update"]._actions if action.dest == "sandbox"
        )
        listed = re.findall(r"^\.It Cm (\w+)$", section(COMMAND, "SANDBOX"), re.MULTILINE)

        assert list(action.choices) == ["auto", *listed]

    @pytest.mark.processes
    def test_json(self, tree):
        """The example of the output in JSON has the members that the output has."""
        tree.application()
        tree.dropin("good")
        tree.write("app/plugins/bad.py", "import nosuch")
        (text,) = re.findall(
            r"^\.Bd -literal.*?\n(.*?)^\.Ed",
            section(COMMAND, "JSON OUTPUT"),
            re.MULTILINE | re.DOTALL,
        )
        run("update", "-q", "--path", tree.path, "app.plugins")
        printed = json.loads(run("check", "--json", "--path", tree.path, "app.plugins").out)

        assert shape(printed) == shape(json.loads(text))

    @pytest.mark.parametrize(
        ("command", "members"),
        [("list", ["plugins", *listing.Row._fields]), ("explain", explain.Explanation._fields)],
    )
    def test_json_members(self, command, members):
        """The members that it names are those that are printed."""
        (text,) = re.findall(
            rf"^\.Cm {command}\nprints (.*?)(?=^\.Pp|\Z)",
            section(COMMAND, "JSON OUTPUT"),
            re.MULTILINE | re.DOTALL,
        )
        lines = re.findall(r"^\.Li (.*)$", text, re.MULTILINE)

        assert list(members) == re.findall(r"\w+", " ".join(lines))

    def test_states(self):
        """The states are those that a report can have."""
        text = section(COMMAND, "JSON OUTPUT")
        words = re.findall(r"^\.Cm (\w+(?: , \w+)*)", text, re.MULTILINE)
        named = {word for line in words for word in line.split(" , ")} - set(subparsers())
        states = {
            *(report.WRITTEN, report.UNCHANGED, report.REMOVED, report.REFUSED, report.FAILED),
            *(report.FRESH, report.STALE, report.MISSING, report.CORRUPT),
        }

        assert states == named

    def test_files(self):
        """The files are where the program looks for them."""
        named = re.findall(r"^\.It Pa (\S+)$", section(COMMAND, "FILES"), re.MULTILINE)
        expected = {
            configuration.MAIN_FILE,
            *(f"{directory}/*.conf" for directory in configuration.PACKAGE_DIRECTORIES),
            *(f"{_quick.STATE_DIRECTORY}/*.{name}" for name in ("ledger", "stamps")),
        }

        assert expected <= set(named)


def shape(value):
    """Return a value without the numbers and texts in it."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return None


class TestUpdate:
    """update-dropin-cache(8)."""

    def test_synopsis(self):
        """It has the options of the update."""
        assert options_of(subparsers()["update"]) - SHORT == flags(section(UPDATE, "SYNOPSIS"))


class TestFile:
    """dropin-cache.conf(5)."""

    def test_keys(self):
        """It explains every key there is, and none that is not."""
        listed = re.findall(r"^\.It Cm (\S+)$", section(FILE, "DROPIN-CACHE.CONF"), re.MULTILINE)

        assert sorted(configuration._KEYS) == sorted(listed)

    def test_defaults(self):
        """The limits are those of the program."""
        found = dict(
            re.findall(
                r"^\.It Cm (\S+)\n(?:(?!\.It ).*\n)*?The default is (\d+)\.$",
                section(FILE, "DROPIN-CACHE.CONF"),
                re.MULTILINE,
            )
        )
        default = limits.Limits()
        expected = {
            "timeout": session.TIMEOUT,
            "cpu": default.cpu,
            "memory": default.memory >> 20,
            "processes": default.processes,
            "descriptors": default.descriptors,
            "file-size": default.file_size >> 20,
        }

        assert expected == {name: int(number) for name, number in found.items()}

    def test_greatest_number(self):
        """So is the greatest number."""
        (number,) = re.findall(r"at most (\d+)\.", FILE.read_text(encoding="ascii"))

        assert configuration._MAX_NUMBER == int(number)

    def test_examples(self, tmp_path):
        """The examples are understood."""
        text = section(FILE, "EXAMPLES")
        main, packages = re.findall(r"^\.Bd .*?\n(.*?)^\.Ed", text, re.MULTILINE | re.DOTALL)
        for name, content in (
            (configuration.MAIN_FILE, main),
            (f"{configuration.PACKAGE_DIRECTORIES[0]}/example.conf", packages),
            ("/etc/group", "staff:x:50:\n"),
        ):
            path = tmp_path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        with Files(enforced=False, root=str(tmp_path)) as files:
            settings = configuration.load(files)

        assert (
            configuration.Settings(
                interpreters=("/usr/local/bin/python3.13",),
                trusted_groups=frozenset({50}),
                timeout=60.0,
                packages=(
                    configuration.PackageLine("example.plugins", ("/usr/share/example/python",)),
                ),
            )
            == settings
        )


class TestGuide:
    """dropin-cache(7)."""

    tool = runpy.run_path(str(PAGES.parents[1] / "tools" / "make_manual.py"))

    def test_made(self):
        """It is what tools/make_manual.py makes of docs/administration.md."""
        date = GUIDE.read_text(encoding="ascii").splitlines()[1]
        document = self.tool["SOURCE"].read_text(encoding="utf-8")

        assert self.tool["convert"](document, date) == GUIDE.read_text(encoding="ascii")

    def test_markdown(self):
        """It understands what the document uses."""
        document = """\
# Title

Words with `code --all`. See [There](there.md).
.Not a request.

<!-- not run: no -->
```console
$ a \\ b

.c
```

## Part

### Smaller

- One
  more.
- `.two`

| a | b |
|---|---|
| `c` | D. E. |
"""
        expected = r"""
Words with \fBcode \-\-all\fR.
See There (there.md). .Not a request.
.Bd -literal -offset indent
$ a \e b

\&.c
.Ed
.Sh PART
.Ss Smaller
.Bl -bullet
.It
One more.
.It
\fB.two\fR
.El
.Bl -tag -width Ds
.It \fBc\fR
D.
E.
.El
"""
        made = self.tool["convert"](document, ".Dd March 1, 2026")

        assert expected == made.removeprefix(
            self.tool["HEAD"].format(date=".Dd March 1, 2026").rstrip()
        ).removesuffix(self.tool["TAIL"])

    def test_named_by_units(self):
        """Each unit names it."""
        units = (PAGES.parent / "systemd").iterdir()

        assert {True} == {
            "\nDocumentation=man:dropin-cache(7) " in each.read_text() for each in units
        }


@pytest.mark.processes
class TestForm:
    """How the pages are written."""

    @pytest.mark.parametrize("page", sorted(PAGES.iterdir()), ids=lambda page: page.name)
    def test_mandoc(self, page):
        """The reference implementation of the language has no remarks."""
        mandoc = shutil.which("mandoc")
        if mandoc is None:
            missing("mandoc")
        # Which other pages this machine has, and in what order their index is, is its own affair.
        done = subprocess.run(
            [mandoc, "-T", "lint", "-W", "style", str(page)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        remarks = [
            line
            for line in (done.stdout + done.stderr).splitlines()
            if not re.search(r"outdated mandoc\.db|referenced manual not found", line)
        ]

        assert [] == remarks

    @pytest.mark.parametrize("page", sorted(PAGES.iterdir()), ids=lambda page: page.name)
    def test_groff(self, page):
        """The implementation that most systems have, has no warnings."""
        groff = shutil.which("groff")
        if groff is None:
            missing("groff")
        done = subprocess.run(
            [groff, "-mdoc", "-Tascii", "-ww", "-z", str(page)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
