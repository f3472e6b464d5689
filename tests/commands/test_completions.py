"""The shell completions are those of the commands as they are, and work in the shells."""

from __future__ import annotations

import argparse
import os
import pty
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import run
from conftest import Tree, missing
from dropin_cache.commands import options

TREE = Path(__file__).resolve().parents[2]
COMPLETIONS = TREE / "hooks" / "completions"


def subparsers():
    """Return the parsers of the commands, by name."""
    (action,) = (
        action
        for action in options.build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return action.choices


def long_options(command):
    """Return the long options of a command."""
    return {option for option in subparsers()[command]._option_string_actions if option[:2] == "--"}


def tiers():
    """Return what --sandbox can be."""
    (action,) = (each for each in subparsers()["update"]._actions if each.dest == "sandbox")
    return set(action.choices)


class TestGenerated:
    """The files in the tree."""

    def test_fresh(self):
        """They are what tools/make_completions.py makes of the commands."""
        # Distributions have other releases than the one that is asked for; nox has that.
        pytest.importorskip("shtab")
        generated = runpy.run_path(str(TREE / "tools" / "make_completions.py"))["generate"]()
        present = {path.name: path.read_text(encoding="utf-8") for path in COMPLETIONS.iterdir()}
        alias = {name for name in present if "update-dropin-cache" in name}

        assert generated == {name: present[name] for name in present.keys() - alias}
        assert {name.replace("dropin", "update-dropin") for name in generated} == alias


def found(name):
    """Return the path of a shell."""
    path = shutil.which(name)
    if path is None:
        missing(name)
    return path


class Shell:
    """A shell that completes command lines."""

    def __init__(self, home):
        command = home / "bin" / "dropin-cache"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dropin_cache "$@"\n')
        command.chmod(0o755)
        self.environment = {
            "HOME": str(home),
            "ZDOTDIR": str(home),
            "PATH": f"{command.parent}:/usr/bin:/bin",
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
            "LINES": "100",
            "COLUMNS": "300",
        }

    def run(self, *command):
        """Run a command and return the lines that it prints."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        )
        assert "" == done.stderr
        return done.stdout.splitlines()


class Bash(Shell):
    """bash(1)."""

    more = ""

    def complete(self, line):
        """Return what can follow."""
        command, *words = line.split(" ")
        script = f"""
            source "{COMPLETIONS}/{command}.bash"
            {self.more}
            COMP_WORDS=({command} "$@") COMP_CWORD=$#
            set -- $(complete -p {command})
            while [ "$1" != -F ]; do shift; done
            "$2"
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        return set(self.run(found("bash"), "--norc", "-c", script, "bash", *words))


class Fish(Shell):
    """fish(1)."""

    def complete(self, line):
        """Return what can follow."""
        # It would load them itself if there were commands of these names on its PATH.
        script = f"for file in '{COMPLETIONS}'/*.fish; source $file; end; complete -C '{line}'"
        lines = self.run(found("fish"), "--no-config", "-c", script)
        return {each.partition("\t")[0] for each in lines}


class Zsh(Shell):
    """zsh(1), which completes only at a terminal, but tells its functions what it would show."""

    def complete(self, line):
        """Return what can follow."""
        home = Path(self.environment["HOME"])
        (home / "offered").write_text("")
        (home / ".zshrc").write_text(
            f"""
            fpath=("{COMPLETIONS}" $fpath)
            autoload -Uz compinit && compinit -u -D
            compadd() {{
                # With one of these options it is only asked something.
                (( ${{argv[(I)-[OAD]]}} )) && {{ builtin compadd "$@"; return }}
                # Nothing is shown in the end: nobody reads what would soon fill the terminal.
                local -a offered
                builtin compadd -O offered "$@"
                print -rl -- $offered >>"{home}/offered"
            }}
            complete-line() {{ _main_complete }}
            zle -C complete-line complete-word complete-line
            bindkey '^X' complete-line
            leave() {{ exit }}
            zle -N leave
            bindkey '^Y' leave
            """
        )
        terminal, end = pty.openpty()
        try:
            process = subprocess.Popen(
                [found("setsid"), "--ctty", "--wait", found("zsh"), "-d", "-i"],
                stdin=end,
                stdout=end,
                stderr=end,
                env=self.environment,
            )
            os.write(terminal, f"{line}\x18\x19".encode())
            assert 0 == process.wait(timeout=60)
        finally:
            os.close(end)
            os.close(terminal)
        return set((home / "offered").read_text().split())


@pytest.fixture(params=[Bash, Fish, Zsh], ids=["bash", "fish", "zsh"])
def shell(request, tmp_path):
    """A shell of each kind."""
    return request.param(tmp_path)


@pytest.mark.processes
class TestShells:
    """What can follow, as the shells say."""

    def test_commands(self, shell):
        """After the program's name come the commands."""
        assert set(subparsers()) <= shell.complete("dropin-cache ")

    def test_command(self, shell):
        """The beginning of a command is completed."""
        assert "update" in shell.complete("dropin-cache up")

    @pytest.mark.parametrize("command", sorted(subparsers()))
    def test_options(self, shell, command):
        """After a command come its own options."""
        every = set().union(*map(long_options, subparsers()))
        offered = {word.partition("=")[0] for word in shell.complete(f"dropin-cache {command} --")}

        assert long_options(command) == every & offered

    def test_update(self, shell):
        """The other name of the update has the options of the update, and no others."""
        every = set().union(*map(long_options, subparsers()))
        offered = {word.partition("=")[0] for word in shell.complete("update-dropin-cache --")}

        assert long_options("update") == every & offered

    @pytest.mark.parametrize("command", ["dropin-cache update", "update-dropin-cache"])
    def test_choices(self, shell, command):
        """The sandboxes are offered."""
        assert tiers() <= shell.complete(f"{command} --sandbox ")

    @pytest.mark.parametrize("command", ["dropin-cache update", "update-dropin-cache"])
    def test_directories(self, shell, tmp_path, command):
        """Directories are."""
        (tmp_path / "one").mkdir()
        (tmp_path / "other").mkdir()
        offered = shell.complete(f"{command} --path {tmp_path}/o")

        assert {"one", "other"} <= {Path(word).name for word in offered}


@pytest.fixture
def known(tree: Tree) -> Path:
    """A tree with caches, in which somebody has given a plugin a name that shells would run."""
    tree.application()
    tree.dropin("hello", "ILoudGreeter")
    plugins = tree.path / "app" / "plugins"
    with (plugins / "hello.py").open("a") as file:
        file.write(f"globals()['$(touch {tree.path}/run)'] = globals()['`touch run`'] = plugin\n")
    (tree.path / "dropin_cache").mkdir()
    (plugins / "__init__.py").unlink()
    plugins.rename(tree.path / "dropin_cache" / "plugins")
    assert 0 == run("update", "dropin_cache.plugins", "--path", tree.path).status
    return tree.path


@pytest.mark.processes
class TestKnown:
    """What the caches know."""

    MODULE = "dropin_cache.plugins.hello"

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("update {} ", {"dropin_cache.plugins"}),
            ("list {} --package ", {"dropin_cache.plugins"}),
            ("list {} --interface app", {"app.interfaces.IGreeter", "app.interfaces.ILoudGreeter"}),
            ("explain {} dropin_cache.plugins.h", {MODULE, f"{MODULE}.plugin"}),
        ],
    )
    def test_offered(self, shell, known, line, expected):
        """Packages, interfaces, modules and plugins are, of what the command line is about."""
        offered = shell.complete("dropin-cache " + line.format(f"--path {known}"))

        assert expected == {name for name in offered if re.match(r"(app|dropin_cache)\.", name)}
        assert not (known / "run").exists()

    def test_nothing(self, shell, tmp_path):
        """Where the selection means nothing, nothing is offered, and nothing said."""
        offered = shell.complete(f"dropin-cache list --path {tmp_path}/none --package ")

        assert not {name for name in offered if "." in name}


@pytest.mark.processes
class TestRun:
    """What follows `run`."""

    @pytest.mark.parametrize("options", ["", "--python /x ", "--color never -- "])
    def test_command(self, shell, options):
        """It is a command."""
        offered = shell.complete(f"dropin-cache run {options}dropin-c")

        assert {"dropin-cache"} == {Path(name).name for name in offered}

    def test_its_options(self, shell):
        """What follows that is its own: options of `run` are not offered any more."""
        offered = shell.complete("dropin-cache run true --")

        assert not {"--python", "--path", "--color"} & offered

    def test_its_arguments(self, shell, tmp_path):
        """Its arguments are completed as without us."""
        (tmp_path / "xyz").mkdir()
        offered = shell.complete(f"dropin-cache run --color=never cat {tmp_path}/x")

        assert {"xyz"} == {Path(name).name for name in offered}

    @pytest.mark.parametrize("function", ["_comp_command_offset", "_command_offset"])
    def test_bash_completion(self, tmp_path, function):
        """Where bash-completion is loaded, it knows the arguments of the command."""
        shell = Bash(tmp_path)
        shell.more = f'{function}() {{ COMPREPLY=("word $1"); }}'

        assert {"word 4"} == shell.complete("dropin-cache run --python /x make ")
