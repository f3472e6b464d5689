"""Which directories belong to an interpreter, found without running it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterator
from typing import Callable, NamedTuple

from dropin_cache.errors import InterpreterError, UntrustedError
from dropin_cache.update.files.failures import is_failure

_MAX_LINKS = 40  # as the kernel, path_resolution(7)
_MAX_TEXT = 1 << 16  # bytes of a .pth file or pyvenv.cfg that are read
_ORIGIN = "direct_url.json"
# Where Debian's interpreters look besides their own library.
_SYSTEM_SITES = ("/usr/lib/python3/dist-packages", "/usr/local/lib")


class Belongings(NamedTuple):
    """What an interpreter needs. All paths are as a process has them whose root is the prefix.

    Attributes:
        programs: The directories of the interpreter and of what it is a link to.
        libraries: Libraries and configuration beside them; some may not exist.
        sites: Directories in which distributions are installed; some may not exist.
        named: Directories and archives that are named by `.pth` files, and what distributions are
            installed from that can be edited.
    """

    programs: tuple[str, ...]
    libraries: tuple[str, ...]
    sites: tuple[str, ...]
    named: tuple[str, ...]


def belongings(python: str, prefix: str, resolve: Callable[[str], str]) -> Belongings:
    """Find out what belongs to an interpreter.

    A prefix is the directory above that of the program. It is not shown as a whole, since it may
    be somebody's home directory.

    Args:
        python: Its path.
        prefix: What to put in front of a path to open it.
        resolve: Returns a canonical path, without the prefix, of something that exists.
    """
    look = _Look(python, prefix, resolve)
    programs = dict.fromkeys(os.path.dirname(path) for path in look.chain(python))
    for directory in list(programs):
        for home in look.homes(directory):
            # The program of a virtual environment may be a copy, so no link leads there.
            chain = look.chain(os.path.join(home, os.path.basename(python)))
            programs.update(dict.fromkeys(os.path.dirname(path) for path in chain))
    libraries = [
        os.path.join(os.path.dirname(directory), name)
        for directory in programs
        for name in ("lib", "lib64", "pyvenv.cfg")
    ]
    alone = look.alone(os.path.dirname(python))
    with_packages = (*libraries, *_SYSTEM_SITES)
    if alone is not None:
        with_packages = tuple(each for each in libraries if os.path.dirname(each) == alone)
    found = [site for library in with_packages for site in look.sites(library)]
    sites = tuple(dict.fromkeys(found))
    named = dict.fromkeys(path for site in sites for path in look.named(site))
    return Belongings(tuple(programs), tuple(libraries), sites, tuple(named))


def resolved(path: str, prefix: str) -> str:
    """Return the canonical path of something, as a process has it whose root is the prefix.

    Links that are absolute, or lead above the root, stay below it. This is no protection against
    somebody who changes links meanwhile.

    Raises:
        OSError: There are too many links, or it is no path.
    """
    if "\0" in path:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    left = path.split("/")[::-1]
    at = ""
    links = 0
    while left:
        name = left.pop()
        if name in ("", "."):
            continue
        if name == "..":
            at = at.rpartition("/")[0]
            continue
        try:
            target = os.readlink(f"{prefix}{at}/{name}")
        except OSError as error:  # no link, or not there
            if is_failure(error):
                raise
            at = f"{at}/{name}"
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            at = ""
        left += target.split("/")[::-1]
    return at or "/"


class _Look:
    """Looks at files below a prefix, and takes what it cannot rely on for missing."""

    def __init__(self, python: str, prefix: str, resolve: Callable[[str], str]) -> None:
        self._python = python
        self._prefix = prefix
        self._resolve = resolve

    def chain(self, path: str) -> Iterator[str]:
        """Yield a path and, if it is a link, what it leads to, step by step."""
        for _ in range(_MAX_LINKS):
            yield path
            try:
                directory = self._resolve(os.path.dirname(path))
                path = os.path.join(directory, os.path.basename(path))
                path = os.path.join(directory, os.readlink(self._prefix + path))
            except OSError as error:  # no link
                if is_failure(error):
                    raise
                return

    def homes(self, directory: str) -> Iterator[str]:
        """Yield where a virtual environment says that its interpreter is from."""
        for place in (os.path.dirname(directory), directory):
            path = os.path.join(place, "pyvenv.cfg")
            self._require_no_fifo(path)
            for line in self._lines(path):
                key, _, value = line.partition("=")
                if key.strip() == "home" and value.strip().startswith("/"):
                    yield value.strip()

    def alone(self, directory: str) -> str | None:
        """Return the prefix of a virtual environment that has only its own packages.

        The module site looks for the file in these two places, and takes "true" if it says nothing.
        """
        for place in (os.path.dirname(directory), directory):
            for line in self._lines(os.path.join(place, "pyvenv.cfg")):
                key, equals, value = line.partition("=")
                if equals and key.strip().lower() == "include-system-site-packages":
                    return None if value.strip().lower() == "true" else place
        return None

    def sites(self, library: str) -> Iterator[str]:
        """Yield the directories below a library where distributions are installed."""
        if os.path.basename(library).endswith("-packages"):
            yield library
            return
        for version in self._names(library):
            if version.startswith("python3"):
                for name in ("site-packages", "dist-packages"):
                    yield os.path.join(library, version, name)

    def named(self, site: str) -> Iterator[str]:
        """Yield what the `.pth` files of a directory add to the path; the module site does that.

        Some editable installs have a finder of their own in the place of that. All say in
        `direct_url.json` where the project is (PyPA, "Recording the Direct URL Origin of installed
        distributions").
        """
        place = self._resolve(site) if (names := self._names(site)) else site
        for name in names:
            if name.endswith((".pth", ".start")):
                self._require_no_fifo(os.path.join(site, name))
            if name.endswith(".pth"):
                for line in self._lines(os.path.join(site, name)):
                    # Lines of code may add anything. They run in the child only.
                    if line.strip() and not line.startswith(("#", "import ", "import\t")):
                        yield os.path.join(site, line.rstrip())
            elif name.endswith(".dist-info"):
                yield from self._project(os.path.join(place, name))

    def _project(self, metadata: str) -> Iterator[str]:
        """Yield the directory of a project that is installed from there and can be edited."""
        directory = self._prefix + metadata
        # Few have the file, and to open it by the rules takes long.
        if not (os.path.islink(directory) or os.path.lexists(f"{directory}/{_ORIGIN}")):
            return
        from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - likewise

        with contextlib.suppress(
            LookupError, TypeError, ValueError, RecursionError, AttributeError
        ):
            text = "\n".join(self._lines(os.path.join(metadata, _ORIGIN)))
            origin = json.loads(text or "{}")
            url = urlsplit(origin["url"])
            if url.scheme == "file" and origin["dir_info"]["editable"] is True:
                yield unquote(url.path, errors="surrogateescape")

    def _names(self, directory: str) -> list[str]:
        with contextlib.suppress(OSError, UntrustedError):
            return sorted(os.listdir(self._prefix + self._resolve(directory)))
        return []

    def _require_no_fifo(self, path: str) -> None:
        """Raise InterpreterError for what Python would wait for when it starts."""
        with contextlib.suppress(OSError):
            place = f"{self._prefix}{resolved(path, self._prefix)}"
            if stat.S_ISFIFO(os.lstat(place).st_mode):
                reason = f"it would wait for the FIFO {path}; remove that"
                raise InterpreterError(self._python, reason)

    def _lines(self, path: str) -> list[str]:
        """Read a small text file. A FIFO would block, an endless file would fill the memory."""
        with contextlib.suppress(OSError, UntrustedError):
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            descriptor = os.open(self._prefix + self._resolve(path), flags)
            with open(descriptor, "rb") as file:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    # As Python reads paths; the byte-order mark, too, is passed over by it.
                    return os.fsdecode(file.read(_MAX_TEXT)).lstrip("\ufeff").splitlines()
        return []
