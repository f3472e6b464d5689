"""What imports looked for and could not see, though it is there: the sandbox does not show it.

Nothing follows from such an import for those who do see it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Optional

from dropin_cache.errors import UntrustedError
from dropin_cache.update.files.failures import passing_over
from dropin_cache.update.files.trusted import Files
from dropin_cache.update.sandbox.launch import Account, obstacle
from dropin_cache.update.sandbox.policy import KERNEL
from dropin_cache.update.sandbox.visible import View
from dropin_cache.update.state.observations import Observed

_MODULES = (".py", ".pyc", ".so")


class Sight:
    """What the children of an interpreter can see, compared with what there is."""

    def __init__(
        self,
        view: View,
        account: Optional[Account],  # noqa: UP045 - evaluated on Python 3.9
        files: Files,
        *,
        on_the_way: bool,
    ) -> None:
        """Look at nothing yet.

        Args:
            view: What is shown to them.
            account: Who they are; None if they are who this process is.
            files: How to look at what there is, whoever can change it.
            on_the_way: Whether the directories above what is shown are as on this machine.
        """
        self._view, self._account, self._files = view, account, files
        self._on_the_way = on_the_way
        self._listings: dict[str, list[str]] = {}

    def unseen(self, observed: Observed) -> tuple[str, ...]:
        """Return what was looked at in vain though it is there, sorted."""
        modules = (place for name, path in observed.names for place in self._places(name, path))
        wanted = {*modules, *observed.files, *observed.listed}
        return tuple(sorted(path for path in wanted if self._is_hidden(path)))

    def _places(self, module: str, path: Iterable[str]) -> Iterator[str]:
        """Yield where a module may be on a search path, up to where it is seen."""
        name = module.rpartition(".")[2]
        for directory in path:
            found = [
                os.path.join(directory, entry)
                for entry in self._names(directory)
                if entry == name or (entry.endswith(_MODULES) and entry.split(".")[0] == name)
            ]
            yield from found
            if any(not self._is_hidden(place) for place in found):
                return

    def _names(self, directory: str) -> list[str]:
        if directory not in self._listings:
            self._listings[directory] = []
            with contextlib.suppress(UntrustedError, ValueError), passing_over():
                descriptor = self._files.directory(directory)
                try:
                    self._listings[directory] = os.listdir(descriptor)
                finally:
                    os.close(descriptor)
        return self._listings[directory]

    def _is_hidden(self, path: str) -> bool:
        """Tell whether something is there that children cannot see or read."""
        if not path.startswith("/") or path.startswith(KERNEL):
            return False
        with contextlib.suppress(UntrustedError, ValueError), passing_over():
            host = self._files.host_path(path)
            if host.startswith(KERNEL):
                return False
            top = self._view.source_above(host)
            if top is None or not self._view.covered([path]):
                return True
            return self._account is not None and any(
                obstacle(each, self._account, on_the_way=self._on_the_way) is not None
                for each in _between(top, host)
            )
        return False


def _between(top: str, path: str) -> Iterator[str]:
    """Yield a path and the directories above it, the topmost last."""
    yield path
    while path != top:
        path = os.path.dirname(path)
        yield path
