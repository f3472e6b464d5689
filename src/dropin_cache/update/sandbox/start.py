"""Starting what a `Launch` says, with the descriptors that its command line speaks of."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple

from dropin_cache.update.sandbox.launch import (
    FILTER,
    LIFELINE,
    PROCESS_NAMESPACE,
    USER_NAMESPACE,
    Launch,
    readable,
)
from dropin_cache.update.sandbox.user_namespaces import Namespaces


class Started(NamedTuple):
    """A process that was started.

    Attributes:
        process: The process.
        namespaces: What was made for it; to be ended.
    """

    process: subprocess.Popen[bytes]
    namespaces: Namespaces | None


def start(
    launch: Launch,
    arguments: Sequence[str],
    lifeline: int,
    *others: int,
    **options: Any,
) -> Started:
    """Start what a `Launch` says.

    Args:
        launch: What to start.
        arguments: What follows its own arguments.
        lifeline: A descriptor whose other end is closed when nobody wants the process any more.
        others: Further descriptors that it is to have.
        options: For subprocess.Popen.

    Raises:
        OSError: It cannot be executed, or the system does not give what it needs.
    """
    numbers = {LIFELINE: lifeline}
    namespaces = Namespaces(launch.users) if launch.users else None
    with contextlib.ExitStack() as on_error, contextlib.ExitStack() as cleanup:
        if namespaces is not None:
            on_error.callback(namespaces.end)
            numbers[USER_NAMESPACE] = namespaces.users
            numbers[PROCESS_NAMESPACE] = namespaces.processes
        if launch.filter:
            numbers[FILTER] = readable(launch.filter)
            cleanup.callback(os.close, numbers[FILTER])
        spoken_of = [numbers[part] for part in launch.arguments if part in numbers]
        process = subprocess.Popen(  # noqa: S603 - absolute paths only, or asked for
            [*(str(numbers.get(part, part)) for part in launch.arguments), *arguments],
            pass_fds=[lifeline, *others, *spoken_of],
            env=launch.environment,
            cwd=launch.directory,
            **options,
        )
        on_error.pop_all()
    return Started(process, namespaces)
