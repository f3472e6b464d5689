"""The command line as it is parsed; what the commands print of it is tested with them."""

from __future__ import annotations

import math
from importlib import metadata
from typing import Any

import pytest

from dropin_cache.commands.options import build_parser

ENVIRONMENT = {
    "version": None,
    "color": None,
    "python": [],
    "path": [],
    "root": None,
    "sandbox": "auto",
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "update": {
        **ENVIRONMENT,
        "packages": [],
        "json": False,
        "timeout": None,
        "lock_timeout": None,
        "force": False,
        "dry_run": False,
        "strict": False,
        "skip_without_sandbox": False,
        "settle": None,
        "trigger": False,
        "quiet": False,
        "verbose": False,
    },
    "check": {
        **ENVIRONMENT,
        "packages": [],
        "json": False,
        "format": "text",
        "timeout": None,
        "quiet": False,
        "verbose": False,
    },
    "list": {
        **ENVIRONMENT,
        "packages": [],
        "json": False,
        "interface": None,
        "package": [],
        "verbose": False,
    },
    "explain": {
        **ENVIRONMENT,
        "name": "a.b",
        "json": False,
        "timeout": None,
        "interface": None,
    },
    "clean": {**ENVIRONMENT, "lock_timeout": None, "quiet": False},
}


def parse(*arguments: str) -> dict[str, Any]:
    """Parse a command line, by the parser of all commands and by that of its own."""
    parsed = vars(build_parser().parse_args(arguments))
    assert parsed == vars(build_parser(arguments[0]).parse_args(arguments))
    return parsed


def refused(*arguments: str) -> None:
    """Make sure that a command line is an error of usage."""
    with pytest.raises(SystemExit) as caught:
        parse(*arguments)
    assert 2 == caught.value.code


class TestDefaults:
    """What is meant if nothing is said."""

    @pytest.mark.parametrize("command", DEFAULTS)
    def test_defaults(self, command: str) -> None:
        """Each command has these options, and no others."""
        name = ["a.b"] if command == "explain" else []
        assert {"command": command, **DEFAULTS[command]} == parse(command, *name)

    @pytest.mark.parametrize("command", DEFAULTS)
    def test_new_lists(self, command: str) -> None:
        """One command line knows nothing of another."""
        name = ["a.b"] if command == "explain" else []
        parse(command, *name, "--python", "x", "--path", "y")
        assert {"command": command, **DEFAULTS[command]} == parse(command, *name)


class TestOneCommand:
    """A parser that is made for one command."""

    @pytest.mark.parametrize("command", [*DEFAULTS, "hook", "run"])
    def test_help(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Of that command it knows everything, and of the others that they are there."""
        texts = []
        for only in (None, command):
            for arguments in (["--help"], [command, "--help"]):
                with pytest.raises(SystemExit):
                    build_parser(only).parse_args(arguments)
                texts.append(capsys.readouterr().out)
        assert texts[:2] == texts[2:]


class TestValues:
    """What is said."""

    @pytest.mark.parametrize("command", DEFAULTS)
    def test_environment(self, command: str) -> None:
        """Interpreters and paths add up, of the others the last counts."""
        name = ["a.b"] if command == "explain" else []
        arguments = ["--python", "a", "--path", "b", "--path", "c", "--python", "d"]
        arguments += ["--root", "e", "--root", "f", "--sandbox", "none", "--sandbox", "landlock"]
        found = parse(command, *name, *arguments)
        expected = {"python": ["a", "d"], "path": ["b", "c"], "root": "f", "sandbox": "landlock"}
        assert {**found, **expected} == found

    @pytest.mark.parametrize("tier", ["auto", "namespace", "landlock", "none"])
    def test_sandbox(self, tier: str) -> None:
        """There are these tiers of the sandbox."""
        assert tier == parse("update", "--sandbox", tier)["sandbox"]

    @pytest.mark.parametrize("tier", ["", "Namespace", "bwrap"])
    def test_no_sandbox(self, tier: str) -> None:
        """And no others."""
        refused("update", "--sandbox", tier)

    @pytest.mark.parametrize("option", ["--timeout", "--lock-timeout"])
    @pytest.mark.parametrize("text", ["1", "0.25", "1e3"])
    def test_seconds(self, option: str, text: str) -> None:
        """Times are in seconds."""
        found = parse("update", option, text)
        assert math.isclose(float(text), found[option[2:].replace("-", "_")])

    @pytest.mark.parametrize("text", ["-1", "nan", "inf", "1s", ""])
    def test_no_seconds(self, text: str) -> None:
        """Not every number is a time."""
        refused("update", f"--lock-timeout={text}")
        refused("update", f"--timeout={text}")

    def test_no_time(self) -> None:
        """Not to wait for another writer is possible, not to import for any time is not."""
        assert 0 == parse("clean", "--lock-timeout", "0")["lock_timeout"]
        refused("explain", "a", "--timeout", "0")

    def test_packages(self) -> None:
        """Packages are dotted names, for `list` also by an option."""
        found = parse("list", "a.b", "--package", "c", "--package", "d.e")
        assert (["a.b"], ["c", "d.e"]) == (found["packages"], found["package"])

    @pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b"])
    def test_no_packages(self, name: str) -> None:
        """Dots stand between names."""
        refused("update", name)
        refused("list", "--package", name)

    @pytest.mark.parametrize("names", [(), ("a", "b")])
    def test_explain(self, names: tuple[str, ...]) -> None:
        """To explain takes one name."""
        refused("explain", *names)

    @pytest.mark.parametrize("arguments", [(), ("none",), ("update", "-q", "-v"), ("clean", "a")])
    def test_nonsense(self, arguments: tuple[str, ...]) -> None:
        """What contradicts itself or means nothing is refused."""
        refused(*arguments)

    @pytest.mark.parametrize("option", ["--trig", "--forc", "--js"])
    def test_abbreviated(self, option: str) -> None:
        """Options are written in full: scripts that abbreviate them break with new ones."""
        refused("update", option)


class TestVersion:
    """--version."""

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It is that of the distribution, on standard output."""
        with pytest.raises(SystemExit) as caught:
            parse("--version")
        assert caught.value.code in {None, 0}
        assert (metadata.version("dropin-cache") + "\n", "") == capsys.readouterr()


class TestEmpty:
    """What is empty where something was to be selected, as a variable that is not set."""

    @pytest.mark.parametrize("option", ["--root", "--path", "--python"])
    @pytest.mark.parametrize("command", ["update", "check", "list", "clean", "explain", "run"])
    def test_refused(self, capsys: pytest.CaptureFixture[str], command: str, option: str) -> None:
        """It is a mistake, and never means all, or where this is run."""
        if (command, option) == ("run", "--root"):
            pytest.skip("there is no such option")
        rest = ["a.b"] if command in {"explain", "run"} else []
        with pytest.raises(SystemExit) as left:
            build_parser(command).parse_args([command, option, "", *rest])
        assert 2 == left.value.code
        message = f"dropin-cache: error: argument {option}: it is empty; is a variable not set?\n"
        assert capsys.readouterr().err.startswith(message)


def test_explain_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty name is no name."""
    refused("explain", "")
    assert "it is empty; is a variable not set?" in capsys.readouterr().err


def test_run_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Two dashes alone are no command."""
    with pytest.raises(SystemExit):
        build_parser("run").parse_args(["run", "--"])
    assert "the following arguments are required: COMMAND" in capsys.readouterr().err
