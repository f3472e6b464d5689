"""Remove caches that this project wrote, and no others: all, or those of what is gone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator

from dropin_cache._cachefile import read_cache_file
from dropin_cache._decode import is_sealed
from dropin_cache.errors import DropinCacheError, LockTimeoutError, NotWrittenError, UntrustedError
from dropin_cache.update import report
from dropin_cache.update.discovery.differences import Difference
from dropin_cache.update.environments import Environments
from dropin_cache.update.files import cache_directory
from dropin_cache.update.files.atomic import prune
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.refresh import survey
from dropin_cache.update.report import DirectoryReport, Report, Request
from dropin_cache.update.session import Session, open_session
from dropin_cache.update.targets import find_targets


def clean(request: Request) -> Report:
    """Remove every cache that this project wrote.

    They are looked for where the ledger has them and where plugin packages are now. Only the
    content of a file tells whose it is: a cache that Twisted has written, or written again, stays.

    Args:
        request: Where to look.

    Returns:
        What became of each directory where there was one.
    """
    found: dict[str, tuple[str, str]] = {}
    with open_session(request) as session:
        for path, record in session.ledger.directories.items():
            found[path] = record.package, record.import_root
        # On the way to being removed itself, the system may have no interpreter left to ask.
        with contextlib.suppress(DropinCacheError):
            found.update(_present(session))
        directories = [
            each
            for path, (package, root) in sorted(found.items())
            for each in _remove(session, path, package, root)
        ]
        if all(each.error is None for each in directories):
            session.ledger.remove()
    return Report(session.ledger.sandbox, tuple(directories), session.settings.problems)


def forget(session: Session, seen: Collection[str]) -> list[DirectoryReport]:
    """Remove what an earlier run wrote where there is nothing any more to write about.

    That is where an update does not look: in directories of interpreters that are gone, and in
    packages that are gone whole. Directories that are left empty go with it.

    Args:
        session: The run.
        seen: Directories that this run has seen to.

    Returns:
        What became of each directory where there was a cache.
    """
    reports: list[DirectoryReport] = []
    for path, record in list(session.ledger.directories.items()):
        if path in seen:
            continue
        try:
            os.close(session.files.directory(path))
        except (FileNotFoundError, NotADirectoryError):
            if record.import_root:  # a run that was killed may have come no further
                prune(session.files, record.import_root, path)
            del session.ledger.directories[path]
            continue
        except (OSError, UntrustedError):  # it may be closed for the moment only
            continue
        if Difference.of(record.package, path).files:
            continue
        removed = list(_remove(session, path, record.package, record.import_root))
        reports += removed
        if not removed and record.import_root:
            prune(session.files, record.import_root, path)
        if all(each.error is None for each in removed):
            del session.ledger.directories[path]
    return reports


def _present(session: Session) -> dict[str, tuple[str, str]]:
    """Find the directories where there can be caches now: package and import root of each."""
    with (
        Importer(
            session.confinement, session.files, session.request.root, session.timeout
        ) as importer,
        survey(session) as found,
    ):
        targets = find_targets(session, Environments(session, importer))
        return {
            each.directory: (each.package, each.import_root)
            for package in targets.packages
            for each in found.plugin_directories(package)
            if each.refusal is None
        }


def _holds_ours(session: Session, path: str) -> bool:
    """Tell whether there is something to remove in a directory; if that is unclear, there is."""
    try:
        descriptor = session.files.directory(path)
    except (OSError, UntrustedError):  # pragma: no cover - it could be opened a moment ago
        return True
    try:
        file = read_cache_file(descriptor)
        return bool(cache_directory.leftovers(descriptor)) or (
            file is not None and is_sealed(file.data)
        )
    finally:
        os.close(descriptor)


def _remove(session: Session, path: str, package: str, root: str) -> Iterator[DirectoryReport]:
    done = DirectoryReport(session.shown(path), package, "", report.REMOVED, "")
    keep_time = session.request.root is not None
    try:
        with session.locked(path) as directory:
            file = directory.read()
            directory.remove_leftovers()
            if file is None:
                return
            if not is_sealed(file.data):
                return
            directory.remove(keep_time=keep_time)
        if root:
            pruned = prune(session.files, root, path, keep_time=keep_time)
            done = done._replace(pruned=tuple(map(session.shown, pruned)))
        yield done
    except NotWrittenError as error:
        # A user's search path has directories that are not his, and mostly nothing of his in them.
        if not isinstance(error.__cause__, FileNotFoundError) and _holds_ours(session, path):
            yield done._replace(state=report.FAILED, error=error)
    except LockTimeoutError as error:
        yield done._replace(state=report.FAILED, error=error)
    except UntrustedError as error:
        yield done._replace(state=report.REFUSED, error=error)
