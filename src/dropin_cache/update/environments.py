"""What a run knows of its interpreters: from the ledger where that holds, else by asking them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from dropin_cache.errors import PackageBrokenError
from dropin_cache.update.discovery.declarations import declarations
from dropin_cache.update.discovery.interpreters import Interpreter, Start
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.importing.importer import Importer
from dropin_cache.update.session import Session
from dropin_cache.update.state.observations import Look, Observed
from dropin_cache.update.state.recorded import Recorded
from dropin_cache.update.text import is_dotted

BUILT_IN_PACKAGES = ("twisted.plugins", "dropin_cache.plugins")
"""Plugin packages that are looked after without anybody declaring them."""


class Environments:
    """The interpreters of a run.

    Attributes:
        recorded: What the ledger has of each, by key.
        asked: Whether an interpreter had to be asked, since it is new or something has changed.
        warnings: What was declared by distributions and does not count, a line each: of
            interpreters that had to be asked.
    """

    def __init__(self, session: Session, importer: Importer, owners: Owners) -> None:
        """Know of none yet."""
        self._session, self._importer, self._owners = session, importer, owners
        self.warnings: list[str] = []
        self.asked = False
        self._look = Look()
        self.recorded: dict[str, Recorded] = {}

    def start(self, interpreter: Interpreter) -> Start:
        """Return what an interpreter is.

        Raises:
            InterpreterError: It is none, does not start, or is too old.
            ZopeInterfaceMissingError: It cannot have plugins.
            NoSandboxError, ConfinementError: It must not be asked.
        """
        recorded = self._recorded(interpreter)
        if recorded.start is None:
            start = self._importer.ask(interpreter)
            files, unchecked = self._session.files, self._session.unchecked
            declared = declarations(start.path, self._owners, files, unchecked)
            self.warnings += declared.refused
            self.asked = True
            recorded.note_start(start._replace(packages=declared.packages))
        assert recorded.start is not None  # noqa: S101 - for the type checker
        return recorded.start

    def locate(self, interpreter: Interpreter, package: str) -> tuple[str, ...] | None:
        """Return the `__path__` of a plugin package, None if it is not installed.

        Raises:
            PackageBrokenError: It is there and cannot be imported.
        """
        recorded = self._recorded(interpreter)
        known: Any = recorded.package(package)
        if known is not ...:
            return known  # type: ignore[no-any-return]  # it is what was noted
        if not self._session.request.write:
            return self._as_a_rule(interpreter, package)
        searched = self._cannot_be_there(interpreter, package)
        if searched is not None:
            recorded.note_package(package, None, searched)
            return None
        # One that is broken is looked for again: what was noted of it has changed.
        found, observed = self._importer.locate(interpreter, package)
        if found is None:
            self._require_seen(interpreter, package, observed)
        recorded.note_package(package, found, observed)
        return found

    def _require_seen(self, interpreter: Interpreter, package: str, observed: Observed) -> None:
        """Require that a package is not only hidden: what is left of one that is gone is removed.

        Raises:
            PackageBrokenError: It is there, and the sandbox does not show it.
        """
        above = package.rpartition(".")[0]
        own = Observed(
            names=frozenset(
                (name, path)
                for name, path in observed.names
                # Itself, those above it, and what stands for the application; see the child.
                if f"{package}.".startswith(f"{name}.") or name.rpartition(".")[0] == above
            )
        )
        unseen = self._importer.unseen(interpreter, own, self._session.unchecked)
        if unseen:
            reason = f"the sandbox does not show {unseen[0]}"
            raise PackageBrokenError(package, reason, "", True)  # noqa: FBT003 - fields of errors are by position

    def _as_a_rule(self, interpreter: Interpreter, package: str) -> tuple[str, ...] | None:
        """Return what a plugin package's `__path__` is if it extends it by `pluginPackagePaths`.

        Who only looks imports nothing. The package itself can say something else.
        """
        if not is_dotted(package):
            return None
        roots = self.start(interpreter).path
        top, *parts = package.split(".")
        if package in BUILT_IN_PACKAGES and not any(
            self._is_regular(os.path.join(root, top)) for root in roots
        ):
            return None  # the application is not there, whatever others have put into its place
        places = [os.path.join(root, top, *parts) for root in roots]
        regular = [each for each in places if self._is_regular(each)]
        portions = [each for each in places if each not in regular and self._exists(each)]
        return (*regular[:1], *portions) or None

    def _is_regular(self, package: str) -> bool:
        return self._exists(os.path.join(package, "__init__.py"))

    def _exists(self, path: str) -> bool:
        return bool(self._session.unchecked.kind(path))

    def _cannot_be_there(self, interpreter: Interpreter, package: str) -> Observed | None:
        """Return what was looked at if not even the topmost package is in any directory."""
        if self._session.request.root is not None:  # links in an image would lead out of it
            return None
        top = package.partition(".")[0]
        path = self.start(interpreter).path
        if self._look.found(top, path):
            return None
        return Observed(names=frozenset([(top, path)]))

    def save(self, sandbox: str | None) -> None:
        """Hand on what this run has found out, for the next one.

        Args:
            sandbox: The tier in which it has imported plugin modules, or None.
        """
        for key, recorded in self.recorded.items():
            directories = recorded.ledger.directories.values()
            mine = [each for each in directories if key in each.pythons]
            dropins = [(each.package, values) for each in mine for values in each.dropins.values()]
            recorded.keep(
                ((package, values[2]) for package, values in dropins),
                (module for _, values in dropins for module in values[3]),
            )
        self._session.ledgers.save(sandbox)

    def remembered(self, interpreters: Iterable[Interpreter]) -> dict[str, Recorded]:
        """Return what the next run will know of interpreters, by key, after `save`."""
        session, look = self._session, Look()
        return {
            each.key: Recorded(session.ledgers.of(each), each, look, session.began)
            for each in interpreters
        }

    def paths(self) -> Iterable[str]:
        """List the files and directories that tell whether all this still holds, there or not."""
        for recorded in self.recorded.values():
            yield from recorded.paths()

    def _recorded(self, interpreter: Interpreter) -> Recorded:
        if interpreter.key not in self.recorded:
            session = self._session
            self.recorded[interpreter.key] = Recorded(
                session.ledgers.of(interpreter),
                interpreter,
                # What an image's interpreter has looked at are paths of the image.
                None if session.request.root is not None else self._look,
                session.began,
                believed=not session.request.force,
            )
        return self.recorded[interpreter.key]
