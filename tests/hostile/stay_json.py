"""Replaces what makes an answer into bytes."""

import builtins
import json
import os


def forged(*_: object, **__: object) -> str:
    """Return something else."""
    return '{"description": "forged", "warnings": [], "plugins": []}'


json.dumps = json.JSONEncoder.encode = forged
os.write = builtins.open = os.open = os.dup2 = forged
