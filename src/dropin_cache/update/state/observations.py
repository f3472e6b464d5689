"""What imports looked at, with the state in which it was; and whether it still is.

The child says what was looked at (`payload.observation`). What state it was in, this process finds
out by itself, after the imports: what changed while they went on matches nothing, so that the next
run imports again.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Optional

from dropin_cache._scan import CACHE_NAME, digest_of

TICK = 20_000_000
"""Nanoseconds that are more than a tick of the clock of any file system that matters: what changed
later than that before it was read may have changed once more without another date."""

IMPORTS = "what it imports"
"""How a reason begins that is not about the plugin module's own file."""

Stamp = Optional[list[int]]
"""Size, modification time, time of the last change to the inode, inode; None if there is none."""

UNSETTLED: Stamp = [-1, -1, -1, -1]
"""Matches nothing, so that the next run looks again."""

_EXTENSION = ".so"


class Observed(NamedTuple):
    """What was looked at during imports.

    Attributes:
        files: Paths that were opened, there or not.
        listed: Directories that were listed.
        names: Modules that were looked for: the dotted name, and the path that was searched.
    """

    files: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()
    names: frozenset[tuple[str, tuple[str, ...]]] = frozenset()

    @classmethod
    def of_all(cls, parts: Sequence[Observed]) -> Observed:
        """Return what was looked at in any of several."""
        return cls(
            frozenset().union(*(each.files for each in parts)),
            frozenset().union(*(each.listed for each in parts)),
            frozenset().union(*(each.names for each in parts)),
        )


class Look:
    """One run's look at files and directories, which asks the system once for each.

    What is listed has the stamp of the time right after it, so that what comes later tells.
    """

    def __init__(self) -> None:
        """Know of nothing yet."""
        self._stamps: dict[str, Stamp] = {}
        self._listings: dict[str, dict[str, list[str]]] = {}
        self._found: dict[tuple[str, tuple[str, ...]], str] = {}
        self._digests: dict[str, str] = {}

    def stamp(self, path: str) -> Stamp:
        """Return the stamp of a file or directory."""
        if path not in self._stamps:
            self._stamps[path] = stamp_of(path)
        return self._stamps[path]

    def hold(self, stamps: dict[str, Stamp]) -> bool:
        """Tell whether paths have the stamps that they had."""
        return all(self.stamp(path) == stamp for path, stamp in stamps.items())

    def found(self, module: str, path: tuple[str, ...]) -> str:
        """Return where a module would be imported from, in the order of the import system.

        Args:
            module: Its dotted name.
            path: The directories that are searched.

        Returns:
            A file or the directory of a package; of one without `__init__`, all there are,
            separated by colons; empty if there is none. In front of it are the archives that are
            searched before: what is in them only their stamps can tell.
        """
        name = module.rpartition(".")[2]
        if (name, path) not in self._found:
            self._found[name, path] = self._searched(name, path)
        return self._found[name, path]

    def _searched(self, name: str, path: tuple[str, ...]) -> str:
        archives, portions = "", []
        for directory in path:
            if self._is_archive(directory):
                archives += f"{directory}:{self.stamp(directory)}:"
            entries = self._listing(directory).get(name, ())
            if name in entries:  # no extension: a directory, mostly
                inner = os.path.join(directory, name)
                if self._listing(inner).get("__init__"):
                    return archives + inner
                portions.append(inner)
            files = [entry for entry in entries if entry.endswith((".py", ".pyc", _EXTENSION))]
            # Extension modules, then sources, then bytecode.
            for entry in sorted(files, key=lambda entry: (not entry.endswith(_EXTENSION), entry)):
                return archives + os.path.join(directory, entry)
        return archives + ":".join(portions)

    def names_in(self, directory: str) -> str:
        """Return a digest of the names in a directory; empty if it cannot be listed."""
        if directory not in self._digests:
            names: list[str] = []
            with contextlib.suppress(OSError, ValueError):
                names = sorted(os.listdir(directory))
            self._stamps[directory] = stamp_of(directory)
            text = "\0".join(name for name in names if name not in {CACHE_NAME, "__pycache__"})
            digest = digest_of(os.fsencode(text))[:16] if names else ""
            self._digests[directory] = digest
        return self._digests[directory]

    def _is_archive(self, path: str) -> bool:
        """Tell whether something on a search path is a file, or lies in one."""
        stamp = self.stamp(path)
        return stamp is not None and not self._listing(path) and not os.path.isdir(path)

    def _listing(self, directory: str) -> dict[str, list[str]]:
        """Return what could be modules in a directory, by what is before the first dot."""
        if directory not in self._listings:
            found: dict[str, list[str]] = {}
            with contextlib.suppress(OSError, ValueError), os.scandir(directory) as entries:
                for entry in entries:
                    stem, dot, _ = entry.name.partition(".")
                    if not dot or entry.name.endswith((".py", ".pyc", _EXTENSION)):
                        found.setdefault(stem, []).append(entry.name)
            self._listings[directory] = found
            self._stamps[directory] = stamp_of(directory)
        return self._listings[directory]


class Noted(NamedTuple):
    """What imports looked at, and what state it was in.

    Attributes:
        files: Stamps of the files that were opened.
        names: Where modules were found, by name and the path that was searched.
        directories: Stamps of the directories on these paths.
        listed: Digests of the names in directories that were listed.
    """

    files: dict[str, Stamp]
    names: dict[tuple[str, tuple[str, ...]], str]
    directories: dict[str, Stamp]
    listed: dict[str, str]


