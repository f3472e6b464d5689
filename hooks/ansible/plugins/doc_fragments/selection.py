# Copyright (c) the dropin-cache developers
# MIT License (see https://opensource.org/license/mit)
"""The options that say which caches are meant."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation that both modules share."""

    DOCUMENTATION = r"""
options:
  packages:
    description: Dotted names of plugin packages, such as V(twisted.plugins). All of them if none is given.
    type: list
    elements: str
    default: []
  python:
    description:
      - Interpreters, or directories of environments, whose packages are meant.
      - "If none is given: the interpreter of the command, and for root those of the configuration."
    type: list
    elements: str
    default: []
  path:
    description: Further directories to import from, before the others.
    type: list
    elements: path
    default: []
  root:
    description: The directory of a system that is meant in the place of the host's, such as the tree of an image.
    type: path
  executable:
    description:
      - The command, a name to look up or a path. In an environment that has dropin-cache itself, that is
        C(bin/dropin-cache) there.
    type: path
    default: dropin-cache
"""
