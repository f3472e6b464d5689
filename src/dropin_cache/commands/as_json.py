"""Results as JSON, for programs; dropin-cache(1) describes the members."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dropin_cache.update.report import DirectoryReport, Report

if TYPE_CHECKING:
    from dropin_cache.commands.explanation import Explanation
    from dropin_cache.commands.listing import Row


def report(result: Report) -> str:
    """Return what a run did or found.

    Args:
        result: The report.
    """
    directories = [_directory(each) for each in result.directories]
    return _text({"sandbox": result.sandbox, "directories": directories})


def rows(found: Sequence[Row]) -> str:
    """Return a listing of plugins.

    Args:
        found: The plugins.
    """
    return _text({"plugins": [row._asdict() for row in found]})


def explanation(found: Explanation) -> str:
    """Return what there is to say about a plugin module or a directory.

    Args:
        found: The explanation.
    """
    owner = found.owner and found.owner.name
    return _text({**found._asdict(), "owner": owner})


def _directory(found: DirectoryReport) -> dict[str, Any]:
    return {
        "path": found.path,
        "package": found.package,
        "python": found.python,
        "state": found.state,
        "modules": found.modules,
        "plugins": found.plugins,
        "broken": [
            {"module": broken.module, "error": broken.error, "owner": broken.owner}
            for broken in found.broken
        ],
    }


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2)
