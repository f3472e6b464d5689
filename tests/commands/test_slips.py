"""Command lines with a mistake: what is said, and what may have been meant.

Each is as somebody types it who knows the README, and other programs.
"""

from __future__ import annotations

import shlex

import pytest

from dropin_cache import cli

ALL = "One of: update, check, list, explain, clean, hook, run. For more: dropin-cache --help"
HOOK = "One of: dropin-cache hook enable, disable or status"
EVERYTHING = "Leave it out: all are meant where nothing is selected."

SLIPS = {
    # No command, or none that there is.
    "": ("the following arguments are required: COMMAND", ALL),
    "--python ~/venv": ("the following arguments are required: COMMAND", ALL),
    "--verison": ("unrecognized arguments: --verison", "Did you mean --version?"),
    "-v": ("unrecognized arguments: -v", "Did you mean --version?"),
    "-?": ("unrecognized arguments: -?", "Did you mean --help?"),
    "-help": ("unrecognized arguments: -help", "Did you mean --help?"),
    "--json": (
        "unrecognized arguments: --json",
        "--json is an option of update, check, list, explain.",
    ),
    "version": ("there is no command version", "Did you mean --version?"),
    "helps": ("there is no command helps", "Did you mean help?"),
    "help nosuch": ("there is no command nosuch", "To see how it is used: dropin-cache --help"),
    "UPDATE": ("there is no command UPDATE", "Did you mean update?"),
    "update-dropin-cache": ("there is no command update-dropin-cache", "Did you mean update?"),
    "create": ("there is no command create", "Did you mean update?"),
    "validate": ("there is no command validate", "Did you mean check?"),
    "reset": ("there is no command reset", "Did you mean clean?"),
    "enable": ("there is no command enable", "Did you mean hook enable?"),
    "off": ("there is no command off", "Did you mean hook disable?"),
    "twisted.plugins": (
        "there is no command twisted.plugins",
        "The command comes first, for example: dropin-cache check twisted.plugins",
    ),
    "plates/twisted/plugins/steel.py": (
        "there is no command plates/twisted/plugins/steel.py",
        (
            "The command comes first, for example: "
            "dropin-cache explain plates/twisted/plugins/steel.py"
        ),
    ),
    "/usr/bin/python3.11": (
        "there is no command /usr/bin/python3.11",
        "The command comes first, for example: dropin-cache check --python /usr/bin/python3.11",
    ),
    # Options that other programs have.
    "update --all": ("unrecognized arguments: --all", EVERYTHING),
    "clean -a": ("unrecognized arguments: -a", EVERYTHING),
    "update -f": ("unrecognized arguments: -f", "Did you mean --force?"),
    "update -n": ("unrecognized arguments: -n", "Did you mean --dry-run?"),
    "update --dry": ("unrecognized arguments: --dry", "Did you mean --dry-run?"),
    "clean -n": ("unrecognized arguments: -n", "--dry-run is an option of update."),
    "update -p ~/venv": ("unrecognized arguments: -p", "Did you mean --python?"),
    "check --venv ~/venv": ("unrecognized arguments: --venv", "Did you mean --python?"),
    "list --prefix=/usr": ("unrecognized arguments: --prefix=/usr", "Did you mean --python?"),
    "list -l": ("unrecognized arguments: -l", "Did you mean --verbose?"),
    "list -q": ("unrecognized arguments: -q", "-q is an option of update, check, clean."),
    "check --nagios": ("unrecognized arguments: --nagios", "Did you mean --format?"),
    "update --nagios": ("unrecognized arguments: --nagios", "--format is an option of check."),
    "update --no-color": ("unrecognized arguments: --no-color", "Did you mean --color?"),
    "update --colour never": ("unrecognized arguments: --colour", "Did you mean --color?"),
    "update -y": (
        "unrecognized arguments: -y",
        "To see how it is used: dropin-cache update --help",
    ),
    "update --json=yes": (
        "argument --json takes no value, and 'yes' stands behind it",
        "To see how it is used: dropin-cache update --help",
    ),
    "hook enable --python ~/venv": (
        "unrecognized arguments: --python ~/venv",
        "It is about its own environment: ENVIRONMENT/bin/dropin-cache hook enable",
    ),
    # Values that mean nothing.
    "hook": ("the following arguments are required: action", HOOK),
    "hook stauts": (
        "argument action: stauts is none of enable, disable, status",
        "Did you mean status?",
    ),
    "hook off": (
        "argument action: off is none of enable, disable, status",
        "Did you mean disable?",
    ),
    "update --sandbox bwrap": (
        "argument --sandbox: bwrap is none of auto, namespace, landlock, user, none",
        "Did you mean namespace?",
    ),
    "check --format xml": (
        "argument --format: xml is none of text, json, nagios, prometheus",
        "To see how it is used: dropin-cache check --help",
    ),
    "update .": (
        "argument PACKAGE: . is no name such as twisted.plugins",
        "To see how it is used: dropin-cache update --help",
    ),
    "list --package ''": (
        "argument --package: it is empty; is a variable not set?",
        "To see how it is used: dropin-cache list --help",
    ),
    "list --interface ''": (
        "argument --interface: it is empty; is a variable not set?",
        "To see how it is used: dropin-cache list --help",
    ),
    "update --timeout 5s": (
        "argument --timeout: '5s' is no number of seconds, such as 2.5",
        "To see how it is used: dropin-cache update --help",
    ),
    "update --settle 0": (
        "argument --settle: 0 seconds are too few",
        "To see how it is used: dropin-cache update --help",
    ),
    "clean twisted.plugins": (
        "unrecognized arguments: twisted.plugins",
        "Select by --python and --path.",
    ),
    "explain a b": (
        "unrecognized arguments: b",
        "To see how it is used: dropin-cache explain --help",
    ),
}


@pytest.mark.parametrize("line", SLIPS)
def test_slip(same_process: None, capsys: pytest.CaptureFixture[str], line: str) -> None:
    """It is said what is wrong, and what may have been meant, in a line each; nothing is done."""
    with pytest.raises(SystemExit) as left:
        cli.main(shlex.split(line))
    message, hint = SLIPS[line]
    printed = capsys.readouterr()
    assert (2, "") == (left.value.code, printed.out)
    assert [f"dropin-cache: error: {message}", f"  {hint}"] == printed.err.splitlines()


def test_help_with_one_dash(same_process: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Behind a command, some Pythons take it for -h, and others for a mistake."""
    with pytest.raises(SystemExit) as left:
        cli.main(["update", "-help"])
    printed = capsys.readouterr()
    if left.value.code == 0:
        assert printed.out.startswith("usage: dropin-cache update ")
    else:
        assert printed.err == (
            "dropin-cache: error: argument -h/--help takes no value, and 'elp' stands behind it\n"
            "  Did you mean --help?\n"
        )
