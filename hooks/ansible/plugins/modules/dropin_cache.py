#!/usr/bin/python
# Copyright (c) the dropin-cache developers
# MIT License (see https://opensource.org/license/mit)
"""Brings the plugin caches of a host up to date."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dropin_cache
short_description: Bring plugin caches up to date
description:
  - Brings the files C(dropin.cache) up to date in which Twisted and other applications find their plugins.
  - Runs C(dropin-cache update --json) and returns what that says. Plugin modules are imported in a sandbox if the
    user is root.
  - The package managers' hooks do the same after each transaction. Use this module where there are none, such as
    environments of pip or uv, image trees, and directories that were copied.
version_added: 1.0.0
author: the dropin-cache developers (!UNKNOWN)
requirements:
  - dropin-cache on the host; the role P(dropin_cache.site.dropin_cache#role) installs it
  - Python 3.9 or newer on the host
options:
  broken:
    description:
      - What to do about plugin modules that cannot be imported. The caches are written in any case, without them.
      - V(warn) reports each as a warning, V(fail) also fails the task, V(ignore) only returns them.
    type: str
    choices: [warn, fail, ignore]
    default: warn
  refused:
    description:
      - What to do about plugin directories that are refused because users other than root can change them. Their
        caches are not written.
      - V(fail) fails the task, V(warn) reports each as a warning, V(ignore) only returns them.
    type: str
    choices: [warn, fail, ignore]
    default: fail
extends_documentation_fragment:
  - dropin_cache.site.selection
attributes:
  check_mode:
    description: Says what would be written or removed, and writes nothing.
    support: full
  diff_mode:
    description: Shows for each cache which plugin modules have changed, and why they count as changed.
    support: full
notes:
  - C(changed) is what the command says. It is V(true) if a cache was written or removed, in check mode if one would be.
seealso:
  - module: dropin_cache.site.dropin_cache_info
"""

EXAMPLES = r"""
- name: Bring all caches of the system up to date
  dropin_cache.site.dropin_cache:
  become: true

- name: Bring those of an environment up to date, as the user who owns it
  dropin_cache.site.dropin_cache:
    executable: /srv/app/venv/bin/dropin-cache
    python: [/srv/app/venv]
    broken: fail
  become: true
  become_user: app

- name: Bring those of a tree up to date that is going to be an image
  dropin_cache.site.dropin_cache:
    root: /srv/images/worker
  become: true
"""

RETURN = r"""
directories:
  description: What was found and done in each plugin directory, as C(dropin-cache update --json) has it.
  returned: whenever the command answers
  type: list
  elements: dict
  contains:
    path:
      description: The plugin directory.
      type: str
    package:
      description: The plugin package.
      type: str
    state:
      description: One of V(written), V(unchanged), V(removed), V(failed) and V(refused).
      type: str
    changes:
      description: Plugin modules that have changed, each with C(module) and C(why).
      type: list
      elements: dict
broken:
  description: Plugin modules that cannot be imported.
  returned: whenever the command answers
  type: list
  elements: dict
  contains:
    module:
      description: Its dotted name.
      type: str
    error:
      description: The exception that it raised.
      type: str
    owner:
      description: The package that installed it, if any did.
      type: str
refused:
  description: The problems that are about trust, each with C(text) and C(remedy).
  returned: whenever the command answers
  type: list
  elements: dict
problems:
  description: All problems, each with C(kind), C(text), C(remedy) and C(status).
  returned: whenever the command answers
  type: list
  elements: dict
sandbox:
  description: In which sandbox plugin modules were imported; null if none was.
  returned: whenever the command answers
  type: str
  sample: namespace
status:
  description: The exit status of the command.
  returned: always
  type: int
  sample: 0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dropin_cache.site.plugins.module_utils import command


def main():
    """Run the command and say what it did."""
    choice = {"type": "str", "choices": ["warn", "fail", "ignore"]}
    module = AnsibleModule(
        argument_spec={
            **command.SELECTION,
            "broken": {**choice, "default": "warn"},
            "refused": {**choice, "default": "fail"},
        },
        supports_check_mode=True,
    )
    answer = command.ask(module, "update", *(["--dry-run"] if module.check_mode else []))
    touched = [each for each in answer.directories if each["state"] in command.CHANGED]
    # A dry run changes nothing and says so; what it would change, the states tell.
    changed = bool(touched) if module.check_mode else answer.found["changed"]
    result = {**answer.result(), "changed": changed}
    if module._diff:  # noqa: SLF001 - there is no other way to ask
        result["diff"] = [{"prepared": difference(each)} for each in touched]
    failures = [command.sentence(each) for each in answer.failures]
    failures += judged(module, "refused", [command.sentence(each) for each in answer.refused])
    broken = [f"{each['module']} is broken: {each['error']}" for each in answer.broken]
    failures += judged(module, "broken", broken)
    if failures:
        module.fail_json(msg="; ".join(failures), **result)
    module.exit_json(**result)


def judged(module, option, sentences):
    """Return what to fail for; warn of the rest if that is wanted.

    Args:
        module: The module.
        option: Which option says what is wanted.
        sentences: What there is to say.
    """
    wanted = module.params[option]
    if wanted == "warn":
        for each in sentences:
            module.warn(each)
    return sentences if wanted == "fail" else []


def difference(directory):
    """Return the text that a diff shows for a plugin directory."""
    lines = [f"{directory['path']}/dropin.cache: {directory['state']}"]
    lines += [f"  {each['module']}: {each['why']}" for each in directory["changes"]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
