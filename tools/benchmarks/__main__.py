"""Measure, print a table, write it as JSON and draw it. To be started by tools/bench."""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import debian, drawing, memory, reading, table, updating
from benchmarks.figures import Row, Task, measure
from benchmarks.processes import Runner
from benchmarks.sites import TREE, Sites


def main() -> int:
    """Run the benchmarks that the command line asks for."""
    arguments = _parser().parse_args()
    place = Path(os.environ["DROPIN_CACHE_TREE_WORK"])
    work = place / "bench"
    sites = Sites(work, Runner(work / "home"))
    rows = list(_measured(_wanted(sites, place, arguments), arguments.runs))
    print("\n".join(["", *table.lines(rows)]))
    result = {"about": _about(sites), "rows": [row.record() for row in rows]}
    for directory in (work, *([TREE / "docs"] if arguments.docs else [])):
        _keep(directory, result, rows)
    missed = table.missed(rows)
    print("\n".join(f"missed: {line}" for line in missed) or "every row is as wanted")
    return 1 if missed and arguments.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rows", metavar="PATTERN", default="*", help="only rows named like this")
    parser.add_argument("--runs", metavar="N", type=int, help="how often, instead of the usual")
    parser.add_argument("--apt", action="store_true", help="also the rows that need Debian systems")
    parser.add_argument("--docs", action="store_true", help="write docs/bench.json, docs/bench.svg")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    return parser


def _wanted(sites: Sites, work: Path, arguments: argparse.Namespace) -> Iterator[Task]:
    more = [debian.tasks(work)] if arguments.apt else []
    for tasks in (reading.tasks(sites), updating.tasks(sites), memory.tasks(sites), *more):
        for task in tasks:
            if any(fnmatch.fnmatch(task.name, each) for each in arguments.rows.split(",")):
                yield task


def _measured(tasks: Iterable[Task], runs: int | None) -> Iterator[Row]:
    for task in tasks:
        before = time.monotonic()
        row = measure(task, runs)
        spent = time.monotonic() - before
        print(*table.lines([row])[1:], f" [{spent:.0f} s]", flush=True)
        yield row


def _about(sites: Sites) -> dict[str, Any]:
    """Tell what was measured, and on what."""
    program = (
        "import json; from importlib.metadata import version; "
        "names = ('dropin-cache', 'Twisted', 'zope.interface'); "
        "print(json.dumps({name: version(name) for name in names}))"
    )
    command = [sites.stock.python, "-I", "-c", program]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "user": "root" if os.geteuid() == 0 else "another than root",
        "sandbox": sites.sandbox(),
        "versions": json.loads(sites.runner.run(command).out),
    }


def _keep(directory: Path, result: dict[str, Any], rows: list[Row]) -> None:
    """Write the result for programs, and drawn for people."""
    text = json.dumps(result, indent=1)
    (directory / "bench.json").write_text(text + "\n", encoding="utf-8")
    drawing.draw(rows, directory / "bench.svg")
    print(f"written: {directory}/bench.json, {directory}/bench.svg")


if __name__ == "__main__":
    sys.exit(main())
