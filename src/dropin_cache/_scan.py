"""Which files are drop-ins, and whether they are still what a cache says about them.

Everything here looks at directories and files; nothing is imported and nothing is written.
"""

from __future__ import annotations

import os
import stat
import sys

from dropin_cache._model import MARKER, Fingerprint, NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO
    from typing import Any, Callable, Optional

    from dropin_cache._model import CachedDropin, CacheTimes

    Listing = tuple[list[str], dict[str, str]]
    Look = Callable[[str], Optional[os.stat_result]]

CACHE_NAME = "dropin.cache"

_SOURCES = (".py", ".pyc")
_CHUNK = 1 << 20
_DIGITS = 19  # of the largest number of seconds

_constructors: list[Any] = []  # of digests: the first that could be loaded


class Dropin(NamedTuple):
    """A file that holds a drop-in, as it was when the directory was read.

    Attributes:
        key: The module's last component, its key in the cache.
        module: The module's dotted name.
        path: The file: the module's, or `__init__.py` of a drop-in that is a package.
        size: Bytes.
        mtime_ns: Modification time, nanoseconds since the epoch.
        mtime: The same in seconds, rounded as Python rounds `st_mtime`.
        ctime_ns: Time of the last change to the inode, nanoseconds since the epoch.
        inode: Inode number.
    """

    key: str
    module: str
    path: str
    size: int = -1
    mtime_ns: int = -1
    mtime: float = -1.0
    ctime_ns: int = -1
    inode: int = -1


class Bucket(NamedTuple):
    """The drop-ins that share one cache.

    Attributes:
        directory: The directory the cache belongs in.
        dropins: Its drop-ins, sorted by name.
        cacheable: False where the drop-ins lie in a zip archive.
    """

    directory: str
    dropins: tuple[Dropin, ...]
    cacheable: bool = True


def pluginPackagePaths(name: str) -> list[str]:
    """List further directories in which modules of a plugin package may lie.

    A plugin package extends its `__path__` by them. As in Twisted, directories need not exist, and
    one with an `__init__.py` is left out: it is a package of its own that happens to have the
    same name.

    Args:
        name: Dotted name of the plugin package, such as `"twisted.plugins"`.

    Returns:
        Absolute paths, in the order of `sys.path`.
    """
    components = name.split(".")
    # As the import system, pass over what is no string.
    entries = (entry for entry in sys.path if isinstance(entry, str))
    directories = (os.path.join(entry, *components) for entry in entries)
    return [
        os.path.abspath(directory)
        for directory in directories
        if not os.path.exists(os.path.join(directory, "__init__.py"))
    ]


def list_directory(directory: str | int) -> Listing:
    """List the names in a directory that drop-ins can have, sorted, and what can be packages.

    Returns:
        The names; and of those without extension that are directories or symbolic links, which.
    """
    names, folders = [], {}
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if "." in name:
                # Other files are not kept in memory: there may be a million of them.
                if name.endswith(_SOURCES):
                    names.append(name)
                continue
            names.append(name)
            if entry.is_symlink():
                folders[name] = "link"
            elif entry.is_dir(follow_symlinks=False):
                folders[name] = "directory"
    return sorted(names), folders


def scan(
    package: str,
    search_path: Iterable[Any],
    unreadable: Callable[[str, OSError], object],
    status: Callable[[str], os.stat_result] = os.stat,
    listing: Callable[[str], Listing] = list_directory,
) -> list[Bucket]:
    """Find the drop-ins of a plugin package.

    The order is Twisted's: along the search path, sorted within a directory; the first file wins
    a module name. A drop-in that is a package has a bucket to itself, because
    Twisted keeps its cache inside it.

    Args:
        package: Dotted name of the plugin package.
        search_path: Its `__path__`.
        unreadable: Called with path and error for each directory that exists and cannot be read,
            and each file that may be a drop-in and cannot be looked at.
        status: Called in the place of `os.stat` for files, and for symbolic links to directories.
        listing: Called in the place of `list_directory`.

    Returns:
        The buckets, in the order in which Twisted would yield them.
    """
    look = _looking(status, unreadable)
    seen = set()
    buckets: dict[str, list[Dropin]] = {}
    archived: set[str] = set()
    for entry in search_path:
        try:
            directory = os.fspath(entry)
            found = list(_in_directory(package, directory, listing(directory), look))
        except NotADirectoryError:
            found = list(_in_archive(package, directory))
            archived.update(place for place, _ in found)
        except FileNotFoundError:
            continue
        except OSError as error:
            # Below a directory that is closed to this process nobody knows whether it is there.
            if os.path.lexists(directory):
                unreadable(directory, error)
            continue
        except (TypeError, ValueError):  # no path at all; the import system passes over it too
            continue
        for place, dropin in found:
            if dropin is not None and dropin.key not in seen:
                seen.add(dropin.key)
                buckets.setdefault(place, []).append(dropin)
    return [
        # By module name, as the cache has it; file names sort a little differently.
        Bucket(directory, tuple(sorted(dropins)), cacheable=directory not in archived)
        for directory, dropins in buckets.items()
    ]


