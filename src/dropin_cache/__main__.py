"""Run the command line: `python -m dropin_cache`."""

from __future__ import annotations

import sys

from dropin_cache.cli import main

sys.exit(main())
