"""Remove caches that this project wrote, and no others: all, or those of what is gone."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from dropin_cache._cachefile import read_cache_file
from dropin_cache._decode import is_sealed
from dropin_cache._scan import CACHE_NAME
from dropin_cache.errors import DropinCacheError, LockTimeoutError, NotWrittenError, UntrustedError
from dropin_cache.update import report
from dropin_cache.update.discovery.differences import Difference
from dropin_cache.update.discovery.dropin_files import has_cache
from dropin_cache.update.environments import Environments
from dropin_cache.update.files import cache_directory
from dropin_cache.update.files.atomic import prune
from dropin_cache.update.files.contents import contents
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.report import DirectoryReport, Report, Request
from dropin_cache.update.session import Session, open_session, survey
from dropin_cache.update.state.ledger import DirectoryRecord, Ledger
from dropin_cache.update.targets import (
    check_import_roots,
    find_targets,
    interpreter_at,
    python_paths,
)


def clean(request: Request) -> Report:
    """Remove the caches that this project wrote: those of what is selected, or all.

    They are looked for where the ledgers have them, where plugin packages are now, and everywhere
    in paths that are selected. Only the content of a file tells whose it is: a cache that Twisted
    has written, or written again, stays.

    Args:
        request: Where to look. With interpreters, it is about what no other environment imports
            from; with paths alone, about these import roots.

    Returns:
        What became of each directory where there was one.

    Raises:
        DirectoryError, InterpreterError: What is selected is not there.
        UntrustedError: A directory that is selected is not to be relied on.
    """
    with open_session(request) as session:
        selected = _require_selected(session)
        if not selected:
            session.ledgers.open_all()
        found = {
            path: (record.package, record.import_root)
            for ledger in session.ledgers.each()
            for path, record in ledger.directories.items()
        }
        # On the way to being removed itself, the system may have no interpreter left to ask.
        try:
            found.update(_present(session))
        except DropinCacheError as error:
            if request.paths and isinstance(error, UntrustedError):
                raise  # nobody else says that nothing was looked at there
        found = {**_lying_about(session), **found}
        if selected:
            found = _selected(session, found)
        removed = [
            each
            for path, (package, root) in sorted(found.items())
            for each in remove_cache(session, path, package, root)
        ]
        sandbox = session.ledgers.sandbox
        failed = {each.path for each in removed if each.error is not None}
        session.ledgers.forget(set(found) - failed)
    return Report(sandbox, tuple(removed), session.settings.problems)


def forget(
    session: Session, environments: Environments, seen: Collection[str]
) -> list[DirectoryReport]:
    """Remove what an earlier run wrote where nobody can use it any more.

    That is where an update does not look: in packages that are gone whole, and in import roots
    that no interpreter of the environment has any more. A run about everything looks at
    environments without any interpreter, too. Directories that are left empty go with it.

    Args:
        session: The run.
        environments: Its interpreters.
        seen: Directories that this run has seen to.

    Returns:
        What became of each directory where there was a cache.
    """
    reports: list[DirectoryReport] = []
    if not (session.request.pythons or session.request.paths):
        session.ledgers.open_abandoned()
    for ledger in session.ledgers.each():
        for path, record in list(ledger.directories.items()):
            if path in seen or not _is_for(record, ledger, environments):
                continue
            reachable = _is_reachable(record.import_root, ledger, environments)
            known = not ledger.is_abandoned()
            done = _forgotten(session, path, record, known=known, reachable=reachable)
            if done is not None:
                reports += done
                if all(each.error is None for each in done):
                    del ledger.directories[path]
    return reports


def _is_for(record: DirectoryRecord, ledger: Ledger, environments: Environments) -> bool:
    """Tell whether a run can say of a directory that nobody has any use for it.

    Others in one environment may have other import roots: for users, PYTHONPATH decides.
    """
    return all(key in environments.recorded or ledger.is_gone(key) for key in record.pythons)


def _is_reachable(import_root: str, ledger: Ledger, environments: Environments) -> bool:
    """Tell whether anybody may import from a root; a package that is broken now may work again."""
    known = environments.recorded.values()
    unclear = any(each.start is None for each in known if each.ledger is ledger)
    return (
        not import_root
        or unclear
        or any(each.start is not None and import_root in each.start.path for each in known)
    )


def _forgotten(
    session: Session, path: str, record: DirectoryRecord, *, known: bool, reachable: bool
) -> list[DirectoryReport] | None:
    """Remove the cache in a directory nobody sees; None if that is still worth knowing."""
    try:
        os.close(session.files.directory(path))
    except (FileNotFoundError, NotADirectoryError):
        if not known and not os.path.isdir(record.import_root):
            return None  # an environment that is not mounted now looks like one that is gone
        if record.import_root:  # a run that was killed may have come no further
            prune(session.files, record.import_root, path)
        return []
    except (OSError, UntrustedError):  # it may be closed for the moment only
        return None
    if reachable and Difference.of(record.package, path).files:
        return None
    if path in session.ledgers.elsewhere():  # it is another environment's now
        return []
    removed = list(remove_cache(session, path, record.package, record.import_root))
    if not removed and record.import_root:
        prune(session.files, record.import_root, path)
    return removed


def _require_selected(session: Session) -> bool:
    """Open the ledgers of what is selected; tell whether anything is.

    Raises:
        DirectoryError, InterpreterError: It is not there.
    """
    request = session.request
    if request.root is not None or not (request.pythons or request.paths):
        return False
    check_import_roots(session)
    for python in python_paths(request.pythons):
        session.ledgers.of(interpreter_at(session, python, ()))
    return True


def _selected(session: Session, found: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return those of some directories that were asked for."""
    request = session.request
    if request.pythons:
        elsewhere = session.ledgers.elsewhere()
        return {path: where for path, where in found.items() if path not in elsewhere}
    roots = {os.path.abspath(path) for path in request.paths}
    return {path: where for path, where in found.items() if where[1] in roots}


def _present(session: Session) -> dict[str, tuple[str, str]]:
    """Find the directories where there can be caches now: package and import root of each."""
    with (
        Importer(
            session.confinement, session.files, session.request.root, session.timeout
        ) as importer,
        survey(session) as found,
    ):
        owners = session.owners()
        targets = find_targets(session, Environments(session, importer, owners))
        return {
            each.directory: (each.package, each.import_root)
            for package in targets.packages
            for each in found.plugin_directories(package)
            # What is refused is nobody's business unless somebody asks for it.
            if each.refusal is None or (session.request.paths and has_cache(each.handle))
        }


def _lying_about(session: Session) -> dict[str, tuple[str, str]]:
    """Find the caches in selected paths, of whatever package: as `_present` returns them."""
    found = {}
    for root in map(os.path.abspath, session.request.paths):
        for path, _ in contents(session.files, root, ()):
            directory, name = os.path.split(path)
            if name == CACHE_NAME:
                package = os.path.relpath(directory, root).replace(os.sep, ".")
                found[directory] = package, root
    return found


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


def remove_cache(session: Session, path: str, package: str, root: str) -> Iterator[DirectoryReport]:
    """Remove a cache if this project wrote it, and directories that are left empty.

    Args:
        session: The run.
        path: The directory that it is in.
        package: Dotted name of the plugin package.
        root: The import root that it is in; empty if unknown.

    Yields:
        What became of it; nothing where there is nothing to remove.
    """
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