def content_digest(path: str) -> str | None:
    """Return the SHA-256 of a file's content, or None where it cannot be read."""
    try:
        digest = _sha256()
        with open_regular(path) as file:
            for chunk in iter(lambda: file.read(_CHUNK), b""):
                digest.update(chunk)
    except (OSError, ValueError, ImportError):  # a path to import from may fail, too
        return None
    return str(digest.hexdigest())


def open_regular(path: str) -> FileIO:
    """Open a file for reading, unbuffered.

    Raises:
        OSError: It cannot be opened, or is no regular file.
        ValueError: The path holds a null byte.
    """
    # Opening a device can do something by itself, so what it is is asked first. A FIFO that takes
    # the file's place meanwhile would block the open. Symbolic links are followed: some
    # distributions build their trees of them.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(f"not a regular file: {path}")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"not a regular file: {path}")
    # Not io.FileIO, which is the same: from Python 3.15 on, `io` is not loaded at start.
    return open(descriptor, "rb", buffering=0)


def fingerprint(dropin: Dropin) -> Fingerprint | None:
    """Take the fingerprint of a drop-in, or None where its file has changed since the scan."""
    digest = content_digest(dropin.path)
    if digest is None or not is_unchanged(dropin):
        return None
    return Fingerprint(dropin.size, recorded_time(dropin.mtime_ns), digest)


def recorded_time(time_ns: int) -> int:
    """Return a time as it is recorded: not later than SOURCE_DATE_EPOCH, where that is set.

    https://reproducible-builds.org/specs/source-date-epoch/ has such later times clamped. What is
    no number of seconds counts for nothing, as if it were not set.

    Args:
        time_ns: Nanoseconds since the epoch.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given.isascii() and given.isdigit() and len(given) <= _DIGITS:
        return min(time_ns, int(given) * 10**9)
    return time_ns


def is_unchanged(dropin: Dropin) -> bool:
    """Tell whether a drop-in's file is the one that the scan saw, untouched."""
    try:
        status = os.stat(dropin.path)
    except OSError:
        return False
    return with_status(dropin, status) == dropin


def is_fresh(recorded: Fingerprint | None, dropin: Dropin, cache: CacheTimes) -> bool:
    """Tell whether what a cache says of a drop-in still holds.

    Args:
        recorded: The fingerprint in the cache. Without one (Twisted wrote the entry) Twisted's own
            rule decides: the file must be older than the cache.
        dropin: The drop-in as it is now.
        cache: The times of the cache.
    """
    if recorded is None:
        return dropin.mtime < cache.mtime
    if recorded.size != dropin.size:
        return False
    # Any program can set the one time, and image builders give all files the same; the other one
    # tells whether the file was put there, or changed, after the cache.
    if recorded.mtime_ns == dropin.mtime_ns and dropin.ctime_ns < cache.ctime_ns:
        return True
    return recorded.digest == content_digest(dropin.path)


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    digest = _sha256()
    digest.update(data)
    return str(digest.hexdigest())


def _sha256() -> Any:
    if not _constructors:
        _constructors.append(_constructor())
    return _constructors[0]()


def _constructor() -> Any:
    # Readers of a tree whose times were flattened need this at each start, and hashlib takes ten
    # times as long to load as what it is made of; the module random does the same.
    for name in ("_sha2", "_sha256"):
        try:
            return __import__(name).sha256
        except ImportError:
            continue
    import hashlib  # noqa: PLC0415 - as above

    return hashlib.sha256


