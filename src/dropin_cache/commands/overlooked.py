"""Why a file that looks like a plugin module is not seen by anybody."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dropin_cache import _scan
from dropin_cache.errors import UntrustedError, ZopeInterfaceMissingError
from dropin_cache.update.discovery import distributions
from dropin_cache.update.discovery.differences import listed
from dropin_cache.update.environments import Environments
from dropin_cache.update.files.reading import read
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.plugin_packages import known_packages
from dropin_cache.update.report import Request
from dropin_cache.update.session import Session, open_session
from dropin_cache.update.targets import find_interpreters

_ORIGIN = "direct_url.json"
_MAX_SIZE = 1 << 16  # bytes of that; pip's have some hundred
_SOURCES = ("", "src")  # where projects have their packages


class Unseen(NamedTuple):
    """A file that is in nobody's way.

    Attributes:
        path: The file.
        module: The dotted name that it would have.
        package: Dotted name of the plugin package.
        python: The interpreter that was looked at.
        reason: Why it is not seen.
        remedy: What to do so that it is.
    """

    path: str
    module: str
    package: str
    python: str
    reason: str
    remedy: str


def unseen_at(request: Request, path: str) -> Unseen | None:
    """Say why nobody sees a file; None if it has nothing to do with any plugin package.

    Args:
        request: Where to look.
        path: Its path, absolute, as this machine has it.
    """
    with _views(request) as views:
        for view in views:
            prefix = view.session.shown("")
            if path.startswith(f"{prefix}/"):
                found = view.why(path[len(prefix) :])
                if found is not None:
                    return found._replace(path=prefix + found.path)
    return None


def unseen_as(request: Request, name: str) -> Unseen | None:
    """Say why nobody sees a plugin module that a project has which is installed for editing.

    Args:
        request: Where to look.
        name: Its dotted name, or that of a plugin in it.
    """
    with _views(request) as views:
        for view in views:
            module = name[len(view.package) + 1 :].partition(".")[0]
            if not name.startswith(f"{view.package}.") or not module:
                continue
            for project in view.projects():
                for source in _SOURCES:
                    path = os.path.join(project, source, view.tail, f"{module}.py")
                    found = view.why(path) if view.session.unchecked.kind(path) else None
                    if found is not None:
                        return found
    return None


class _View:
    """A plugin package as an interpreter sees it."""

    def __init__(
        self,
        session: Session,
        package: str,
        python: str,
        roots: Sequence[str],
        search_path: Sequence[str] | None,
    ) -> None:
        self.session, self.package, self.python = session, package, python
        self.tail = os.path.join(*package.split("."))
        self._files = session.unchecked
        self._roots, self._search_path = roots, search_path

    def why(self, path: str) -> Unseen | None:
        """Say why a file in a directory of this package is not seen; None for another one."""
        directory, name = os.path.split(path)
        key = name.partition(".")[0]
        if name.startswith("__init__.py"):
            directory, key = os.path.split(directory)
        if not directory.endswith(os.sep + self.tail) or not self._files.kind(path):
            return None
        found = self._reason(path, directory, key)
        if found is None:
            return None
        module = f"{self.package}.{key}"
        return Unseen(path, module, self.package, self.python, *found)

    def projects(self) -> dict[str, str]:
        """Return the projects that are installed for editing: their directories and names."""
        return {
            project: distributions.name_of(directory, self._files)
            for root in self._roots
            for directory in distributions.metadata_directories(root, self._files)
            for project in _project(self._files, directory)
        }

    def _reason(self, path: str, directory: str, key: str) -> tuple[str, str] | None:
        root = directory[: -len(self.tail) - 1] or "/"
        if not any(self._is_same(each, root) for each in self._roots):
            return self._off_the_path(path, root)
        if self._search_path is None:
            top = self.package.partition(".")[0]
            reason = f"{self.python} has no {top}, so nobody asks for plugins in {self.package}"
            return (
                reason,
                f"Install {top}, or name the environment that has it: --python ENVIRONMENT",
            )
        if not any(self._is_same(each, directory) for each in self._search_path):
            file = os.path.join(directory, "__init__.py")
            reason = f"{file} makes that directory another package, no part of {self.package}"
            return reason, f"A plugin package is not in one directory: remove {file}"
        for bucket in _scan.scan(
            self.package,
            self._search_path,
            _pass_over,
            self._files.status,
            lambda path: listed(self._files, path),
        ):
            for dropin in bucket.dropins:
                if dropin.key == key and dropin.path != path:
                    first = f"of several {dropin.module} the first on the path counts"
                    return f"{dropin.path} hides it: {first}", "Give one of them another name."
        return None

    def _off_the_path(self, path: str, root: str) -> tuple[str, str]:
        for project, name in self.projects().items():
            if path.startswith(f"{project}/"):
                reason = (
                    f"{name} is installed for editing from {project}, by something that shows "
                    f"no modules of {self.package}"
                )
                how = f"{self.python} -m pip install --config-settings editable_mode=compat"
                return reason, f"With setuptools: {how} -e {project}"
        reason = f"{self.python} does not import from {root}"
        return reason, f"Try --path {root}; for applications, put it into PYTHONPATH or install it."

    def _is_same(self, one: str, other: str) -> bool:
        with contextlib.suppress(OSError, UntrustedError):
            return os.path.samestat(self._files.status(one), self._files.status(other))
        return False


@contextlib.contextmanager
def _views(request: Request) -> Iterator[list[_View]]:
    """Look at all plugin packages that are known, as each interpreter sees them."""
    with (
        open_session(request) as session,
        Importer(
            session.confinement, session.files, session.request.root, session.timeout
        ) as importer,
    ):
        environments = Environments(session, importer, session.owners())
        views = []
        with contextlib.suppress(ZopeInterfaceMissingError):
            interpreters, _ = find_interpreters(session, environments)
            for each in interpreters:
                roots = environments.start(each).path
                packages = [*request.packages, *known_packages(session, environments, [each])]
                views += [
                    _View(session, name, each.python, roots, environments.locate(each, name))
                    for name in dict.fromkeys(packages)
                ]
        yield views


def _project(files: Files, directory: str) -> Iterator[str]:
    """Yield where a distribution is installed from, if that can be edited (PyPA, direct URLs)."""
    path = os.path.join(directory, _ORIGIN)
    if not files.kind(path):
        return
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - few have such a file

    damaged = LookupError, TypeError, ValueError, RecursionError, AttributeError
    with contextlib.suppress(OSError, UntrustedError, *damaged):
        origin = json.loads(read(files.file(path), _MAX_SIZE))
        url = urlsplit(origin["url"])
        if url.scheme == "file" and origin["dir_info"]["editable"] is True:
            yield unquote(url.path, errors="surrogateescape").rstrip("/")


def _pass_over(*_: object) -> None:
    """Ignore a directory that cannot be read."""
