"""How much a child that imports drop-ins may use."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What one child may use, in every tier of the sandbox; setrlimit(2) has the details.

    A drop-in that oversteps a limit in a child that others have used before is tried again in a
    child of its own, so each limit is one of a single import.

    Attributes:
        cpu: Processor time, seconds.
        memory: Address space of a process, bytes.
        processes: Processes and threads at a time, besides those its user has anyway.
        descriptors: Open files of a process.
        file_size: Size of a file it writes, bytes.
    """

    cpu: int = 120
    memory: int = 1 << 30
    processes: int = 64
    descriptors: int = 256
    file_size: int = 16 << 20
