"""What somebody can do about an error, in one line: right for the very case, or nothing.

It weakens no system, runs nothing of anybody's with privilege, asks for nothing to be installed
that is there, and never for what has just been done.
"""

from __future__ import annotations

import glob
import os
from errno import EAGAIN, EMFILE, ENOENT, ENOEXEC, ENOMEM
from typing import Any, Callable

from dropin_cache import errors
from dropin_cache.commands.distrust import remedy
from dropin_cache.commands.obstacles import AGAIN, about_writing, such_as_owner
from dropin_cache.commands.suggestions import did_you_mean
from dropin_cache.errors import DropinCacheError
from dropin_cache.update.files.failures import is_failure

_HIDDEN = "the sandbox does not show "
# What the system has no more of, and how to give it more: options of `ulimit`.
_LIMITS = {EMFILE: "-n 1024", EAGAIN: "-u 1024", ENOMEM: "-v unlimited -d unlimited"}
_BUILDER = ". In a builder that is a sandbox itself: --sandbox user"
_PYTHON = "Give the path of a Python 3.9 or later, or of an environment: --python ~/venv"
_ZOPE = (
    "Debian: apt install python3-zope.interface; Fedora: dnf install python3-zope-interface; "
    "Arch: pacman -S python-zope-interface"
)


def what_to_do(problem: DropinCacheError, root: str | None = None) -> str:
    """Return what can be done about an error, as somebody can follow it; nothing if that is all.

    Args:
        problem: The error.
        root: The directory of the image that the command was about.
    """
    cause = problem.__cause__
    # What a package itself meets with are limits of the sandbox.
    limit = "" if isinstance(problem, errors.PackageBrokenError) else limit_in(str(problem))
    if limit or (isinstance(cause, OSError) and cause.errno and is_failure(cause)):
        return limit or AGAIN
    if isinstance(problem, errors.ZopeInterfaceMissingError):
        return _about_zope(problem, root)
    if root is not None and isinstance(problem, errors.InterpreterError):
        return (
            f"Paths are inside of {root}. If that is the root of a system with Python, name its "
            "interpreter: --python /usr/bin/python3"
        )
    if root is not None and _is_path_inside(problem, root):
        return "With --root, all other paths on the command line are inside of it."
    about = _ADVICE.get(type(problem), "")
    return about if isinstance(about, str) else about(problem)


def failed(problem: OSError) -> str:
    """Return what can be done where the system has failed, and nobody expected it."""
    return limit_in(str(problem)) or AGAIN


def limit_in(text: str) -> str:
    """Return what to do about a limit that a text speaks of, whichever program met it."""
    for number, options in _LIMITS.items():
        if os.strerror(number) in text:
            return f"Try again, and raise the limit first if there is one: ulimit {options}"
    return ""


def _is_path_inside(problem: DropinCacheError, root: str) -> bool:
    """Tell whether an error is about a path that was given, and not about the image itself."""
    return isinstance(problem, errors.DirectoryError) and problem.path != os.path.abspath(root)


def _about_packages(problem: errors.PackageNotFoundError) -> str:
    name = problem.package
    if os.sep in name:
        return "Name the package with dots, such as twisted.plugins; a directory goes with --path."
    return did_you_mean(name, problem.known) or (
        "Check the spelling, or name the environment that has it: --python ENVIRONMENT, "
        "or the directory: --path DIR"
    )


def _about_other_packages(problem: errors.NotAPluginPackageError) -> str:
    meant = "" if problem.meant is None else f", such as {problem.meant}"
    return f"Name plugin packages only, here and in packages.d{meant}."


def _about_broken_packages(problem: errors.PackageBrokenError) -> str:
    if _HIDDEN in problem.reason:
        return "It and the directories above it have to be root's, and readable by everybody."
    return f"The package itself fails: reinstall what owns {problem.package}."


def _about_interpreters(problem: errors.InterpreterError) -> str:
    prefix, _, name = problem.python.rpartition("/bin/")
    if name == "python" and os.path.isdir(prefix) and not os.path.lexists(problem.python):
        return "An environment has bin/python in it. Give its directory: --python ~/venv"
    return _PYTHON


def _about_zope(problem: errors.ZopeInterfaceMissingError, root: str | None) -> str:
    without = "Without it there are no plugins. To install it"
    if root is not None:
        return f"{without} in {root}, use what that system is made with. {_ZOPE}"
    prefix = os.path.dirname(os.path.dirname(problem.python))
    if not os.path.exists(os.path.join(prefix, "pyvenv.cfg")) and prefix in {"/usr", "/"}:
        return f"{without}: {_ZOPE}"
    if glob.glob(os.path.join(glob.escape(prefix), "lib", "python3*", "site-packages", "pip")):
        return f"{without}: {problem.python} -m pip install zope.interface"
    return f"{without}: uv pip install --python {problem.python} zope.interface"


