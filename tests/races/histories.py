"""Drop-ins that come and go, and a history of them that tells which answers were right, and when.

Each change is atomic: a file is renamed to its name, or removed. The history has two moments for
it, right before and right after. In between, both the old and the new state may be what somebody
sees; at any other moment there is one. An answer is right if each drop-in that it has, or lacks,
was so at some moment while it was being found. That is for each name by itself, since no file
system shows a directory as a whole at one moment.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

_NAMES = 6
_SINCE = 1_500_000_000  # seconds; every generation has a time of its own
_PAUSE = 0.02  # seconds, the longest between two changes of a burst
_DROPIN = """\
from zope.interface import implementer
from dropin_cache import IPlugin

@implementer(IPlugin)
class Plugin:
    "{}"

plugin = Plugin()
"""

Event = tuple[int, float, str, "str | None"]  # before and after it, nanoseconds; name, generation


class History:
    """Two import roots with a plugin package, and what happened to the drop-ins in it.

    Attributes:
        roots: The import roots.
        directories: The directories of drop-ins.
    """

    def __init__(self, path: Path) -> None:
        """Make the roots, with nothing in them."""
        self.roots = [path / "first", path / "second"]
        self.directories = [root / "app" / "plugins" for root in self.roots]
        for directory in self.directories:
            directory.mkdir(parents=True)
        extended = "from dropin_cache import pluginPackagePaths as p; __path__.extend(p(__name__))"
        (self.roots[0] / "app" / "__init__.py").touch()
        (self.directories[0] / "__init__.py").write_text(extended)
        self._log = path / "history"
        self._log.touch()
        self._generations = itertools.count(1)

    def burst(self, calm: float) -> None:
        """Change a few things, as a package manager does; then wait, for up to some seconds."""
        for _ in range(random.randint(1, 8)):  # noqa: S311 - no secret
            self._change()
        time.sleep(random.uniform(0, calm))  # noqa: S311

    def _change(self) -> None:
        """Let a drop-in come, go, or be replaced."""
        number = random.randrange(_NAMES)  # noqa: S311 - no secret
        path = self.directories[number % 2] / f"name{number}.py"
        if path.exists() and random.random() < 0.4:  # noqa: S311
            self._noted(path, None)
        else:
            self._noted(path, next(self._generations))
        time.sleep(random.uniform(0, _PAUSE))  # noqa: S311

    def _noted(self, path: Path, generation: int | None) -> None:
        new = path.with_suffix(".new")
        if generation is not None:
            new.write_text(_DROPIN.format(generation))
            os.utime(new, (_SINCE + generation, _SINCE + generation))
        # What is only begun when this process is killed may have happened, or not.
        self._note(f"{time.monotonic_ns()} {path.stem} {generation or '-'} ")
        if generation is not None:
            new.rename(path)
        else:
            path.unlink()
        self._note(f"{time.monotonic_ns()}\n")

    def _note(self, text: str) -> None:
        with self._log.open("a") as log:
            log.write(text)

    def wrong(self, began: int, ended: int, answer: dict[str, str]) -> dict[str, object]:
        """Return what is wrong in an answer: by name, what it says and what was so meanwhile."""
        names = {f"name{number}" for number in range(_NAMES)} | answer.keys()
        events = list(self._events())
        found: dict[str, object] = {}
        for name in sorted(names):
            own = [event for event in events if event[2] == name]
            states = set(_possible(own, began, ended))
            if answer.get(name) not in states:
                found[name] = answer.get(name), sorted(map(str, states))
        return found

    def changes(self) -> int:
        """Return how many changes there were."""
        return sum(1 for _ in self._events())

    def _events(self) -> Iterator[Event]:
        for line in self._log.read_text().splitlines():
            before, name, generation, *after = line.split()
            ended = float(after[0]) if after else float("inf")
            yield int(before), ended, name, None if generation == "-" else generation


def _possible(events: list[Event], began: int, ended: int) -> Iterator[str | None]:
    """Yield the states that a drop-in may have been in at some moment of an interval."""
    starts = [0, *(before for before, _, _, _ in events)]
    ends = [*(after for _, after, _, _ in events), float("inf")]
    states = [None, *(generation for _, _, _, generation in events)]
    for start, end, state in zip(starts, ends, states):
        if start <= ended and began <= end:
            yield state
