"""What to do about names, paths and commands on a command line that mean nothing."""

from __future__ import annotations

import os
import shlex
from errno import EACCES, ENOENT, ENOEXEC

from dropin_cache import errors
from dropin_cache.commands.help_texts import PURPOSES
from dropin_cache.commands.obstacles import such_as_owner
from dropin_cache.commands.suggestions import did_you_mean

_PYTHON = "Give the path of a Python 3.9 or later, or of an environment: --python ~/venv"
_HOME = "A shell puts a home in the place of ~ only where there are no quotes around it."
_INIT = "__init__.py"


def about_packages(problem: errors.PackageNotFoundError) -> str:
    """Say what to do about a plugin package that is not there."""
    name = problem.package
    if name in PURPOSES:
        return f"One command at a time, and first: dropin-cache {name}"
    if name == "all":
        return "Leave it out: all plugin packages are meant where none is named."
    if {",", " ", ";"}.intersection(name):
        return "Give each package as a word of its own, without commas or quotes."
    if os.sep in name:
        return (
            "Name the package with dots, such as twisted.plugins. About an environment: --python "
            "ENVIRONMENT; about one file: dropin-cache explain FILE"
        )
    return did_you_mean(name, problem.known) or (
        "Check the spelling, or name the environment that has it: --python ENVIRONMENT, "
        "or the directory: --path DIR"
    )


def about_other_packages(problem: errors.NotAPluginPackageError) -> str:
    """Say what to do about a name that is another package's."""
    if problem.meant is None:
        return "Name plugin packages only, here and in packages.d."
    return (
        f"Name {problem.meant} instead, here or in packages.d. "
        "About one module: dropin-cache explain MODULE"
    )


def about_interpreters(problem: errors.InterpreterError, root: str | None) -> str:
    """Say what to do about an interpreter that cannot be used."""
    python = problem.python
    if root is not None:
        return _about_images(root)
    if os.sep not in python:
        return _about_programs(python)
    if "~" in python and not os.path.lexists(python):
        return _HOME
    prefix, _, name = python.rpartition("/bin/")
    if name == "python" and os.path.isdir(prefix) and not os.path.lexists(python):
        above = os.path.dirname(prefix)
        if os.path.exists(os.path.join(prefix, "python")):
            return f"Did you mean the environment that it is in? --python {above}"
        return "An environment has bin/python in it. Give its directory: --python ~/venv"
    return _PYTHON


def _about_programs(name: str) -> str:
    """Say what to do about a name that no program on PATH has."""
    if name[:1].isdecimal():
        return f"A version is no program. Did you mean --python python{name}?"
    if os.geteuid() == 0:
        return "Root looks for programs in the system's directories only. Give the whole path."
    return _PYTHON


def about_other_machines(root: str | None) -> str:
    """Say what to do about an interpreter that is for another kind of machine."""
    runner = "Install what runs its programs here (Debian: apt install qemu-user-static)"
    if root is None:
        return f"{runner}, or do it on such a machine"
    unit = f"systemctl --root={shlex.quote(root)} enable dropin-cache-first-boot.service"
    return f"{runner}, or let the image do it when it starts first: {unit}"


def _about_images(root: str) -> str:
    if os.path.exists(os.path.join(root, "pyvenv.cfg")):
        return f"That is an environment, and no system: --python {root}, without --root"
    return (
        f"Paths are inside of {root}. If that is the root of a system with Python, name its "
        "interpreter: --python /usr/bin/python3, or where it has one"
    )


def about_directories(problem: errors.DirectoryError) -> str:
    """Say what to do about a directory that is none."""
    cause = problem.__cause__
    if isinstance(cause, FileNotFoundError):
        if "~" in problem.path:
            return _HOME
        if ":" in problem.path:
            return "Give each directory by an option of its own: --path DIR --path DIR"
        there = problem.path.rstrip("/")
        while not os.path.exists(there or "/"):
            there = os.path.dirname(os.path.abspath(there))
        return f"Check the spelling: of the directories above it, {there or '/'} is there."
    if isinstance(cause, NotADirectoryError):
        return "Give the directory that it is unpacked or mounted in, or leave it out."
    if isinstance(cause, PermissionError):
        return f"Run this as a user who may read it{such_as_owner(problem.path)}"
    return "" if cause is None else "Check the path."


def about_names(problem: errors.UnknownNameError) -> str:
    """Say what to do about a name, or a path, of which nothing is known."""
    name = problem.name
    if os.path.basename(name) == _INIT:
        return f"That is the package itself. Give its directory: {os.path.dirname(name)}"
    if os.sep in name and not os.path.lexists(name):
        return "There is no such file. Check the path, or give the name: dropin-cache list"
    if os.sep in name:
        return (
            "It is in no directory of a plugin package that is known, such as twisted/plugins. "
            "To see which are: dropin-cache check"
        )
    return did_you_mean(name, problem.known) or (
        "Give the name of a plugin module such as twisted.plugins.twisted_web, or its path. "
        "To see what is in the caches: dropin-cache list. Archives (zip, egg, pyz) have none."
    )


def about_interfaces(problem: errors.UnknownInterfaceError) -> str:
    """Say what to do about an interface that no plugin provides."""
    if not problem.known:
        return "No cache has any plugins. To see whether they are fresh: dropin-cache check"
    return did_you_mean(problem.interface, problem.known) or (
        "Check the spelling. To see what plugins provide: dropin-cache list"
    )


def about_commands(problem: errors.CommandError) -> str:
    """Say what to do about a command that cannot be run."""
    command = problem.command
    if " " in command and problem.errno == ENOENT:
        return "Nothing was run. Give each word by itself, without quotes around the whole command."
    if problem.errno == ENOENT and os.sep not in command:
        return "Nothing was run. There is no such program on PATH; check the spelling."
    if problem.errno == ENOEXEC:
        return "Nothing was run. A script begins with a line such as #!/bin/sh"
    if problem.errno == EACCES and command.endswith(".py"):
        return f"Nothing was run. Say what runs it: python3 {command}"
    return "Nothing was run. Give a program that is there, and that you may execute."