def _about_directories(problem: errors.DirectoryError) -> str:
    cause = problem.__cause__
    if isinstance(cause, FileNotFoundError):
        if "~" in problem.path:
            return "A shell puts a home in the place of ~ only where there are no quotes around it."
        there = problem.path.rstrip("/")
        while not os.path.exists(there or "/"):
            there = os.path.dirname(os.path.abspath(there))
        return f"Check the spelling: of the directories above it, {there or '/'} is there."
    if isinstance(cause, NotADirectoryError):
        return "Give the directory that it is unpacked or mounted in, or leave it out."
    if isinstance(cause, PermissionError):
        return f"Run this as a user who may read it{such_as_owner(problem.path)}"
    return "" if cause is None else "Check the path."


def _about_names(problem: errors.UnknownNameError) -> str:
    if os.sep in problem.name:
        return (
            "Give the path of a plugin module: a file that is there, in a directory of a plugin "
            "package that is known. To see which are: dropin-cache list"
        )
    return did_you_mean(problem.name, problem.known) or (
        "Give the name of a plugin module such as twisted.plugins.twisted_web, or its path. "
        "To see what is in the caches: dropin-cache list. Archives (zip, egg, pyz) have none."
    )


def _about_interfaces(problem: errors.UnknownInterfaceError) -> str:
    if not problem.known:
        return "No cache has any plugins. To see whether they are fresh: dropin-cache check"
    return did_you_mean(problem.interface, problem.known) or (
        "Check the spelling. To see what plugins provide: dropin-cache list"
    )


def _about_foreign(problem: errors.ForeignDirectoryError) -> str:
    return (
        f"If plugin modules belong there, allow it: plugin-directories = {problem.path} in "
        "/etc/dropin-cache/dropin-cache.conf"
    )


def _about_configuration(problem: errors.ConfigurationError) -> str:
    return f"Nothing in this file counts until {'that' if problem.line else 'it'} is fixed."


def _about_sandboxes(problem: errors.NoSandboxError) -> str:
    if problem.reasons[0][0] == "none":
        return "Leave out --sandbox none: the best sandbox that works here is used then."
    without = "Root imports no plugin modules without one"
    if "is not there" in str(problem):
        return f"{without}: apt install bubblewrap (or dnf, pacman), or use a kernel with Landlock."
    # Who cannot become another user cannot do so in that tier either.
    no_help = "become another user" in str(problem) or "no limits" in str(problem)
    outside = "Run this from outside of what denies it: update-dropin-cache --root DIR"
    return f"{without}. {outside}{'' if no_help else _BUILDER}"


def _about_confinement(problem: errors.ConfinementError) -> str:
    other = "landlock" if problem.tier == "namespace" else "namespace"
    return f"Nothing was imported. Try --sandbox {other}, and please report this."


def _about_commands(problem: errors.CommandError) -> str:
    command = problem.command
    if " " in command and problem.errno == ENOENT:
        return "Nothing was run. Give each word by itself, without quotes around the whole command."
    if problem.errno == ENOENT and os.sep not in command:
        return "Nothing was run. There is no such program on PATH; check the spelling."
    if problem.errno == ENOEXEC:
        return "Nothing was run. A script begins with a line such as #!/bin/sh"
    return "Nothing was run. Give a program that is there, and that you may execute."


_ADVICE: dict[type[DropinCacheError], str | Callable[[Any], str]] = {
    errors.PackageNotFoundError: _about_packages,
    errors.NotAPluginPackageError: _about_other_packages,
    errors.PackageBrokenError: _about_broken_packages,
    errors.InterpreterError: _about_interpreters,
    errors.DirectoryError: _about_directories,
    errors.UnknownNameError: _about_names,
    errors.UnknownInterfaceError: _about_interfaces,
    errors.NotWrittenError: about_writing,
    errors.LockTimeoutError: "Try again when it is done, or wait longer: --lock-timeout S",
    errors.UntrustedError: remedy,
    errors.ForeignDirectoryError: _about_foreign,
    errors.ConfigurationError: _about_configuration,
    errors.NoSandboxError: _about_sandboxes,
    errors.ConfinementError: _about_confinement,
    errors.UnreadableError: "The caches of its package are unchanged. Try again.",
    errors.CommandError: _about_commands,
    errors.NoProcError: (
        "Mount it (mount -t proc proc /proc), or run from outside: update-dropin-cache --root DIR"
    ),
    errors.UnstableError: "Try again when nothing is being installed or removed there.",
}
