"""Results as JSON, for programs; `schema.json` of this package describes the members."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dropin_cache.commands.advice import what_to_do
from dropin_cache.errors import DropinCacheError
from dropin_cache.update.files.failures import exit_code_of
from dropin_cache.update.report import REMOVED, WRITTEN, DirectoryReport, Report
from dropin_cache.update.text import one_line

if TYPE_CHECKING:
    from dropin_cache.commands.explanation import Explanation
    from dropin_cache.commands.listing import Listed

FORMAT = 1
"""The number of the format: members may be added to it, and none goes or changes its meaning."""


def report(result: Report, root: str | None = None, *, wrote: bool = False) -> str:
    """Return what a run did or found.

    Args:
        result: The report.
        root: The directory of the image that it is about.
        wrote: Whether it was to write.
    """
    failed = [each.error for each in result.own if each.error is not None]
    written = any(each.state in {WRITTEN, REMOVED} for each in result.directories)
    return _text(
        {
            "changed": wrote and written,
            "sandbox": result.sandbox,
            "directories": [_directory(each, root) for each in result.directories],
            "problems": [_problem(each, root) for each in (*result.problems, *failed)],
            "warnings": list(result.warnings),
        }
    )


def listing(found: Listed) -> str:
    """Return a listing of plugins.

    Args:
        found: The plugins, and archives.
    """
    plugins = [row._asdict() for row in found.rows]
    return _text({"plugins": plugins, "archives": found.archives, "problems": []})


def explanation(found: Explanation) -> str:
    """Return what there is to say about a plugin module or a directory.

    Args:
        found: The explanation.
    """
    plugins = [{"name": name, "provides": list(provides)} for name, provides in found.plugins]
    more = {"changes": _changes(found.changes), "plugins": plugins, "problems": []}
    return _text({**found._asdict(), "owner": found.owner and found.owner.name, **more})


def failure(command: str, error: DropinCacheError, root: str | None = None) -> str:
    """Return what a command prints that could not do what it was to do.

    Args:
        command: The command.
        error: Why not.
        root: The directory of the image that it was about.
    """
    nothing: dict[str, dict[str, Any]] = {
        "list": {"plugins": [], "archives": []},
        "explain": {},
    }
    of_report: dict[str, Any] = {
        "changed": False,
        "sandbox": None,
        "directories": [],
        "warnings": [],
    }
    return _text({**nothing.get(command, of_report), "problems": [_problem(error, root)]})


def _directory(found: DirectoryReport, root: str | None) -> dict[str, Any]:
    return {
        "path": found.path,
        "package": found.package,
        "python": found.python,
        "state": found.state,
        "own": not found.foreign,
        "modules": found.modules,
        "plugins": found.plugins,
        "broken": [
            {"module": broken.module, "error": broken.error, "owner": broken.owner}
            for broken in found.broken
        ],
        "changes": _changes(found.changes),
        "remarks": _changes(found.remarks),
        "warnings": list(found.warnings),
        "problem": None if found.error is None else _problem(found.error, root),
    }


def _problem(error: DropinCacheError, root: str | None) -> dict[str, Any]:
    return {
        "kind": type(error).__name__,
        "text": one_line(str(error)),
        "remedy": one_line(what_to_do(error, root)),
        "status": exit_code_of(error),
    }


def _changes(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"module": module, "why": why} for module, why in pairs]


def _text(value: dict[str, Any]) -> str:
    return json.dumps({"format": FORMAT, **value}, indent=2)
