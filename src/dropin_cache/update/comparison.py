"""Whether caches are what readers need: found out as readers do it, and without any import.

What the ledger knows is told besides, because files do not show it: what could not be imported, and
what an update would import again though readers see no reason to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dropin_cache._scan import Dropin
from dropin_cache.update import report
from dropin_cache.update.discovery.damage import damage_in
from dropin_cache.update.discovery.differences import Difference
from dropin_cache.update.discovery.directories import PluginDirectory, Target
from dropin_cache.update.discovery.dropin_files import has_cache
from dropin_cache.update.discovery.foreign import foreign_directories
from dropin_cache.update.discovery.owners import name_in
from dropin_cache.update.report import Broken, DirectoryReport
from dropin_cache.update.session import Session, survey
from dropin_cache.update.staleness import Staleness, Unknown, is_same_file
from dropin_cache.update.state.cached import Cached
from dropin_cache.update.state.ledger import DropinRecord

_PASSING = "the last update could not import it, for reasons of the moment"
_READABLE = 0o444


def compare(
    session: Session, staleness: Staleness, targets: Sequence[Target]
) -> list[DirectoryReport]:
    """Compare the caches of a plugin package with its plugin modules.

    Args:
        session: The run.
        staleness: What the ledger has of modules, and whether that holds.
        targets: The package as each interpreter sees it.

    Returns:
        A report for each directory that has a cache or should have one.

    Raises:
        UnreadableError: What there is cannot be told.
    """
    with survey(session) as found:
        directories = found.plugin_directories(targets)
        foreign = set() if session.privileged else foreign_directories(directories, targets)
        reports = [
            compared(each, session, staleness)
            if each.refusal is None
            else refused(each, session.shown(each.directory))
            for each in directories
        ]
    return [each._replace(foreign=each.path in foreign) for each in reports]


def compared(directory: PluginDirectory, session: Session, staleness: Staleness) -> DirectoryReport:
    """Compare a cache with the plugin modules in its directory; see `compare`."""
    cached = Cached.of(directory, session.ledgers)
    difference = Difference.between(directory.package, directory.dropins, cached.file)
    stale = difference.reasons()
    broken = []
    for dropin in directory.dropins:
        module, record = dropin.module, _known(session, directory, dropin)
        if module in directory.refused:
            broken.append(Broken(module, str(directory.refused[module]), news=False))
        elif record is None or record.error is None:
            continue
        elif not record.tried and (module in stale or cached.record is not None):
            stale[module] = f"{_PASSING}: {record.error}"
        elif record.tried and module in stale:
            broken.append(_broken(directory, module, record))
    for each in broken:
        if each.module not in difference.entries:  # as it should be
            stale.pop(each.module, None)
    unusable = _unusable(directory, difference)
    if unusable is not None:
        stale[directory.package] = unusable
    state = _state(directory, difference, stale)
    return DirectoryReport(
        path=session.shown(directory.directory),
        package=directory.package,
        python=directory.interpreters[0].python,
        state=state,
        found=state,
        modules=len(directory.dropins) - len(broken),
        plugins=sum(
            len(entry.plugins)
            for module, entry in difference.entries.items()
            if module in difference.files
        ),
        broken=tuple(broken),
        warnings=tuple(_warnings(session, directory)),
        changes=tuple(stale.items()),
        remarks=tuple(difference.remarks().items()),
        further=tuple(_further(directory, cached, staleness)),
    )


def refused(directory: PluginDirectory, shown: str) -> DirectoryReport:
    """Report that a directory is not to be trusted; `shown` is its path for people."""
    return DirectoryReport(
        path=shown,
        package=directory.package,
        python=directory.interpreters[0].python,
        state=report.REFUSED,
        found=report.REFUSED,
        error=directory.refusal,
    )


def with_origin(module: str, owner: str | None, line: str) -> str:
    """Put a plugin module and its owner in front of what is said of it."""
    origin = f"{module} (of {owner})" if owner else module
    rest = line.removeprefix(module).lstrip(".: ")
    return f"{origin}: {rest}"


def _unusable(directory: PluginDirectory, difference: Difference) -> str | None:
    """Say what is wrong with a cache as a whole, None if nothing is."""
    cache = difference.cache
    if cache is None:
        there = has_cache(directory.handle)
        return "there is something in the place of the cache that cannot be read" if there else None
    if cache.dropins() is None:
        return damage_in(cache.data)
    if cache.mode & _READABLE != _READABLE:
        return f"its mode is {cache.mode:04o}, so that not every user can read it"
    return None


def _state(directory: PluginDirectory, difference: Difference, stale: dict[str, str]) -> str:
    cache = difference.cache
    if not stale:
        return report.FRESH
    if cache is None and directory.dropins and not has_cache(directory.handle):
        return report.MISSING
    damaged = cache is None or cache.dropins() is None
    return report.CORRUPT if damaged and directory.dropins else report.STALE


def _known(session: Session, directory: PluginDirectory, dropin: Dropin) -> DropinRecord | None:
    """Return what the ledger has of a module, if that is about its file."""
    record = session.ledgers.record(directory.directory, directory.interpreters)
    values = None if record is None else record.dropins.get(dropin.module)
    if values is None:
        return None
    known = DropinRecord(*values)
    return known if is_same_file(known, dropin) else None


def _broken(directory: PluginDirectory, module: str, record: DropinRecord) -> Broken:
    path, owner = directory.paths[module], name_in(record.owner)
    return Broken(module, record.error or "", record.traceback, owner, path, news=False)


def _warnings(session: Session, directory: PluginDirectory) -> Iterator[str]:
    """Repeat what the last update said of modules that are in the cache."""
    for dropin in directory.dropins:
        record = _known(session, directory, dropin)
        if record is not None and record.error is None:
            for line in record.warnings:
                yield with_origin(dropin.module, name_in(record.owner), line)


def _further(
    directory: PluginDirectory, cached: Cached, staleness: Staleness
) -> Iterator[tuple[str, str]]:
    """Say which modules an update would import again, and why."""
    for dropin in directory.dropins:
        why = staleness.why(Unknown(directory, dropin, cached.record, cached.why))
        if why is not None:
            yield dropin.module, why