def note(observed: Observed, roots: Iterable[str], since: int, look: Look) -> Noted:
    """Find out in what state that is which imports have looked at.

    Args:
        observed: What was looked at.
        roots: Import roots and prefixes: what is elsewhere does not count, such as /etc.
        since: When the imports began, nanoseconds since the epoch.
        look: How things are after the imports. What was there meanwhile and has gone, or the other
            way round, cannot be told from what it was before.
    """
    # Code often asks for the canonical path of its own file first.
    names = [root.rstrip("/") for root in roots]
    places = {place for name in names if name for place in (name, _canonical(name))}
    within = tuple(f"{place}/" for place in places)

    def counts(path: str) -> bool:
        # An import root that is an archive is opened itself.
        inside = path.startswith(within) or path in places
        return inside and not path.endswith(f"/{CACHE_NAME}")

    def settled(path: str) -> Stamp:
        stamp = look.stamp(path)
        if stamp is not None and max(stamp[1], stamp[2]) >= since - TICK:
            return UNSETTLED
        return stamp

    # Stamps are taken last: what was listed before is then no older than they are.
    found = {(name, path): look.found(name, path) for name, path in observed.names}
    listed = {path: look.names_in(path) for path in observed.listed if counts(f"{path}/")}
    directories = {each: settled(each) for each in {d for _, path in found for d in path}}
    unsettled = {each for each, stamp in directories.items() if stamp == UNSETTLED}
    return Noted(
        files={path: settled(path) for path in observed.files if counts(path)},
        names={
            (name, path): place if unsettled.isdisjoint(path) else "?"  # matches nothing
            for (name, path), place in found.items()
        },
        directories=directories,
        listed={
            path: "?" if settled(path) == UNSETTLED else digest for path, digest in listed.items()
        },
    )


def why_changed(noted: Noted, look: Look) -> str | None:
    """Say why what imports have looked at is not what it was; None if it is."""
    for path, stamp in noted.files.items():
        now = look.stamp(path)
        if now != stamp:
            how = "is gone" if now is None else "has appeared" if stamp is None else "has changed"
            return f"{IMPORTS} {how}: {path}"
    changed = {path for path, stamp in noted.directories.items() if look.stamp(path) != stamp}
    for (name, searched), found in noted.names.items() if changed else ():
        if not changed.isdisjoint(searched):
            now_found = look.found(name, searched)
            if now_found != found:
                if found == "":
                    how = "was missing and has appeared"
                else:
                    how = "is found elsewhere now" if now_found else "is gone"
                return f"{IMPORTS} {how}: {name}"
    for path, digest in noted.listed.items():
        if look.names_in(path) != digest:
            return f"{IMPORTS} has listed a directory that has changed: {path}"
    return None


def pack(noted: Sequence[Noted]) -> dict[str, Any]:
    """Return notes in a form for JSON, in which what several have in common is there once."""
    tables: dict[str, dict[Any, int]] = {
        name: {} for name in ("files", "paths", "names", "directories", "listed")
    }

    def number(table: str, value: Any) -> int:
        return tables[table].setdefault(value, len(tables[table]))

    def stamps(table: str, of: dict[str, Stamp]) -> list[int]:
        pairs = ((path, None if stamp is None else tuple(stamp)) for path, stamp in of.items())
        return sorted(number(table, pair) for pair in pairs)

    packed = []
    for each in noted:
        names = [
            number("names", (name, number("paths", path), found))
            for (name, path), found in each.names.items()
        ]
        listed = [number("listed", item) for item in each.listed.items()]
        packed.append(
            [
                stamps("files", each.files),
                sorted(names),
                # Each has its own: they may have been noted by several runs.
                stamps("directories", each.directories),
                sorted(listed),
            ]
        )
    # As JSON will have them: what is noted now is compared by this run, too.
    lists = {name: [_as_list(value) for value in table] for name, table in tables.items()}
    return {**lists, "noted": packed}


def _as_list(value: Iterable[Any]) -> list[Any]:
    return [list(part) if isinstance(part, tuple) else part for part in value]


def unpack(packed: dict[str, Any]) -> list[Noted]:
    """Return what was packed."""
    paths = [tuple(path) for path in packed["paths"]]
    names = [((name, paths[path]), found) for name, path, found in packed["names"]]
    return [
        Noted(
            dict(packed["files"][index] for index in files_of),
            dict(names[index] for index in names_of),
            dict(packed["directories"][index] for index in directories_of),
            dict(packed["listed"][index] for index in listed_of),
        )
        for files_of, names_of, directories_of, listed_of in packed["noted"]
    ]


def _canonical(root: str) -> str:
    try:
        return os.path.realpath(root)
    except ValueError:  # a child may name what no path can be
        return root


def stamp_of(path: str) -> Stamp:
    """Return what the system says of a file or directory, or None where there is none.

    Of a path inside of an archive, it is the archive's.
    """
    while True:
        try:
            return stamp_in(os.stat(path))
        except NotADirectoryError:
            path = os.path.dirname(path)
        except (OSError, ValueError):
            return None


def stamp_in(status: os.stat_result) -> list[int]:
    """Return the part of a status that tells whether something has changed."""
    # Adding a file to a directory is a change of it; the size of one says nothing more.
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return [size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
