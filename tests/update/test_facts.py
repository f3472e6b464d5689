"""What is known of plugin modules; what is done to find out is in test_refresh."""

from __future__ import annotations

import textwrap

from conftest import Tree, run_python
from reader_support import LIBRARY

pytestmark = pytest.mark.processes


class TestFacts:
    """What is done while plugin modules are imported."""

    def test_locks(self, app: Tree) -> None:
        """What takes locks is loaded where something is imported, and else not.

        Plugins are asked for nothing, so zope.interface is not loaded at all: that of Debian takes
        longer than all the rest where `site` has not been loaded before.
        """
        paths = (str(app.path), str(LIBRARY))
        code = f"""
            import sys
            from dropin_cache.update.report import Request
            from dropin_cache.update.orchestrator import update
            request = Request(packages=("app.plugins",), paths={paths!r})
            print(*(each.modules for each in update(request, lambda *_: None).directories))
            print("filelock" in sys.modules, "zope" in sys.modules)
        """
        done = run_python(textwrap.dedent(code), path=[LIBRARY])
        assert ["2", "True", "False"] == done.stdout.split(), done.stderr
