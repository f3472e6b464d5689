"""What is known of drop-ins; what is done to find out is in test_refresh."""

from __future__ import annotations

import textwrap

import pytest

from conftest import Tree, run_python
from reader_support import LIBRARY

pytestmark = pytest.mark.processes


class TestPrepared:
    """What is done while drop-ins are imported."""

    @pytest.mark.parametrize("write", [True, False])
    def test_locks(self, write: bool, app: Tree) -> None:
        """What takes locks is loaded where something may be written, and else not.

        Plugins are asked for nothing, so zope.interface is not loaded at all: that of Debian takes
        longer than all the rest where `site` has not been loaded before.
        """
        paths = (str(app.path), str(LIBRARY))
        code = f"""
            import sys
            from dropin_cache.update.report import Request
            from dropin_cache.update.orchestrator import update
            request = Request(packages=("app.plugins",), paths={paths!r}, write={write})
            print(*(each.modules for each in update(request, lambda *_: None).directories))
            print("filelock" in sys.modules, "zope" in sys.modules)
        """
        done = run_python(textwrap.dedent(code), path=[LIBRARY])
        assert ["2", str(write), "False"] == done.stdout.split(), done.stderr
