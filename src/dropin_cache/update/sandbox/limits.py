"""How much a child that imports drop-ins may use."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What one child may use, in every tier of the sandbox; setrlimit(2) has the details.

    How much processor time a single import may take is another matter, see `payload.program`.

    Attributes:
        cpu: Processor time of a process, seconds: of all the imports that it does.
        memory: Address space of a process, bytes.
        processes: Processes and threads of a sandbox at a time; where sandboxes cannot count by
            themselves, besides those that its user has anyway.
        descriptors: Open files of a process.
        file_size: Size of a file it writes, bytes.
    """

    cpu: int = 600
    memory: int = 1 << 30
    processes: int = 64
    descriptors: int = 256
    file_size: int = 16 << 20
