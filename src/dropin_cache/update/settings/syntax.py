"""Reading configuration files: bounded, line by line, and in directories that mask each other."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import NamedTuple

from dropin_cache.errors import ConfigurationError, DropinCacheError
from dropin_cache.update.files import reading
from dropin_cache.update.files.trusted import Files

MAX_SIZE = 64 << 10
"""Bytes that a configuration file may have."""

_NO_FILE = "/dev/null"


class Line(NamedTuple):
    """A line that says something.

    Attributes:
        number: Counted from 1.
        text: Printable, without the space around it.
    """

    number: int
    text: str


def read(files: Files, path: str, limit: int = MAX_SIZE) -> bytes:
    """Read a file whole.

    Args:
        files: Opens it.
        path: Its path.
        limit: The most bytes that it may have.

    Raises:
        ConfigurationError: It is larger than the limit.
        UntrustedError, OSError: It cannot be opened.
    """
    try:
        return reading.read(files.file(path), limit)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        # Without a cause: it is not the system that fails.
        raise ConfigurationError(path, 0, f"it is larger than {limit >> 10} KiB") from None


def lines(path: str, data: bytes) -> Iterator[Line]:
    """Yield what is neither empty nor a comment.

    Raises:
        ConfigurationError: A line is not text.
    """
    for number, raw in enumerate(data.split(b"\n"), 1):
        try:
            text = raw.decode("utf-8").replace("\t", " ").strip(" \r")
        except UnicodeDecodeError as error:
            raise ConfigurationError(path, number, "it is not UTF-8 text") from error
        if not text or text.startswith("#"):
            continue
        # Nothing that looks like one thing and is another, and no separator but the plain space.
        if not text.isprintable():
            raise ConfigurationError(path, number, "it has characters that cannot be seen")
        yield Line(number, text)


def chosen(
    files: Files, directories: tuple[str, ...], problems: list[DropinCacheError]
) -> list[str]:
    """List the files `*.conf` of several directories, ordered by file name.

    Later directories mask earlier ones, as systemd.unit(5) has it: of files with the same name
    only the last one counts, and if that is a link to /dev/null, none. A file that counts and
    turns out to be bad still masks the others.

    Args:
        files: Opens the directories.
        directories: Where to look; those that are missing are empty.
        problems: Gets what is wrong with a directory.
    """
    found: dict[str, str | None] = {}
    for directory in directories:
        with noted(problems, directory):
            found.update(_listed(files, directory))
    return [path for _, path in sorted(found.items()) if path is not None]


@contextlib.contextmanager
def noted(problems: list[DropinCacheError], path: str) -> Iterator[None]:
    """Go on after a problem with a file or directory, and note it; a missing one is none."""
    try:
        yield
    except FileNotFoundError:
        pass
    except DropinCacheError as error:
        problems.append(error)
    except OSError as error:
        reason = f"it cannot be read: {error.strerror or error}"
        problem = ConfigurationError(path, 0, reason)
        problem.__cause__ = error
        problems.append(problem)


def _listed(files: Files, directory: str) -> dict[str, str | None]:
    """Return the paths of the files of a directory by name, None for links to /dev/null."""
    descriptor = files.directory(directory)
    try:
        # Not what editors and package managers leave: x.conf~, x.conf.dpkg-old, x.conf.rpmnew.
        names = [name for name in os.listdir(descriptor) if name.endswith(".conf")]
        return {
            name: None if _is_mask(descriptor, directory, name) else os.path.join(directory, name)
            for name in names
            if not name.startswith(".")
        }
    finally:
        os.close(descriptor)


def _is_mask(descriptor: int, directory: str, name: str) -> bool:
    """Whether a file is a link to /dev/null.

    The text of the link tells, not what it leads to: that would be looked up outside an image.
    """
    try:
        target = os.readlink(name, dir_fd=descriptor)
    except OSError:  # no link
        return False
    # normpath() leaves two slashes at the beginning, for POSIX gives them no meaning.
    return os.path.normpath(os.path.join(directory, target)).replace("//", "/") == _NO_FILE
