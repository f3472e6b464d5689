"""What somebody can do about an error, in one line: right for the very case, or nothing.

It weakens no system, runs nothing of anybody's with privilege, asks for nothing to be installed
that is there, and never for what has just been done.
"""

from __future__ import annotations

import glob
import os
from errno import EAGAIN, EMFILE, ENOMEM
from typing import Any, Callable

from dropin_cache import errors
from dropin_cache.commands import selections
from dropin_cache.commands.distrust import remedy
from dropin_cache.commands.obstacles import AGAIN, about_writing
from dropin_cache.errors import DropinCacheError
from dropin_cache.update.files.failures import is_failure

# What the system has no more of, and how to give it more: options of `ulimit`.
_LIMITS = {EMFILE: "-n 1024", EAGAIN: "-u 1024", ENOMEM: "-v unlimited -d unlimited"}
_BUILDER = ". In a builder that is a sandbox itself: --sandbox user"
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
    if isinstance(problem, errors.ForeignInterpreterError):
        return selections.about_other_machines(root)
    if isinstance(problem, errors.InterpreterError):
        return selections.about_interpreters(problem, root)
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


def _about_broken_packages(problem: errors.PackageBrokenError) -> str:
    if problem.hidden:
        return "It and the directories above it have to be root's, and readable by everybody."
    return f"The package itself fails: reinstall what owns {problem.package}."


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


_ADVICE: dict[type[DropinCacheError], str | Callable[[Any], str]] = {
    errors.PackageNotFoundError: selections.about_packages,
    errors.NotAPluginPackageError: selections.about_other_packages,
    errors.PackageBrokenError: _about_broken_packages,
    errors.DirectoryError: selections.about_directories,
    errors.UnknownNameError: selections.about_names,
    errors.UnknownInterfaceError: selections.about_interfaces,
    errors.NotWrittenError: about_writing,
    errors.LockTimeoutError: "Try again when it is done, or wait longer: --lock-timeout S",
    errors.UntrustedError: remedy,
    errors.ForeignDirectoryError: _about_foreign,
    errors.ConfigurationError: _about_configuration,
    errors.NoSandboxError: _about_sandboxes,
    errors.ConfinementError: _about_confinement,
    errors.UnreadableError: "The caches of its package are unchanged. Try again.",
    errors.CommandError: selections.about_commands,
    errors.NoProcError: (
        "Mount it (mount -t proc proc /proc), or run from outside: update-dropin-cache --root DIR"
    ),
    errors.UnstableError: "Try again when nothing is being installed or removed there.",
}
