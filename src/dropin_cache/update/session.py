"""What a run works with: configuration, ledgers, sandbox, and how files are opened."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from dropin_cache.errors import DirectoryError, LockTimeoutError, NoProcError
from dropin_cache.update.discovery.directories import Survey
from dropin_cache.update.discovery.owners import Owners
from dropin_cache.update.discovery.rpm import Reader
from dropin_cache.update.files import cache_directory, locations
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.report import Request
from dropin_cache.update.sandbox import choice, launch
from dropin_cache.update.sandbox.choice import Confinement
from dropin_cache.update.settings import configuration
from dropin_cache.update.settings.configuration import Settings
from dropin_cache.update.state.ledgers import Ledgers

TIMEOUT = 30.0
"""Seconds, where neither the command line nor the configuration says more."""


class Patience:
    """How long a run waits for other writers.

    Who has waited in vain does not wait again: a writer that stands still would hold up a run, and
    the package manager that waits for it, at each cache anew.

    Attributes:
        seconds: How long to wait from now on.
    """

    def __init__(self, seconds: float) -> None:
        """Have not waited yet."""
        self.seconds = seconds


class Session(NamedTuple):
    """What a run works with.

    Attributes:
        request: What to do.
        began: When the run had not looked at anything yet, nanoseconds since the epoch.
        settings: The configuration.
        privileged: Whether this process can do what the owners of the files it meets cannot.
        files: How to open what counts.
        unchecked: How to open what is only looked at.
        ledgers: What earlier runs saw, by environment.
        confinement: The sandbox.
        timeout: How much processor time one import may take, seconds.
        patience: How long to wait for other writers.
    """

    request: Request
    began: int
    settings: Settings
    privileged: bool
    files: Files
    unchecked: Files
    ledgers: Ledgers
    confinement: Confinement
    timeout: float
    patience: Patience

    @contextlib.contextmanager
    def locked(
        self, directory: str, *, waits: bool = True
    ) -> Iterator[cache_directory.CacheDirectory]:
        """Open a plugin directory for writing its cache, as `open_locked` does.

        Args:
            directory: Its path.
            waits: Whether to wait for other writers at all.
        """
        timeout = self.patience.seconds if waits else 0.0
        try:
            with cache_directory.open_locked(directory, timeout, self.files) as opened:
                yield opened
        except LockTimeoutError:
            if waits:
                self.patience.seconds = 0.0
            raise

    def owners(self) -> Owners:
        """Return whose files are; of an image, root has another user ask rpm, or nobody."""
        reader = None
        if not self.privileged:
            reader = Reader((), os.geteuid(), os.getegid())
        elif self.request.root is not None and not launch.unusable(launch.SETPRIV, privileged=True):
            account = launch.child_account()
            command = tuple(launch.without_privilege(account))
            reader = Reader(command, account.uid, account.gid)
        return Owners(self.request.root, self.files, reader)

    def shown(self, path: str) -> str:
        """Return a path as this system has it, for people."""
        return (self.request.root or "").rstrip("/") + path


@contextlib.contextmanager
def open_session(request: Request) -> Iterator[Session]:
    """Read the configuration, and know where the ledgers are.

    Args:
        request: What to do.

    Raises:
        DirectoryError: The root to work in is none.
        NoProcError: This process is privileged and has no /proc.
        UntrustedError: Others can change the root to work in.
    """
    began = time.time_ns()
    # Privilege is effective uid 0: what such a process opens, others may have put there for it.
    privileged = os.geteuid() == 0
    if privileged and not os.path.isdir("/proc/self/fd"):
        raise NoProcError
    root = None if request.root is None else os.path.abspath(request.root)
    with contextlib.ExitStack() as stack:
        try:
            strict = stack.enter_context(Files(enforced=privileged, root=root))
        except OSError as error:
            raise DirectoryError(str(root), error.strerror or str(error)) from error
        settings = configuration.load(strict)
        groups = settings.trusted_groups
        files = stack.enter_context(Files(enforced=privileged, groups=groups, root=root))
        unchecked = stack.enter_context(Files(enforced=False, root=root))
        tiers = _tiers(request, settings, privileged=privileged)
        choose = functools.partial(
            choice.choose, tiers, privileged=privileged, limits=settings.limits, root=root
        )
        yield Session(
            request=request._replace(root=root),
            began=began,
            settings=settings,
            privileged=privileged,
            files=files,
            unchecked=unchecked,
            # An image has none, nor what is built as one: they would make equal trees differ.
            ledgers=Ledgers(
                None if root else locations.state_directory(),
                files,
                keeps=locations.keeps_state(),
                beside=None if root or privileged or request.write else _ledgers_of_root(stack),
            ),
            confinement=Confinement(
                choose, tiers, settings.limits, locations.CLOSED if privileged else ()
            ),
            timeout=_first(request.timeout, settings.timeout),
            patience=Patience(_first(request.lock_timeout, settings.lock_timeout)),
        )


def _ledgers_of_root(stack: contextlib.ExitStack) -> Ledgers:
    """Return what root's updates saw: what is broken, and how interpreters start. It is no secret.

    Who only looks believes it as root does, if nobody else can have written it.
    """
    files = stack.enter_context(Files(enforced=True))
    return Ledgers(locations.STATE_DIRECTORY, files, keeps=False)


def survey(session: Session) -> Survey:
    """Return a new look at the directories."""
    return Survey(
        session.ledgers.written(),
        trusted=session.privileged or session.request.root is not None,
        files=session.files,
        unchecked=session.unchecked,
        allowed=session.settings.plugin_directories,
    )


def _tiers(request: Request, settings: Settings, *, privileged: bool) -> tuple[str, ...]:
    """Return the tiers that are allowed, best first."""
    if request.sandbox != "auto":
        return (request.sandbox,)
    if request.root is not None:
        return ("namespace",)
    # Users run their own code with their own rights all day long.
    return settings.sandbox if privileged else ("none",)


def _first(*values: float | None) -> float:
    return next((value for value in values if value is not None), TIMEOUT)
