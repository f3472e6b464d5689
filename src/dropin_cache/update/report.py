"""What a run was asked for and what it found, as plain values."""

from __future__ import annotations

from typing import NamedTuple

from dropin_cache.errors import DropinCacheError

WRITTEN, UNCHANGED, REMOVED, FAILED = "written", "unchanged", "removed", "failed"
FRESH, STALE, MISSING, CORRUPT = "fresh", "stale", "missing", "corrupt"


class Request(NamedTuple):
    """What to do.

    Attributes:
        packages: Dotted names of plugin packages; empty for the built-in ones.
        pythons: Interpreters; empty for the one that runs this.
        paths: Directories to import from besides, in front of the interpreter's own.
        write: Whether to write at all; if not, the report tells what a run would find.
        force: Write caches even where they are right already.
        timeout: How long one import may take, seconds.
        lock_timeout: How long to wait for other writers, seconds.
    """

    packages: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    write: bool = True
    force: bool = False
    timeout: float = 30.0
    lock_timeout: float = 30.0


class Broken(NamedTuple):
    """A drop-in that cannot be cached.

    Attributes:
        module: Its dotted name.
        error: Why not, in one line.
        traceback: The end of the traceback or of what it printed; may be empty.
        owner: The package of the system or of Python that installed it, if known.
    """

    module: str
    error: str
    traceback: str = ""
    owner: str | None = None


class DirectoryReport(NamedTuple):
    """What became of one directory's cache.

    Attributes:
        path: The directory.
        package: Dotted name of the plugin package.
        python: The interpreter that imported the drop-ins.
        state: One of the words above; which, depends on whether the run was to write.
        found: What lay there before: fresh, stale, missing or corrupt.
        modules: How many drop-ins the cache holds.
        plugins: How many plugins.
        broken: The drop-ins it does not hold.
        warnings: Lines about single plugins and interfaces that had to be left out.
        error: Why the state is failed.
    """

    path: str
    package: str
    python: str
    state: str
    found: str
    modules: int = 0
    plugins: int = 0
    broken: tuple[Broken, ...] = ()
    warnings: tuple[str, ...] = ()
    error: DropinCacheError | None = None


class Report(NamedTuple):
    """What a run did.

    Attributes:
        sandbox: The tier in which drop-ins were imported.
        directories: What became of each directory.
    """

    sandbox: str
    directories: tuple[DirectoryReport, ...]
