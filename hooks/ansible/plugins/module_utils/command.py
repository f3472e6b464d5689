# Copyright (c) the dropin-cache developers
# MIT License (see https://opensource.org/license/mit)
"""What both modules share: their options, and the command, which is asked for JSON.

No decision is made here that the command makes: which caches are stale, which directories are
refused, and what an exit status means, it says itself.
"""

from __future__ import annotations

import json

FORMAT = 1
CHANGED = ("written", "removed")
FRESH = ("fresh", "unchanged", *CHANGED)
BROKEN, REFUSED = 3, 4  # exit statuses, also those of problems

SELECTION = {
    "packages": {"type": "list", "elements": "str", "default": []},
    "python": {"type": "list", "elements": "str", "default": []},
    "path": {"type": "list", "elements": "path", "default": []},
    "root": {"type": "path"},
    "executable": {"type": "path", "default": "dropin-cache"},
}


class Answer:
    """What the command said.

    Attributes:
        status: Its exit status.
        found: Its JSON.
    """

    def __init__(self, status, found):
        self.status = status
        self.found = found

    @property
    def directories(self):
        """The directories that count: not those that another user looks after."""
        return [each for each in self.found["directories"] if each["own"]]

    @property
    def broken(self):
        """The plugin modules that cannot be imported: each with `module`, `error` and `owner`."""
        return [module for each in self.directories for module in each["broken"]]

    @property
    def refused(self):
        """The problems that are about trust."""
        return [each for each in self.found["problems"] if each["status"] == REFUSED]

    @property
    def failures(self):
        """The problems that are about neither trust nor broken plugin modules."""
        return [each for each in self.found["problems"] if each["status"] not in (BROKEN, REFUSED)]

    def result(self):
        """Return what both modules return."""
        return {
            "status": self.status,
            "sandbox": self.found["sandbox"],
            "directories": self.found["directories"],
            "problems": self.found["problems"],
            "broken": self.broken,
            "refused": self.refused,
        }


def ask(module, command, *options):
    """Run the command and return its answer; end the module if there is none.

    Args:
        module: The module.
        command: `update` or `check`.
        options: What is given to it besides the selection.
    """
    line = [_executable(module), command, "--json", *options]
    for name in module.params["python"]:
        line += ["--python", name]
    for directory in module.params["path"]:
        line += ["--path", directory]
    if module.params["root"]:
        line += ["--root", module.params["root"]]
    status, printed, said = module.run_command([*line, "--", *module.params["packages"]])
    try:
        found = json.loads(printed)
    except ValueError:
        found = {}
    if found.get("format") != FORMAT:
        module.fail_json(
            msg=f"{line[0]} gave no answer of format {FORMAT}: {said.strip() or printed.strip()}",
            status=status,
        )
    for text in found["warnings"]:
        module.warn(text)
    return Answer(status, found)


def sentence(problem):
    """Return a problem and what to do about it."""
    return ". ".join(filter(None, [problem["text"], problem["remedy"]]))


def _executable(module):
    name = module.params["executable"]
    return name if "/" in name else module.get_bin_path(name, required=True)
