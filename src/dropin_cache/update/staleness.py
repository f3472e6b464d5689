"""Which plugin modules have to be imported, and why: what the ledger has of them does not hold.

The unit is the owner. If one of an owner's modules has to be imported, all are: so what is written
never depends on which of them changed when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dropin_cache._scan import Dropin, content_digest
from dropin_cache.errors import NoSandboxError
from dropin_cache.update.discovery.directories import PluginDirectory
from dropin_cache.update.discovery.owners import Owners, key_of
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.state.ledger import DirectoryRecord, DropinRecord
from dropin_cache.update.state.recorded import Recorded

_NEIGHBOUR = "another plugin module of its owner is imported again"


class Unknown(NamedTuple):
    """A plugin module that nothing is known of in this run.

    Attributes:
        directory: Where it is.
        dropin: Its file.
        record: What the ledger has of the directory, if that is about the cache there.
        why: Why there is no such record.
    """

    directory: PluginDirectory
    dropin: Dropin
    record: DirectoryRecord | None
    why: str


class Fresh(NamedTuple):
    """A plugin module of which what the ledger has still holds."""

    directory: PluginDirectory
    dropin: Dropin
    record: DropinRecord


class Stale(NamedTuple):
    """A plugin module that has to be imported, whose it is, and why."""

    directory: PluginDirectory
    dropin: Dropin
    owner: str
    why: str


class Divided(NamedTuple):
    """Plugin modules, divided into those that have to be imported and the others.

    Attributes:
        fresh: What need not be imported.
        stale: What has to be.
        package_owners: Whose the plugin package itself is, by the keys of those interpreters of
            which a child has imported it.
    """

    fresh: list[Fresh]
    stale: list[Stale]
    package_owners: dict[str, str]


class Staleness:
    """Decides what has to be imported."""

    def __init__(
        self, recorded: dict[str, Recorded], owners: Owners, importer: Importer, *, force: bool
    ) -> None:
        """Decide nothing yet; the arguments are those of `Facts`."""
        self._recorded, self._owners = recorded, owners
        self._importer, self._force = importer, force

    def divide(
        self, unknown: Sequence[Unknown], package_files: dict[str, tuple[str, str]]
    ) -> Divided:
        """Divide plugin modules into those that have to be imported and the others.

        Args:
            unknown: The modules.
            package_files: The file of the plugin package itself and its import root, by the keys of
                interpreters.
        """
        recalled = [self._recall(each) for each in unknown]
        if all(why is None for _, why in recalled):
            return Divided(list(_fresh(unknown, [record for record, _ in recalled])), [], {})
        records = [record for record, _ in recalled]
        owners, package_owners = self._owners_of(unknown, records, package_files)
        again = {
            (key, owner)
            for each, (_, why), owner in zip(unknown, recalled, owners)
            for key in each.directory.seen_by[each.dropin.module]
            if why is not None
        }
        fresh, stale = [], []
        for each, (record, why), owner in zip(unknown, recalled, owners):
            keys = each.directory.seen_by[each.dropin.module]
            if why is None and not any((key, owner) in again for key in keys):
                fresh += _fresh([each], [record])
            else:
                stale.append(Stale(each.directory, each.dropin, owner, why or _NEIGHBOUR))
        return Divided(fresh, stale, package_owners)

    def why(self, unknown: Unknown) -> str | None:
        """Say why a module has to be imported for its own sake; None if it has not."""
        return self._recall(unknown)[1]

    def _recall(self, unknown: Unknown) -> tuple[DropinRecord | None, str | None]:
        """Return what the ledger has of a module, and why it does not hold; None if it does."""
        if unknown.record is None:
            return None, "this was asked for" if self._force else unknown.why
        values = unknown.record.dropins.get(unknown.dropin.module)
        if values is None:
            return None, "this was asked for" if self._force else "it is new"
        record = DropinRecord(*values)
        if self._force:
            return record, "this was asked for"
        if not is_same_file(record, unknown.dropin):
            return record, "its file has changed"
        return record, self._why_stale(unknown, record)

    def _why_stale(self, unknown: Unknown, record: DropinRecord) -> str | None:
        """Say why a module has to be imported again though its own file is the same."""
        if record.error is not None and not record.tried:
            return "it failed before, for reasons of the moment"
        # Of what could not be seen, the ledger has what was known before, and no error.
        failed = record.tried or None
        setting = self._setting() if failed else ""
        for key in unknown.directory.seen_by[unknown.dropin.module]:
            package = unknown.directory.package
            why = self._recorded[key].why_stale(package, record.owner, failed, setting)
            if why is not None:
                return why
        return None

    def _setting(self) -> str:
        """Return what imports would be tried with now."""
        try:
            return self._importer.setting
        except NoSandboxError:  # nothing would be tried
            return ""

    def _owners_of(
        self,
        unknown: Sequence[Unknown],
        records: Sequence[DropinRecord | None],
        package_files: dict[str, tuple[str, str]],
    ) -> tuple[list[str], dict[str, str]]:
        """Find out whose modules and plugin packages are, if owners are kept apart."""
        if not self._importer.keeps_apart:
            return [""] * len(unknown), {}
        found: dict[tuple[str, str], str] = {}
        asked: dict[str, list[str]] = {}
        places = [
            (each.directory.import_root, each.directory.paths[each.dropin.module])
            for each in unknown
        ]
        for each, record, (root, path) in zip(unknown, records, places):
            if record is not None and self._still_owns(record, each.dropin, path):
                found[root, path] = record.owner
            else:
                asked.setdefault(root, []).append(path)
        # Where a package has just been imported, its owner's modules can go on.
        warm = {key: package_files[key] for key in self._importer.warm if key in package_files}
        for path, root in warm.values():
            asked.setdefault(root, []).append(path)
        for root, paths in asked.items():
            for path, owner in self._owners.owners_of(paths, [root]).items():
                found[root, path] = key_of(owner, path, root)
        packages = {key: found[root, path] for key, (path, root) in warm.items()}
        return [found[place] for place in places], packages

    def _still_owns(self, record: DropinRecord, dropin: Dropin, path: str) -> bool:
        """Tell whether a module is still whose it was."""
        if not record.owner:
            return False
        return record.stamp == stamp_of_dropin(dropin) or self._owners.still_owns(
            record.owner, path
        )


def stamp_of_dropin(dropin: Dropin) -> list[int]:
    """Return the stamp of a plugin module's file, as the ledger has it."""
    return [dropin.size, dropin.mtime_ns, dropin.ctime_ns, dropin.inode]


def _fresh(unknown: Sequence[Unknown], records: Sequence[DropinRecord | None]) -> list[Fresh]:
    return [
        Fresh(each.directory, each.dropin, record)
        for each, record in zip(unknown, records)
        if record is not None
    ]


def is_same_file(record: DropinRecord, dropin: Dropin) -> bool:
    """Tell whether what the ledger has of a module is about its file, whatever its date and inode.

    A package that is installed again brings the same, and so does an image of a file system.
    """
    if record.stamp == stamp_of_dropin(dropin):
        return True
    size, _, taken = record.fingerprint
    return bool(dropin.size == size and content_digest(dropin.path) == taken)
