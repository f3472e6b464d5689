"""What may have been meant by a command or an option that there is not."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

from dropin_cache.commands.suggestions import did_you_mean

# What other programs call it.
_COMMANDS = {
    **dict.fromkeys(("upgrade", "refresh", "rebuild", "regenerate", "generate"), "update"),
    **dict.fromkeys(("write", "create", "make", "update-dropin-cache"), "update"),
    **dict.fromkeys(("status", "verify", "validate", "test"), "check"),
    **dict.fromkeys(("ls", "show", "plugins"), "list"),
    **dict.fromkeys(("info", "why", "describe"), "explain"),
    **dict.fromkeys(("remove", "delete", "purge", "rm", "reset"), "clean"),
    **dict.fromkeys(("exec", "install"), "run"),
    **dict.fromkeys(("enable", "on"), "hook enable"),
    **dict.fromkeys(("disable", "off"), "hook disable"),
    "version": "--version",
}
_OPTIONS = {
    **dict.fromkeys(("-p", "--venv", "--env", "--environment", "--prefix"), "--python"),
    **dict.fromkeys(("--interpreter", "--virtualenv"), "--python"),
    **dict.fromkeys(("-n", "--dry", "--simulate"), "--dry-run"),
    **dict.fromkeys(("-l", "--long", "--details"), "--verbose"),
    **dict.fromkeys(("--nagios", "--prometheus"), "--format"),
    **dict.fromkeys(("-j", "--output"), "--json"),
    **dict.fromkeys(("-help", "-?", "--usage"), "--help"),
    **dict.fromkeys(("-version", "-v"), "--version"),
    "-f": "--force",
    "-d": "--path",
    "-i": "--interface",
    "-r": "--root",
}
_CHOICES = {
    **dict.fromkeys(("on", "yes", "install"), "enable"),
    **dict.fromkeys(("off", "no", "uninstall"), "disable"),
    **dict.fromkeys(("bwrap", "bubblewrap"), "namespace"),
}
_EVERYTHING = frozenset(("--all", "-a", "all"))


def about_command(word: str, known: Collection[str]) -> str:
    """Return what may have been meant by a word that is no command; nothing if nobody knows.

    Args:
        word: It.
        known: The commands.
    """
    if word in _COMMANDS:
        return f"Did you mean {_COMMANDS[word]}?"
    if "." in word or os.sep in word:
        name = os.path.basename(word)
        if name.startswith("python") or os.path.exists(os.path.join(word, "pyvenv.cfg")):
            word = f"--python {word}"
        command = "explain" if os.sep in word and "--" not in word else "check"
        return f"The command comes first, for example: dropin-cache {command} {word}"
    return did_you_mean(word, [*known, "help"])


def about_choice(word: str, choices: Sequence[str]) -> str:
    """Return what may have been meant by a value of which there are only some.

    Args:
        word: It.
        choices: What there is.
    """
    return did_you_mean(_CHOICES.get(word, word), choices)


def about_option(option: str, known: Collection[str], others: Mapping[str, Collection[str]]) -> str:
    """Return what may have been meant by an option that a command does not have.

    Args:
        option: It.
        known: The options that it has.
        others: The options of all commands, by their names.
    """
    if option in _EVERYTHING:
        return "Leave it out: all are meant where nothing is selected."
    meant = _OPTIONS.get(option, option)
    if meant in known:
        return f"Did you mean {meant}?"
    for name in (option, meant):
        owners = [command for command, options in others.items() if name in options]
        if owners:
            return f"{name} is an option of {', '.join(owners)}."
    return did_you_mean(option, [each for each in known if each.startswith("--")])