def is_described(entry: CachedDropin, dropin: Dropin, cache: CacheTimes) -> bool:
    """Tell whether an entry says what is in a drop-in: it is fresh, and whole.

    Twisted leaves out plugins that are marked with our `IPlugin` alone. So what it says of a module
    may not be all if the module names this package. If it has found nothing at all, it is believed
    of a module that names Twisted's marker, such as one that does without an optional library, and
    of one that imports nothing.

    Args:
        entry: The entry.
        dropin: The drop-in as it is now.
        cache: The times of the cache.
    """
    if not is_fresh(entry.fingerprint, dropin, cache):
        return False
    if entry.fingerprint is not None:
        return True
    if any(MARKER in plugin.references for plugin in entry.plugins):
        return True
    text = _beginning(dropin.path)
    if b"dropin_cache" in text:
        return False
    if entry.plugins:
        return True
    # Bytecode has the path of its source in it, which is below twisted/plugins as a rule.
    named = b"twisted" in text and b"IPlugin" in text
    alone = text != b"" and b"import" not in text
    return dropin.path.endswith(".py") and (named or alone)


def _beginning(path: str) -> bytes:
    """Return the first megabyte of a module, source or bytecode; nothing if it is unreadable."""
    try:
        with open_regular(path) as file:
            return file.read(_CHUNK)
    except OSError:
        return b""


def _looking(
    status: Callable[[str], os.stat_result], unreadable: Callable[[str, OSError], object]
) -> Look:
    """Return a function that asks for the status of a file; None for one that is not there."""

    def look(path: str) -> os.stat_result | None:
        try:
            return status(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            import errno  # noqa: PLC0415 - for what hardly ever happens

            # A link that leads to itself leads nowhere, and from behind a path that is too long
            # nothing can be imported, now or later: there is nothing.
            if error.errno not in {errno.ELOOP, errno.ENAMETOOLONG}:
                unreadable(path, error)
            return None

    return look


def _in_directory(
    package: str, directory: str, listed: Listing, look: Look
) -> Iterator[tuple[str, Dropin | None]]:
    names, folders = listed
    start = os.path.join(directory, "")
    here = os.path.dirname(start)
    for name in names:
        path = start + name
        stem, dot, _ = name.rpartition(".")
        if not dot:
            if _is_directory(path, folders.get(name), look):
                yield path, _package(name, f"{package}.{name}", path, look)
        elif stem not in ("", "__init__") and _is_module_name(stem):
            yield here, _regular(stem, f"{package}.{stem}", path, look)


def _in_archive(package: str, archive: str) -> Iterator[tuple[str, Dropin | None]]:
    """List the drop-ins in a zip archive on the path; in any other file there are none."""
    import pkgutil  # noqa: PLC0415 - archives on the path are rare

    for module in pkgutil.iter_modules([archive]):
        if _is_module_name(module.name):
            path = os.path.join(archive, module.name)
            yield os.path.dirname(path), Dropin(module.name, f"{package}.{module.name}", path)


def _is_directory(path: str, kind: str | None, look: Look) -> bool:
    if kind != "link":
        return kind == "directory"
    found = look(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def _is_module_name(stem: str) -> bool:
    # Twisted's rule to the letter: a drop-in it sees and the cache lacks is imported every time.
    return stem.isidentifier() or not any(character in stem for character in " .-")


def _package(key: str, module: str, directory: str, look: Look) -> Dropin | None:
    source, bytecode = (os.path.join(directory, f"__init__{each}") for each in _SOURCES)
    return _regular(key, module, source, look) or _regular(key, module, bytecode, look)


def _regular(key: str, module: str, path: str, look: Look) -> Dropin | None:
    """Return the drop-in in `path` if a regular file is there: opening a FIFO would hang."""
    found = look(path)
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    return with_status((key, module, path), found)


def with_status(dropin: Dropin | tuple[str, str, str], status: os.stat_result) -> Dropin:
    """Return a drop-in with what the system says of its file."""
    found = status.st_size, status.st_mtime_ns, status.st_mtime, status.st_ctime_ns, status.st_ino
    return Dropin._make(dropin[:3] + found)
