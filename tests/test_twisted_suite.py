"""Twisted's own tests of its plugin library, run against this one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from conftest import NOBODY, run_python
from reader_support import LIBRARY

pytestmark = pytest.mark.processes

twisted_test = pytest.importorskip("twisted.test", reason="Twisted is missing")

# The suite checks permissions, which root has all. What the interpreter needs is imported before
# the privileges are gone, since it may lie where nobody else can reach it.
_PROGRAM = f"""
import sys
import twisted
import dropin_cache
from dropin_cache import _plugins

# The name that the suite, and the samples it writes, import from.
sys.modules["twisted.plugin"] = twisted.plugin = dropin_cache

import compileall, encodings.idna, hashlib, importlib, logging, os, pkgutil, unittest
import filelock
import dropin_cache._interfaces, dropin_cache._regenerate
import dropin_cache.update.files.lock, dropin_cache.update.files.cache_directory
import twisted.test
from twisted.internet import reactor
from twisted.python import log
importlib.invalidate_caches()

class Forward(logging.Handler):
    "Give our messages to Twisted's observers, as an application of Twisted's would."
    def emit(self, record):
        log.msg(record.getMessage())

logger = logging.getLogger("dropin_cache")
logger.addHandler(Forward())
logger.propagate = False

suite, home = sys.argv[1:]
twisted.test.__path__.insert(0, suite)
from twisted.test import test_plugin
assert test_plugin.plugin is dropin_cache

os.chdir(home)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
tests = unittest.defaultTestLoader.loadTestsFromModule(test_plugin)
result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(tests)
sys.stdout.flush()
sys.exit(not result.wasSuccessful() or not result.testsRun)
"""


class TestTwistedSuite:
    """The module twisted.test.test_plugin."""

    def test_passes(self, public_path: Path) -> None:
        """Every test in it passes, none is skipped, and there are as many as ever."""
        suite, home = public_path / "suite", public_path / "home"
        suite.mkdir()
        home.mkdir()
        if os.geteuid() == 0:
            os.chown(home, NOBODY, NOBODY)
        # In a copy, because the suite copies its samples from beside itself.
        for source in Path(twisted_test.__path__[0]).glob("*plugin*.py"):
            shutil.copy(source, suite)
        done = run_python(
            _PROGRAM,
            str(suite),
            str(home),
            path=[LIBRARY],
            env={
                "XDG_CACHE_HOME": str(home),
                "COVERAGE_PROCESS_START": "",
                "COVERAGE_PROCESS_CONFIG": "",
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count(" ... ok\n") >= 16
        assert done.stdout.rstrip().endswith("\nOK")
