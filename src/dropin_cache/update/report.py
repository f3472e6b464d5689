"""What a run was asked for and what it found, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dropin_cache.errors import DropinCacheError

WRITTEN, UNCHANGED, REMOVED, FAILED = "written", "unchanged", "removed", "failed"
REFUSED = "refused"
FRESH, STALE, MISSING, CORRUPT = "fresh", "stale", "missing", "corrupt"


class Request(NamedTuple):
    """What to do.

    Attributes:
        packages: Dotted names of plugin packages; empty for those of the configuration.
        pythons: Interpreters; empty for the one that runs this and those of the configuration.
        paths: Directories to import from besides, in front of the interpreter's own.
        root: A directory to take for `/`, such as that of an image; None for this system.
        write: Whether to write at all; if not, the report tells what a run would find.
        force: Import every drop-in and write every cache, even where nothing has changed.
        sandbox: The tier to import drop-ins in, or `auto` for the best that works here.
        timeout: How long one import may take, seconds; None for what is configured.
        lock_timeout: How long to wait for other writers, seconds; None for what is configured.
    """

    packages: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    root: str | None = None
    write: bool = True
    force: bool = False
    sandbox: str = "auto"
    timeout: float | None = None
    lock_timeout: float | None = None


class Broken(NamedTuple):
    """A drop-in that cannot be cached.

    Attributes:
        module: Its dotted name.
        error: Why not, in one line.
        traceback: The end of the traceback or of what it printed; may be empty.
        owner: The package of the system or of Python that installed it, if known.
        path: Its file.
        news: Whether this run has found it out; if not, an earlier one did.
    """

    module: str
    error: str
    traceback: str = ""
    owner: str | None = None
    path: str = ""
    news: bool = True


class DirectoryReport(NamedTuple):
    """What became of one directory's cache.

    Attributes:
        path: The directory.
        package: Dotted name of the plugin package.
        python: The interpreter that imported the drop-ins.
        state: One of the words above; which, depends on whether the run was to write.
        found: What lay there before: fresh, stale, missing, corrupt or refused.
        modules: How many drop-ins the cache holds, or should.
        plugins: How many plugins it holds.
        broken: The drop-ins that it cannot hold.
        warnings: Lines about single plugins and interfaces that had to be left out.
        changes: Pairs of a drop-in's dotted name and why it had to be imported or is gone; where
            nothing is written, why readers cannot use what the cache has of it.
        remarks: Pairs of the name of one that readers can use, and what an update would write
            otherwise; where nothing is written.
        further: Pairs of a name and why an update would import it; where nothing is written.
        pruned: Directories that were left empty and have been removed, too.
        error: Why the state is failed or refused.
        foreign: Whether the cache is not this user's to write, and does not count.
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
    changes: tuple[tuple[str, str], ...] = ()
    remarks: tuple[tuple[str, str], ...] = ()
    further: tuple[tuple[str, str], ...] = ()
    pruned: tuple[str, ...] = ()
    error: DropinCacheError | None = None
    foreign: bool = False


class Said(NamedTuple):
    """What a check says of a report in which all is fresh.

    Attributes:
        lines: What it prints.
        warnings: What it prints on standard error.
        status: Its exit status.
    """

    lines: Sequence[str] = ()
    warnings: Sequence[str] = ()
    status: int = 0


class Report(NamedTuple):
    """What a run did.

    Attributes:
        sandbox: The tier in which drop-ins were imported, in an earlier run if not in this one;
            None if nobody has imported any.
        directories: What became of each directory.
        problems: What could not be used: configuration files, interpreters, plugin packages.
        warnings: Lines about what was left out.
    """

    sandbox: str | None
    directories: tuple[DirectoryReport, ...]
    problems: tuple[DropinCacheError, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def own(self) -> list[DirectoryReport]:
        """The directories that count: what is not this user's to write is not his failure."""
        return [each for each in self.directories if not each.foreign]
