"""Readers in subinterpreters, PEP 734: each is a process of its own, as far as modules go."""

from __future__ import annotations

import sys

import pytest

from conftest import Tree, run_python
from reader_support import LIBRARY, cache_of

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.version_info < (3, 14), reason="has no concurrent.interpreters"),
]

# The second interpreter writes the cache, the others, which run at once, only read it.
_PROGRAM = """
import os, sys
import concurrent.interpreters
from concurrent.futures import InterpreterPoolExecutor
code = '''
import app.plugins, dropin_cache
from app.interfaces import IGreeter
names = [plugin.name for plugin in dropin_cache.getPlugins(IGreeter, app.plugins)]
'''
exec(code)
print(names, flush=True)
os.unlink(sys.argv[1])
interpreter = concurrent.interpreters.create()
interpreter.exec(code + "print(names, flush=True)")
interpreter.close()
print(os.path.exists(sys.argv[1]), flush=True)

check = "assert ['hello', 'loud'] == names"
with InterpreterPoolExecutor(4) as executor:
    print(*executor.map(exec, [code + check] * 8))
"""


def test_plugins(app: Tree) -> None:
    """They find the same plugins, write caches, and end as they should."""
    done = run_python(_PROGRAM, str(cache_of(app)), path=[app.path, LIBRARY])
    found = "['hello', 'loud']\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{found}{found}True\n{' '.join(['None'] * 8)}\n"
