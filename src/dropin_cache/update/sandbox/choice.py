"""Which sandbox the child that imports drop-ins is started in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Callable, Optional

from dropin_cache.errors import NoSandboxError
from dropin_cache.update.sandbox.launch import SCRUBBED, Launch, Sandbox
from dropin_cache.update.sandbox.limits import Limits
from dropin_cache.update.sandbox.visible import View
from dropin_cache.update.text import one_line

_NAMESPACE, _LANDLOCK = CONFINED = ("namespace", "landlock")
"""The tiers in which plugin modules can do no harm, best first."""

_USER = "user"

UNCONFINED = "none"
"""The tier without confinement."""


class Unconfined:
    """The tier without confinement: the rights of whoever runs the update, and no limits."""

    tier = UNCONFINED
    user = None
    apart = False

    def lacks(self) -> str | None:
        """Return None: whoever may run this process may run another."""
        return None

    works = lacks

    def launch(self, python: str, view: Optional[View] = None) -> Launch:  # noqa: ARG002, UP045
        """Say how to start an interpreter.

        Bytecode is never written: whose it would be and where depends on who runs this. For root
        the interpreter is isolated (`python -I`), so that neither the environment nor the
        working directory has a say in what is imported; users expect their PYTHONPATH to count.
        """
        if os.geteuid() == 0:
            return Launch([python, "-I", "-B"], SCRUBBED, "/")
        return Launch([python, "-B", "-X", "utf8"], dict(os.environ), None)


def choose(
    allowed: Sequence[str],
    *,
    privileged: bool,
    limits: Limits,
    root: str | None = None,
    try_out: bool = False,
) -> Sandbox:
    """Return the first sandbox of some that works here, or seems to.

    Args:
        allowed: Names of tiers, best first; nothing weaker than these is ever used.
        privileged: Whether this process has rights that drop-ins must not have.
        limits: What a child may use.
        root: The directory that is taken for `/`, if it is another.
        try_out: Whether to try it, and not only to look for what it needs.

    Raises:
        NoSandboxError: None of them does.
    """
    # Most runs start no child, and so need none of these.
    from dropin_cache.update.sandbox.landlock import AnotherUser, Landlock  # noqa: PLC0415
    from dropin_cache.update.sandbox.namespace import Namespace  # noqa: PLC0415

    reasons = []
    for tier in allowed:
        sandbox: Sandbox
        if tier == Namespace.tier:
            sandbox = Namespace(limits, privileged=privileged)
        elif tier == Landlock.tier and root is None:
            sandbox = Landlock(limits, privileged=privileged)
        elif tier == AnotherUser.tier and root is None and privileged:
            sandbox = AnotherUser(limits, privileged=True)
        elif tier == Unconfined.tier and not privileged:
            sandbox = Unconfined()
        else:
            reasons.append((tier, _impossible(tier, privileged=privileged)))
            continue
        try:
            reason = sandbox.works() if try_out else sandbox.lacks()
        except OSError as error:  # no process, no pipe, no limits
            reason = one_line(error.strerror or str(error))
        if reason is None:
            return sandbox
        reasons.append((tier, reason))
    raise NoSandboxError(tuple(reasons))


def _works(sandbox: Sandbox) -> bool:
    try:
        return sandbox.works() is None
    except OSError:
        return False


def _impossible(tier: str, *, privileged: bool) -> str:
    no_root = "it cannot take another directory for the root"
    return {
        _LANDLOCK: no_root,
        _USER: no_root if privileged else "only root can become another user",
        Unconfined.tier: "plugin modules never run with the rights of root",
    }.get(tier, "there is no such sandbox")


class Confinement:
    """The sandbox of a run: chosen when the first child is to be started.

    Attributes:
        allowed: The names of the tiers that are allowed, best first.
        limits: What a child may use.
        closed: Directories in which a child must not be able to write; it tries to.
        tier: The name of the tier; None as long as none has been chosen.
    """

    def __init__(
        self,
        choose: Callable[..., Sandbox],
        allowed: Sequence[str],
        limits: Limits,
        closed: Sequence[str] = (),
    ) -> None:
        """Keep how to choose.

        Args:
            choose: Returns the sandbox, or raises NoSandboxError; with `try_out`, as `choose` does.
            allowed: The names of the tiers that are allowed, best first.
            limits: What a child may use.
            closed: Directories in which a child must not be able to write.
        """
        self._choose = choose
        self._sandbox: Sandbox | None = None
        self.allowed, self.limits, self.closed = tuple(allowed), limits, tuple(closed)
        self.tier: str | None = None

    def chosen(self) -> Sandbox:
        """Return the sandbox.

        Raises:
            NoSandboxError: None of those that are allowed can work here.
        """
        if self._sandbox is None:
            self._sandbox = self._choose()
            self.tier = self._sandbox.tier
        return self._sandbox

    def doubted(self, sandbox: Sandbox) -> bool:
        """Try out a sandbox in which a child has not started.

        Most do start, and those that wait for them need not wait for a trial.

        Returns:
            Whether another one is chosen now, so that a child may start in that.

        Raises:
            NoSandboxError: None of those that are allowed works here.
        """
        if sandbox is self._sandbox and not _works(sandbox):
            self._sandbox = self._choose(try_out=True)
            self.tier = self._sandbox.tier
        return self.chosen().tier != sandbox.tier
