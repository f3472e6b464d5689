"""Flawed writers and readers: what the harnesses of this directory must be able to find out.

Each function puts one well-known mistake into the process that calls it. They are for the programs
that the harnesses start, never for the process of the tests.
"""

from __future__ import annotations

import importlib
import os
import time
from typing import Any, Callable

from dropin_cache import _plugins, _scan
from dropin_cache.update import facts, session
from dropin_cache.update.files import atomic, cache_directory, trusted
from dropin_cache.update.sandbox import choice, launch

_CHUNKS = 8


def none() -> None:
    """Leave everything as it is."""


def follows_links() -> None:
    """Write the cache where it lies, through whatever link is there: `open(path, "w")`."""

    def replace_file(
        directory: int,
        name: str,
        data: bytes,
        mode: int = 0o644,
        finish: Callable[[int], object] = lambda _: None,
    ) -> None:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode, dir_fd=directory)
        try:
            os.write(descriptor, data)
            os.fchmod(descriptor, mode)
            finish(descriptor)
        finally:
            os.close(descriptor)

    cache_directory.replace_file = atomic.replace_file = replace_file


def names_predictably() -> None:
    """Write a temporary file under a name that is known beforehand, and take what is there."""
    original = atomic.os.open  # type: ignore[attr-defined]
    careless = ~(os.O_EXCL | os.O_NOFOLLOW)

    class Careless:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        @staticmethod
        def urandom(size: int) -> bytes:
            return b"\0" * size

        @staticmethod
        def open(path: str, flags: int, *rest: Any, **options: Any) -> int:
            return original(path, flags & careless, *rest, **options)

    atomic.os = Careless()  # type: ignore[attr-defined]


def trusts_by_path() -> None:
    """Check a path by all the rules, and then open the path."""
    opened = trusted.Files._opened

    class Careless(trusted.Files):
        def directory(self, path: str) -> int:
            with opened(self, path, trusted.PLACE):
                time.sleep(0)  # others run, too
            if self._root is not None:
                path = f"{self._prefix}/{path.lstrip('/')}"
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    session.Files = Careless


def imports_with_privilege() -> None:
    """Import drop-ins with the rights of root."""

    class Unconfined:
        tier, user, apart = "none", None, False

        def lacks(self) -> None:
            return None

        works = lacks

        def launch(self, python: str, view: object = None) -> launch.Launch:
            return launch.Launch([python, "-I", "-B"], dict(os.environ), "/")

    choice.choose = lambda *_, **__: Unconfined()


def writes_in_place() -> None:
    """Write the cache piece by piece where readers already see it."""

    def replace_file(
        directory: int,
        name: str,
        data: bytes,
        mode: int = 0o644,
        finish: Callable[[int], object] = lambda _: None,
    ) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        descriptor = os.open(name, flags, mode, dir_fd=directory)
        try:
            step = len(data) // _CHUNKS + 1
            for start in range(0, len(data), step):
                os.write(descriptor, data[start : start + step])
            finish(descriptor)
        finally:
            os.close(descriptor)

    cache_directory.replace_file = atomic.replace_file = replace_file


def looks_afterwards() -> None:
    """Take the fingerprint of a drop-in when it has been imported."""
    take = facts.Facts._take

    def late(self: Any, stale: Any, taken: Any, *rest: Any) -> None:
        now = _scan.with_status(stale.dropin, os.stat(stale.dropin.path))
        take(self, stale, _scan.fingerprint(now) or taken, *rest)

    facts.Facts._take = late
    # The package has a function of that name.
    refresh = importlib.import_module("dropin_cache.update.refresh")
    facts.is_unchanged = refresh.is_unchanged = lambda _: True


def believes_the_cache() -> None:
    """As a reader, take whatever is in the cache for fresh."""
    _plugins._scan.is_fresh = lambda *_: True
