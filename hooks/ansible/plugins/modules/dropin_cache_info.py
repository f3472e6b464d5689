#!/usr/bin/python
# Copyright (c) the dropin-cache developers
# MIT License (see https://opensource.org/license/mit)
"""Tells whether the plugin caches of a host are fresh."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dropin_cache_info
short_description: Tell whether plugin caches are fresh
description:
  - Runs C(dropin-cache check --json) and returns what that says. It imports no plugin module and writes nothing, and
    any user may run it.
  - Stale, broken and refused caches do not fail the task; they are what it tells. It fails if nobody can tell, for
    example if an interpreter that is named does not exist.
version_added: 1.0.0
author: the dropin-cache developers (!UNKNOWN)
requirements:
  - dropin-cache on the host; the role P(dropin_cache.site.dropin_cache#role) installs it
  - Python 3.9 or newer on the host
extends_documentation_fragment:
  - dropin_cache.site.selection
attributes:
  check_mode:
    description: Works as it does without.
    support: full
  diff_mode:
    description: Shows nothing.
    support: none
seealso:
  - module: dropin_cache.site.dropin_cache
"""

EXAMPLES = r"""
- name: Look at all caches of the system
  dropin_cache.site.dropin_cache_info:
  register: caches

- name: Name the hosts with stale caches
  ansible.builtin.debug:
    msg: "{{ inventory_hostname }}: {{ caches.stale | join(', ') }}"
  when: not caches.fresh
"""

RETURN = r"""
fresh:
  description: Whether every cache is what applications need, and no plugin module is broken.
  returned: success
  type: bool
stale:
  description: Plugin directories whose caches are stale, missing or corrupt.
  returned: success
  type: list
  elements: str
  sample: [/usr/lib/python3/dist-packages/twisted/plugins]
directories:
  description: What was found in each plugin directory, as C(dropin-cache check --json) has it.
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
      description: One of V(fresh), V(stale), V(missing), V(corrupt) and V(refused).
      type: str
    changes:
      description: Plugin modules that have changed, each with C(module) and C(why).
      type: list
      elements: dict
broken:
  description: Plugin modules that root's last update could not import.
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
  description: In which sandbox the interpreter was asked for its path; null if that was not necessary.
  returned: whenever the command answers
  type: str
  sample: namespace
status:
  description: The exit status of the command. V(0) is fresh, V(1) stale, V(3) broken, V(4) refused.
  returned: always
  type: int
  sample: 1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dropin_cache.site.plugins.module_utils import command


def main():
    """Run the command and say what it found."""
    module = AnsibleModule(argument_spec=command.SELECTION, supports_check_mode=True)
    answer = command.ask(module, "check")
    result = {**answer.result(), "changed": False}
    if answer.failures:
        failures = [command.sentence(each) for each in answer.failures]
        module.fail_json(msg="; ".join(failures), **result)
    unusable = [each for each in answer.directories if each["state"] not in command.FRESH]
    stale = [each["path"] for each in unusable if each["state"] != "refused"]
    module.exit_json(fresh=answer.status == 0, stale=stale, **result)


if __name__ == "__main__":
    main()
